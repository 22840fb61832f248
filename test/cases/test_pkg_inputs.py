"""A user prints the inputs of a package's image, and changes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from assembler.events import LogMessage
from assembler.oci.recorded_inputs import changed_inputs, read_recorded_inputs
from support.debian import make_archive
from support.dockerfiles import AMD64, Kitchen
from support.recipes import LIBRARY, RECIPE, TOOL, Packages, both, make_package

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen

BASE = "image: base\norg: example\n"


@pytest.fixture
def kitchen(tmp_path: Path) -> Kitchen:
    return Kitchen(tmp_path)


def said(kitchen: Kitchen) -> str:
    return "\n".join(e.message for e in kitchen.reporter.events if isinstance(e, LogMessage))


def test_a_changed_base_image_causes_a_rebuild(kitchen: Kitchen) -> None:
    base = kitchen.package("FROM scratch\nCOPY x /\n", {"x": b"1"}, BASE, "base")
    kitchen.build(base, hash="1")
    package = kitchen.package("FROM example/base:1\nARG A B\nENV A=$A\n")
    kitchen.build(package)
    first = kitchen.image().digest
    kitchen.build(package)
    assert "nothing to build" in said(kitchen)
    (base / "x").write_bytes(b"2")
    kitchen.build(base, hash="1", force=True)
    kitchen.build(package)
    assert "for linux/amd64: image docker.io/example/base:1 changed" in said(kitchen)
    second = kitchen.image().digest
    assert second != first
    kitchen.build(package, arguments=("A=1", "UNKNOWN=1"))
    assert ": argument A changed" in said(kitchen)
    assert kitchen.config()["config"]["Env"][-1] == "A=1"
    # What the Dockerfile does not know has no part in it.
    kitchen.reporter.events.clear()
    kitchen.build(package, arguments=("A=1", "UNKNOWN=2"))
    assert "nothing to build" in said(kitchen)


def test_the_commit_alone_causes_no_rebuild(kitchen: Kitchen) -> None:
    package = kitchen.package("FROM scratch\nARG REVISION SOURCE\nLABEL r=$REVISION s=$SOURCE\n")
    kitchen.build(package, arguments=("REVISION=1",))
    kitchen.build(package, arguments=("REVISION=2",))
    assert kitchen.config()["config"]["Labels"]["r"] == "1"


def test_a_changed_tree_under_the_same_tag_causes_a_rebuild(kitchen: Kitchen) -> None:
    package = kitchen.package(
        "FROM scratch\nCOPY x /\n", {"x": b"1"}, f"{BASE.replace('base', 'app')}tag: v1\n"
    )
    assert kitchen.build(package, hash="1") == "example/app:v1"
    kitchen.build(package, hash="1")
    assert "nothing to build" in said(kitchen)
    (package / "x").write_bytes(b"2")
    kitchen.build(package, hash="2")
    assert "rebuilding example/app:v1 for linux/amd64: tree changed" in said(kitchen)
    assert kitchen.tree("example/app:v1")["x"][1] == b"2"


def test_a_changed_network_setting_causes_a_rebuild(kitchen: Kitchen) -> None:
    package = kitchen.package("FROM scratch\nCOPY x /\n", {"x": b"1"})
    kitchen.build(package)
    inputs = read_recorded_inputs(kitchen.image())
    assert inputs == {"builder": "in process", "tree": "h"}
    assert changed_inputs(inputs, {**inputs, "network": "allowed"}) == ("network",)
    kitchen.build(package, network=True)
    assert ": network changed" in said(kitchen)


@pytest.mark.slow
def test_a_changed_lock_or_suite_causes_a_rebuild(dolmen: Dolmen, tmp_path: Path) -> None:
    package = make_package(tmp_path / "work" / "tool")
    archive = tmp_path / "archive"
    for suite in ("trixie", "forky"):
        make_archive(archive, [*both(LIBRARY), *both(TOOL)], suite=suite)
    pkg = Packages(dolmen, archive, tmp_path / "store")
    words = ("build", "--hash", "h", "--platforms", "linux/amd64", package)

    def build() -> str:
        done = pkg.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stderr

    build()
    assert "nothing to build" in build()
    assert pkg.run("lock", package).returncode == 0
    assert ": lock changed" in build()
    assert "nothing to build" in build()
    lock = package / "debs.lock"
    lock.write_text(lock.read_text() + "\n")
    assert ": lock changed" in build()
    (package / "build.yml").write_text(RECIPE.replace("trixie", "forky"))
    lock.unlink()
    assert ": lock, suite changed" in build()
    done = pkg.run("inputs", "--hash", "h", "--platforms", "linux/amd64", package)
    assert done.stdout.splitlines()[1:] == ["  suite: forky", "  tree: h", "  (up to date)"]


def test_inputs_are_printed(kitchen: Kitchen, dolmen: Dolmen) -> None:
    package = kitchen.package(
        "FROM scratch\nARG X\n", build_yml="image: app\norg: example\nbuildArgs: [X=1]\n"
    )
    words = ("pkg", "inputs", "--cache", kitchen.store.root, "--hash", "h")
    done = dolmen.run(*words, "--platforms", "linux/amd64", package)
    assert done.stdout == (
        "example/app:h for linux/amd64\n  argument X: 1\n  tree: h\n  (not built yet)\n"
    )
    kitchen.build(package, AMD64)
    (package / "build.yml").write_text("image: app\norg: example\nbuildArgs: [X=2]\n")
    done = dolmen.run(*words, "--json", package)
    found = {entry["platform"]: entry for entry in json.loads(done.stdout)}
    assert found["linux/amd64"]["changed"] == ["argument X"]
    assert found["linux/amd64"]["built"]["argument X"] == "1"
    assert found["linux/arm64"]["built"] is None


def test_a_new_package_is_created(kitchen: Kitchen, dolmen: Dolmen, tmp_path: Path) -> None:
    for name, options in (("My App", ()), ("runc", ("--debs",))):
        directory = tmp_path / name
        done = dolmen.run("pkg", "new", *options, directory)
        assert done.returncode == 0, done.stderr
        assert dolmen.run("validate", directory / "build.yml").returncode == 0
        assert dolmen.run("pkg", "new", directory).returncode == 2
    kitchen.build(tmp_path / "My App")
    assert kitchen.tree("example/my-app:h")["etc/my-app/hello"][1] == b"hello\n"


def test_a_package_outside_of_git_is_built_after_each_change(
    kitchen: Kitchen, dolmen: Dolmen
) -> None:
    package = kitchen.package("FROM scratch\nCOPY x /\n", {"x": b"1"})
    words = ("--cache", str(kitchen.store.root), "--platforms", "amd64", str(package))
    first = dolmen.run("pkg", "build", "--offline", *words)
    assert first.returncode == 0, first.stderr
    assert "(up to date)" in dolmen.run("pkg", "inputs", *words).stdout
    assert "up to date" in dolmen.run("pkg", "build", "--offline", *words).stderr
    (package / "x").write_bytes(b"2")
    changed = dolmen.run("pkg", "inputs", *words).stdout
    assert first.stdout.strip() not in changed
    assert "(not built yet)" in changed


def test_a_name_without_a_hash_is_built_every_time(kitchen: Kitchen, dolmen: Dolmen) -> None:
    package = kitchen.package("FROM scratch\n", {})
    words = ("--dev", "--cache", str(kitchen.store.root), "--platforms", "amd64", str(package))
    assert dolmen.run("pkg", "build", "--offline", *words).returncode == 0
    told = dolmen.run("pkg", "inputs", *words).stdout
    assert "built every time" in told
    assert "(up to date)" not in told
