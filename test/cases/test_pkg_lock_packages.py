"""A user locks the Debian packages of recipes, and updates the lock."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from support.debian import Deb, Key, Shape, make_archive
from support.recipes import ENGINES, LIBRARY, RECIPE, TOOL, Packages, both, commit, make_package

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen

pytestmark = pytest.mark.slow
NEWER = Deb("tool", "2.0", files={"usr/bin/tool": b"newer"}, fields=TOOL.fields)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return make_archive(tmp_path / "archive", [*both(LIBRARY), *both(TOOL)])


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return make_package(tmp_path / "work" / "tool")


@pytest.fixture
def pkg(dolmen: Dolmen, archive: Path, tmp_path: Path) -> Packages:
    return Packages(dolmen, archive, tmp_path / "store")


def locked(package: Path) -> dict[str, list[str]]:
    """Return the names and versions of a lock, by architecture."""
    rows = json.loads((package / "debs.lock").read_text())["packages"]
    return {arch: [f"{name} {version}" for name, version, *_ in r] for arch, r in rows.items()}


def test_every_engine_writes_the_same_lock(
    dolmen: Dolmen, package: Path, archive: Path, tmp_path: Path
) -> None:
    key = Key()
    make_archive(archive, [*both(LIBRARY), *both(TOOL)], shape=Shape(key))
    texts = set()
    for number, param in enumerate(ENGINES):
        engine = param if isinstance(param, str) else str(param.values[0])
        if engine == "apt" and not shutil.which("apt-get"):
            continue
        pkg = Packages(dolmen, archive, tmp_path / f"store{number}", engine)
        pkg.env["DOLMEN_DEBIAN_MIRROR"] = f"file:{archive}"
        pkg.env["DOLMEN_DEBIAN_KEYRING"] = str(key.keyring(tmp_path / "keys.gpg"))
        done = pkg.run("lock", package)
        assert done.returncode == 0, done.stderr
        texts.add((package / "debs.lock").read_text())
        (package / "debs.lock").unlink()
    (text,) = texts
    data = json.loads(text)
    ((suite, date, digest),) = data["archives"]
    assert (suite, date) == ("trixie", "Tue, 14 Nov 2023 22:13:20 UTC")
    assert len(digest) == 64
    assert [row[0] for row in data["packages"]["arm64"]] == ["libtool", "tool"]


def test_several_packages_at_once(pkg: Packages, package: Path, archive: Path) -> None:
    other = package.with_name("other")
    shutil.copytree(package, other)
    done = pkg.run("lock", package, other)
    assert done.stdout.split() == [str(package / "debs.lock"), str(other / "debs.lock")]
    assert locked(package) == locked(other)
    # All or none: what cannot be chosen keeps the others from being written.
    texts = [(p / "debs.lock").read_text() for p in (package, other)]
    make_archive(archive, [*both(LIBRARY), *both(TOOL), *both(NEWER)])
    (other / "build.yml").write_text(RECIPE.replace("[tool]", "[nothing]"))
    done = pkg.run("lock", package, other)
    assert (done.returncode, "DM0726" in done.stderr) == (1, True)
    assert [(p / "debs.lock").read_text() for p in (package, other)] == texts


def test_a_lock_is_checked(pkg: Packages, package: Path, archive: Path) -> None:
    done = pkg.run("lock", "--check", package)
    assert (done.returncode, "there is no lock" in done.stderr) == (1, True)
    assert not (package / "debs.lock").exists()
    assert pkg.run("lock", package).returncode == 0
    text = (package / "debs.lock").read_text()
    assert pkg.run("lock", "--check", package).returncode == 0

    # The same packages in an archive of another day are no reason to change anything.
    shape = Shape(fields={"Date": "Wed, 15 Nov 2023 22:13:20 UTC"})
    make_archive(archive, [*both(LIBRARY), *both(TOOL)], shape=shape)
    assert pkg.run("lock", "--check", package).returncode == 0
    assert pkg.run("lock", package).returncode == 0
    assert (package / "debs.lock").read_text() == text

    make_archive(archive, [*both(LIBRARY), *both(TOOL), NEWER])
    done = pkg.run("lock", "--check", package)
    assert done.returncode == 1
    assert "DM0736" in done.stderr
    assert "amd64: tool 1.0 -> 2.0" in done.stderr
    assert "arm64: " not in done.stderr.partition("DM0736")[2]
    assert f"dolmen pkg lock {package}" in done.stderr
    assert (package / "debs.lock").read_text() == text
    (package / "build.yml").write_text(RECIPE.replace("[tool]", "[tool, libtool]"))
    done = pkg.run("lock", "--check", package)
    assert "amd64: the lock is for another recipe" in done.stderr


def test_other_architectures_are_not_changed(pkg: Packages, package: Path, archive: Path) -> None:
    assert pkg.run("lock", package).returncode == 0
    make_archive(archive, [*both(LIBRARY), *both(TOOL), *both(NEWER)])
    assert pkg.run("lock", "--platforms", "linux/arm64", package).returncode == 0
    assert locked(package) == {
        "amd64": ["libtool 2:1.0+b1", "tool 1.0"],
        "arm64": ["libtool 2:1.0+b1", "tool 2.0"],
    }
    commit(package)
    pkg.build(package)


def test_a_locked_package_that_no_mirror_has(pkg: Packages, package: Path, archive: Path) -> None:
    assert pkg.run("lock", package).returncode == 0
    shutil.rmtree(archive)
    make_archive(archive, [*both(LIBRARY), *both(NEWER)])
    done = pkg.run("build", package)
    assert done.returncode == 1
    for words in (
        "DM0727",
        "tool 1.0",
        f"dolmen pkg lock {package}",
        "from trixie of Tue",
    ):
        assert words in done.stderr, done.stderr
    assert pkg.run("lock", package).returncode == 0
    pkg.build(package)


@pytest.mark.parametrize(
    "broken",
    [
        "[]",
        "{",
        '{"version": 2}',
        '{"version": 1, "suite": "x", "wanted": [], "packages": {}}',
        '{"version": 1, "suite": "x", "wanted": {}, "packages": {"amd64": [["a"]]}}',
        '{"version": 1, "suite": "x", "wanted": {}, "packages": {}, "archives": [["x", 1, 2]]}',
        '{"version": 1, "suite": "x", "wanted": {}, "packages": {"amd64": '
        '[["a", "1", "amd64", "../x.deb", 1, "' + "0" * 64 + '"]]}}',
    ],
)
def test_an_invalid_lock_is_refused(pkg: Packages, package: Path, broken: str) -> None:
    (package / "debs.lock").write_text(broken)
    done = pkg.run("build", package)
    assert (done.returncode, "DM0729" in done.stderr) == (1, True), done.stderr
    assert "Traceback" not in done.stderr
