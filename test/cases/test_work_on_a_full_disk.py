"""A user's disk is full: each command says so once, leaves nothing, and works after a clean."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from assembler.errors import HostError
from assembler.events import NullReporter
from assembler.oci.archive_export import ExportOptions, export_archive
from assembler.oci.platform import host_platform
from assembler.oci.reference import Reference
from assembler.oci.store import Store, verify_store
from support.debian import Deb, make_archive
from support.dockerfiles import kitchen_with_a_shell
from support.faulty_registry import faulty_registry, noise
from support.pictures import Painter
from support.recipes import ENGINES, LIBRARY, TOOL, Packages, both, make_package
from support.small_disk import fill, small_disk

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen

__all__ = ["small_disk"]

pytestmark = pytest.mark.slow

NAME = "docker.io/library/x:1"
YAML = f"init: [{NAME}]\n"


@pytest.fixture
def store(small_disk: Path) -> Store:
    """Give a store on the small disk with one image."""
    store = Store(small_disk / "store")
    painter = Painter(store)
    store.put(NAME, painter.image({"a": noise(1, 400_000)}))
    return store


def files(directory: Path) -> set[str]:
    return {str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file()}


def failure(done: subprocess.CompletedProcess[str]) -> str:
    """Return the single message of a command that found a full disk."""
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("error[") == 1, done.stderr
    assert "error[DM0802]" in done.stderr
    assert "Traceback" not in done.stderr
    assert "standard output" not in done.stderr
    assert " is full (" in done.stderr or " has no room for " in done.stderr
    return done.stderr


def test_a_pull(dolmen: Dolmen, store: Store, tmp_path: Path) -> None:
    remote = Painter(Store(tmp_path / "remote"))
    with faulty_registry(remote.store) as registry:
        registry.publish("org/app", "1", remote.image({"b": noise(2, 2_000_000)}))
        name = f"{registry.host}/org/app:1"
        for room in (0, 1_000_000, 1_500_000):
            filler = fill(store.root.parent, room)
            before = files(store.root)
            stderr = failure(dolmen.run("--cache", store.root, "cache", "pull", name))
            assert re.search(f"{store.root} (is full|has no room)", stderr)
            assert "dolmen cache clean" in stderr
            assert "--cache DIR" in stderr
            left = files(store.root) - before
            assert sum((store.root / p).stat().st_size for p in left) < 10_000, left
            dolmen.run("--cache", store.root, "cache", "clean", check=True)
            assert not list(store.layout.tmp.iterdir())
            filler.unlink()
        dolmen.run("--cache", store.root, "cache", "pull", name, check=True)
        assert verify_store(store, NullReporter()).clean


def test_an_import(dolmen: Dolmen, store: Store, tmp_path: Path) -> None:
    source = Store(tmp_path / "source")
    source.put("docker.io/library/y:1", Painter(source).image({"b": noise(2, 2_000_000)}))
    archive = tmp_path / "y.tar"
    with archive.open("wb") as out:
        export_archive(source, ExportOptions(Reference.parse("y:1")), out, NullReporter())
    for room in (0, 1_000_000):
        filler = fill(store.root.parent, room)
        before = files(store.root)
        failure(dolmen.run("--cache", store.root, "cache", "import", archive))
        assert files(store.root) - before <= {"locks/index"}
        filler.unlink()
    dolmen.run("--cache", store.root, "cache", "import", archive, check=True)


@pytest.mark.parametrize("room", [0, 8_192, 300_000])
def test_a_build_with_a_full_store(dolmen: Dolmen, store: Store, tmp_path: Path, room: int) -> None:
    """Segments are not needed: a build without room for them does without, or says so."""
    (tmp_path / "image.yml").write_text(YAML)
    filler = fill(store.root.parent, room)
    before = files(store.root)
    words = ("--cache", store.root, "build", "--format", "tar", "--dir", tmp_path / "out")
    (tmp_path / "out").mkdir()
    done = dolmen.run(*words, tmp_path / "image.yml")
    if done.returncode:
        failure(done)
        assert not list((tmp_path / "out").iterdir())
    assert {p for p in files(store.root) - before if not p.startswith("locks/")} == set()
    filler.unlink()
    dolmen.run(*words, tmp_path / "image.yml", check=True)


@pytest.mark.parametrize(
    "form", ["tar", "kernel+initrd", "kernel+squashfs", "kernel+erofs", "docker"]
)
def test_a_build_into_a_full_directory(
    dolmen: Dolmen, small_disk: Path, tmp_path: Path, form: str
) -> None:
    store = Store(tmp_path / "store")
    image = Painter(store).image({"a": noise(1, 3_000_000), "kernel": noise(2, 100_000)})
    store.put(NAME, image)
    (tmp_path / "image.yml").write_text(f"kernel: {{image: '{NAME}', tar: none}}\n{YAML}")
    out = small_disk / "out"
    out.mkdir()
    for room in (0, 1_000_000):
        filler = fill(small_disk, room)
        words = ("--cache", store.root, "build", "--format", form, "--dir", out)
        stderr = failure(dolmen.run(*words, tmp_path / "image.yml"))
        assert str(out) in stderr
        assert not list(out.iterdir())
        filler.unlink()


@pytest.mark.parametrize(
    "words",
    [
        ("cache", "export", NAME, "-o", "DISK/x.tar"),
        ("new", "DISK/image.yml"),
        ("keys", "generate", "DISK/keys"),
        ("metadata", "create", "DISK/m.iso", "text"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_other_commands_that_write(
    dolmen: Dolmen, small_disk: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    store = Store(tmp_path / "store")
    store.put(NAME, Painter(store).image({"a": noise(1, 3_000_000)}))
    filler = fill(small_disk, 0)
    before = files(small_disk)
    command = [word.replace("DISK", str(small_disk)) for word in words]
    stderr = failure(dolmen.run("--cache", store.root, *command))
    assert str(small_disk) in stderr
    assert files(small_disk) == before
    filler.unlink()


def test_a_full_temporary_directory(dolmen: Dolmen, small_disk: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.put(NAME, Painter(store).image({"a": noise(1, 3_000_000)}))
    package = tmp_path / "package"
    package.mkdir()
    (package / "build.yml").write_text("image: p\norg: o\n")
    (package / "Dockerfile").write_text("FROM scratch\nCOPY build.yml /\n")
    subprocess.run(["git", "init", "-q", package], check=True)
    filler = fill(small_disk, 0)
    done = dolmen.run(
        "--cache", store.root, "pkg", "build", package, env={"TMPDIR": str(small_disk)}
    )
    if done.returncode:
        assert "TMPDIR" in failure(done)
    assert files(small_disk) == {filler.name}


@pytest.mark.parametrize("words", [("clean", "--all"), ("rm", NAME)])
def test_room_is_made_with_none_left(dolmen: Dolmen, store: Store, words: tuple[str, ...]) -> None:
    Painter(store).image({"young": noise(3, 300_000)})
    (store.layout.tmp / ("0" * 64 + ".part")).write_bytes(bytes(100_000))
    fill(store.root.parent, 0)
    assert os.statvfs(store.root).f_bavail == 0
    done = dolmen.run("--cache", store.root, "cache", *words)
    assert done.returncode == 0, done.stderr
    assert not store.names().entries
    left = {p for p in files(store.root) if p.startswith(("blobs/", "tmp/"))}
    assert words[0] == "rm" or not left
    assert verify_store(store, NullReporter()).clean


def test_a_file_on_a_full_disk_as_standard_output(dolmen: Dolmen, small_disk: Path) -> None:
    fill(small_disk, 0)
    with (small_disk / "out").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "dolmen", "schema", "image"],
            env=dolmen.environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "cannot write standard output: No space left on device" in done.stderr


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("room", [0, 20_000, 200_000, 500_000])
def test_a_recipe(dolmen: Dolmen, small_disk: Path, tmp_path: Path, engine: str, room: int) -> None:
    """It hung in `apt-get update`."""
    content = {"usr/share/data": noise(5, 600_000)}
    deb = Deb("tool", "1.0", files=content, fields=TOOL.fields)
    archive = make_archive(tmp_path / "archive", [*both(LIBRARY), *both(deb)])
    package = make_package(tmp_path / "packages")
    pkg = Packages(dolmen, archive, small_disk / "store", engine)
    Store(pkg.store).layout.prepare()
    filler = fill(small_disk, room)
    words = ("build", "--platforms", "linux/amd64", package)
    stderr = failure(pkg.run(*words))
    full, announced = f"the disk of the store {pkg.store} is full", f"{pkg.store} has no room for"
    assert full in stderr or announced in stderr
    assert not list((pkg.store / "tmp").iterdir())
    assert not list((pkg.store / "debs").glob("tmp/*"))
    dolmen.run("cache", "clean", "--all", "--cache", pkg.store, check=True)
    filler.unlink()
    assert pkg.build(*words[1:])


@pytest.mark.skipif(
    not shutil.which("buildah") or os.getuid() != 0, reason="the test's base is made for root"
)
def test_a_run_instruction(tmp_path: Path) -> None:
    kitchen = kitchen_with_a_shell(tmp_path)
    dockerfile = """FROM example/base:1
RUN cat /bin/sh /bin/sh > /one && while cat /one /one /bin/sh >> /two; do :; done; cat /two > /three
"""
    storage = kitchen.store.root / "buildah"
    big = tmp_path / "big"
    big.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=40m", "none", str(big)]
    subprocess.run(command, check=True)
    try:
        storage.symlink_to(big)
        with pytest.raises(HostError, match="DM0802") as caught:
            kitchen.build(kitchen.package(dockerfile), host_platform())
        assert "RUN failed" in str(caught.value)
        kitchen.build(kitchen.package("FROM example/base:1\nRUN mkdir /a\n"), host_platform())
    finally:
        subprocess.run(["umount", big], check=True)


def test_a_machine(dolmen: Dolmen, small_disk: Path, tmp_path: Path) -> None:
    (tmp_path / "x-kernel").write_bytes(noise(1, 10_000))
    (tmp_path / "x-initrd.img").write_bytes(noise(2, 10_000))
    (tmp_path / "x-cmdline").write_text("quiet")
    filler = fill(small_disk, 0)
    done = dolmen.run("run", "qemu", tmp_path / "x", env={"XDG_STATE_HOME": str(small_disk)})
    assert str(small_disk) in failure(done)
    assert files(small_disk) == {filler.name}
    disk = f"file={small_disk}/disk.qcow2,size=100M,format=qcow2"
    done = dolmen.run("run", "qemu", "--disk", disk, tmp_path / "x")
    assert str(small_disk) in failure(done)
    assert files(small_disk) == {filler.name}
