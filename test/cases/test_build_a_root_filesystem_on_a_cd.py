"""`dolmen build --format kernel+iso`: the system on an ISO volume, as other programs read it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.formats.iso_tree import MAX_ISO_ENTRIES
from assembler.oci.store import Store
from support.archives import E, directory, hardlink, image, symlink
from support.workloads import rich_project, rich_store

if TYPE_CHECKING:
    from support.cli import Dolmen

needs_xorriso = pytest.mark.skipif(
    not shutil.which("xorriso"), reason="xorriso is not installed (Debian package xorriso)"
)
DEVICES = (stat.S_IFCHR, stat.S_IFBLK)
# Runs the command and says how much memory its process had at most, in KiB.
WATCHED = """
import resource, subprocess, sys
command = [sys.executable, "-m", "dolmen", *sys.argv[1:]]
subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
OVERLAYS = """
init: ["made/base:1", "made/over:1"]
files:
  - {path: lib/made, contents: "through a link", mode: "0644"}
"""


def unpacked(path: Path, out: Path) -> Path:
    """Unpack an ISO volume."""
    subprocess.run(
        [
            *("xorriso", "-abort_on", "WARNING", "-report_about", "WARNING"),
            *("-osirrox", "on:auto_chmod_on", "-indev", path, "-extract", "/", out),
        ],
        check=True,
        capture_output=True,
    )
    return out


def listed(root: Path) -> dict[str, tuple[object, ...]]:
    """Return what there is in a tree, and what it is like."""
    found: dict[str, tuple[object, ...]] = {}
    for folder, directories, files in os.walk(root):
        for name in directories + files:
            path = Path(folder, name)
            status = path.lstat()
            what: list[object] = [oct(status.st_mode)]
            if stat.S_ISLNK(status.st_mode):
                what = [str(path.readlink())]
            elif stat.S_ISREG(status.st_mode):
                what += [path.read_bytes(), int(status.st_mtime)]
            if os.geteuid() == 0:
                what += [status.st_uid, status.st_gid]
            found[str(path.relative_to(root))] = tuple(what)
    return found


@pytest.mark.slow
@needs_xorriso
def test_the_iso_has_the_tree_of_the_tar(
    dolmen: Dolmen, conformance_layout: Path, tmp_path: Path
) -> None:
    rich_store(conformance_layout, tmp_path / "store")
    project = rich_project(tmp_path / "project")
    build = ("--cache", tmp_path / "store", "build", "--dir", tmp_path)
    for format_name in ("tar", "kernel+iso"):
        done = dolmen.run(*build, "--format", format_name, project / "image.yml")
        assert done.returncode == 0, done.stderr
    out = unpacked(tmp_path / "image.iso", tmp_path / "iso")
    plain = tmp_path / "tar"
    plain.mkdir()
    # It complains of a link in the place of a directory that has something in it.
    unpack = ("tar", "xpf", tmp_path / "image.tar", "-C", plain)
    subprocess.run(unpack, check=False, capture_output=True)
    boot = listed(plain / "boot")
    found, wanted = listed(out), listed(plain)
    for name in boot:
        del wanted[f"boot/{name}"]
    # xorriso does not make devices.
    devices = {n for n in wanted if stat.S_IFMT((plain / n).lstat().st_mode) in DEVICES}
    assert devices
    for name in devices:
        del wanted[name]
    assert found.keys() == wanted.keys()
    for name, what in wanted.items():
        assert found[name] == what, name
    assert (tmp_path / "image-kernel").read_bytes() == (plain / "boot/kernel").read_bytes()


@needs_xorriso
def test_later_entries_replace_earlier_ones(dolmen: Dolmen, tmp_path: Path) -> None:
    kept = Store(tmp_path / "store")
    image(
        kept,
        "made/base:1",
        (
            directory("usr"),
            directory("usr/lib"),
            symlink("lib", "usr/lib"),
            symlink("loop", "loop"),
            E("usr/lib/a", b"first"),
            hardlink("usr/lib/b", "usr/lib/a"),
            directory("turned"),
            E("turned/below", b"stays"),
            directory("empty"),
            E("file", b"becomes a directory"),
        ),
    )
    image(
        kept,
        "made/over:1",
        (
            E("lib/a", b"second, through a link"),
            E("turned", b"not over a directory with something in it"),
            E("empty", b"a file now"),
            directory("file"),
            E("file/within", b"x"),
        ),
    )
    (tmp_path / "image.yml").write_text(OVERLAYS)
    done = dolmen.run(
        *("--cache", tmp_path / "store", "build", "--format", "kernel+iso"),
        *("--dir", tmp_path, "--no-sbom", tmp_path / "image.yml"),
    )
    assert done.returncode == 0, done.stderr
    out = unpacked(tmp_path / "image.iso", tmp_path / "iso")
    assert (out / "usr/lib/a").read_bytes() == b"second, through a link"
    assert (out / "usr/lib/b").read_bytes() == b"first"
    assert (out / "usr/lib/made").read_bytes() == b"through a link"
    assert (out / "lib").readlink() == Path("usr/lib")
    assert (out / "turned/below").read_bytes() == b"stays"
    assert (out / "empty").read_bytes() == b"a file now"
    assert (out / "file/within").read_bytes() == b"x"


@pytest.mark.slow
def test_too_many_files_for_an_iso_volume(dolmen: Dolmen, tmp_path: Path) -> None:
    kept = Store(tmp_path / "store")
    for name, count in (("made/many:1", MAX_ISO_ENTRIES - 1000), ("made/more:1", 2000)):
        files = (E(f"{name}/d{n // 300}/file-{n}", b"%d" % n) for n in range(count))
        image(kept, name, tuple(files))
    (tmp_path / "fits.yml").write_text('init: ["made/many:1"]\n')
    (tmp_path / "not.yml").write_text('init: ["made/many:1", "made/more:1"]\n')
    build = ("--cache", tmp_path / "store", "build", "--format", "kernel+iso", "--no-sbom")
    done = subprocess.run(
        [
            *(sys.executable, "-c", WATCHED, *map(str, build)),
            *("--dir", str(tmp_path), str(tmp_path / "fits.yml")),
        ],
        env=dolmen.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout.split()[-1]) < 64 << 10
    done = dolmen.run(*build, "--dir", tmp_path, tmp_path / "not.yml")
    assert done.returncode == 1
    assert f"error[DM0602]: the system has more than {MAX_ISO_ENTRIES} files" in done.stderr
    assert not (tmp_path / "not.iso").exists()
