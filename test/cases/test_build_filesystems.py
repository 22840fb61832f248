"""A user builds the root filesystem as squashfs or erofs, with the host's programs or without."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from assembler.oci.store import Store
from support.archives import E, directory, hardlink, image, symlink
from support.cli import Dolmen
from support.guests import HOME, REPOSITORY, needs_qemu

pytestmark = [pytest.mark.slow, needs_qemu]

SYSTEM = f"""
init: ["@pkg:{REPOSITORY}/pkg/crun", "@pkg:{REPOSITORY}/pkg/dummy"]
services:
  - {{name: one, image: "@pkg:{REPOSITORY}/pkg/dummy"}}
files:
  - {{path: etc/motd, contents: "hello", mode: "0640"}}
  - {{path: etc/other, symlink: motd}}
"""
FORMATS = "kernel+squashfs,kernel+erofs"


def without_programs(folder: Path) -> str:
    """Return a PATH with everything but programs that make filesystems."""
    folder.mkdir()
    for place in map(Path, os.environ["PATH"].split(":")):
        for program in place.glob("*") if place.is_dir() else ():
            link = folder / program.name
            if not re.match("mksquashfs|sqfstar|mkfs", program.name) and not link.is_symlink():
                link.symlink_to(program)
    return str(folder)


def build(folder: Path, *options: str, env: dict[str, str] | None = None, umask: int = -1) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    HOME.mkdir(parents=True, exist_ok=True)
    (folder / "image.yml").write_text(SYSTEM)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "dolmen", "build", "--force"),
            *(options if "--format" in options else ("--format", FORMATS, *options)),
            "image.yml",
        ],
        cwd=folder,
        env=Dolmen(HOME).environment(env),
        umask=umask,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if "error[DM0721]" in done.stderr:
        pytest.skip(f"Debian's archive cannot be used: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob("image-*.img")}


def test_programs_of_the_store_are_used_if_the_host_has_none(tmp_path: Path) -> None:
    path = without_programs(tmp_path / "bin")
    build(tmp_path / "a", "--jobs", "1", env={"PATH": path})
    build(
        tmp_path / "elsewhere" / "b",
        *("--jobs", "2"),
        env={"PATH": path, "TZ": "Asia/Tokyo", "SOURCE_DATE_EPOCH": "5", "LC_ALL": "C"},
        umask=0o077,
    )
    made = digests(tmp_path / "a")
    assert set(made) == {"image-squashfs.img", "image-erofs.img"}
    assert digests(tmp_path / "elsewhere" / "b") == made


@pytest.mark.skipif(not shutil.which("unsquashfs"), reason="unsquashfs is not installed")
def test_a_squashfs_has_the_tree_of_the_tar(tmp_path: Path) -> None:
    build(tmp_path, "--compression", "zstd")
    build(tmp_path, "--format", "tar")
    done = subprocess.run(
        ["unsquashfs", "-lln", tmp_path / "image-squashfs.img"],
        capture_output=True,
        text=True,
        check=True,
        env={"TZ": "UTC", "PATH": os.environ["PATH"]},
    )
    listed = {}
    for line in done.stdout.splitlines():
        words = line.split(None, 5)
        if len(words) == 6 and words[5].startswith("squashfs-root/"):
            name, _, target = words[5].removeprefix("squashfs-root/").partition(" -> ")
            listed[name] = (words[0], words[1], target)
    expected = {}
    with tarfile.open(tmp_path / "image.tar") as archive:
        for member in archive:
            if member.name != "boot" and not member.name.startswith("boot/"):
                kind = {tarfile.DIRTYPE: stat.S_IFDIR, tarfile.SYMTYPE: stat.S_IFLNK}
                mode = stat.filemode(kind.get(member.type, stat.S_IFREG) | member.mode)
                if member.issym():
                    mode = "lrwxrwxrwx"
                target = member.linkname if member.issym() else ""
                expected[member.name] = (mode, f"{member.uid}/{member.gid}", target)
    assert listed == expected


@pytest.mark.parametrize("name", ["squashfs", "erofs"])
def test_an_interrupt_ends_the_filesystem_tool(tmp_path: Path, name: str) -> None:
    build(tmp_path)
    made = digests(tmp_path)
    # All of it is soon handed over, and compressing it takes the program many seconds.
    (tmp_path / "large").write_bytes(random.Random(1).randbytes(1 << 20) * 48)
    (tmp_path / "image.yml").write_text(f"{SYSTEM}  - {{path: large, source: large}}\n")
    words = ("--format", f"kernel+{name}", "--compression", "xz", "--jobs", "1", "image.yml")
    process = subprocess.Popen(
        [sys.executable, "-m", "dolmen", "build", *words],
        cwd=tmp_path,
        env=Dolmen(HOME).environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (programs := makers(process.pid)):
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(1.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert (process.returncode, told.splitlines()[-1]) == (130, "interrupted")
    assert not any(Path(f"/proc/{number}").exists() for number in programs)
    assert digests(tmp_path) == made
    assert not list(tmp_path.glob("*.part"))


def makers(parent: int) -> list[int]:
    """Return the processes of a build that make a filesystem."""
    text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    lines = {int(n): Path(f"/proc/{n}/cmdline").read_bytes() for n in text.split()}
    return [number for number, words in lines.items() if b"-quiet\0" in words]


def small(tmp_path: Path, config: bytes) -> Path:
    store = Store(tmp_path / "store")
    image(store, "t/kernel:1", (E("kernel", b"K" * 600), E("kernel_config", config)))
    image(store, "t/root:1", (directory("a"), E("a/b", b"x"), hardlink("a/c", "a/b")))
    image(store, "t/empty:1", (symlink("nothing", "x"),))
    (tmp_path / "image.yml").write_text(
        "kernel: {image: 't/kernel:1', tar: none}\ninit: ['t/root:1']\n"
    )
    return store.root


def test_a_kernel_that_cannot_read_it_is_refused_at_its_line(tmp_path: Path) -> None:
    store = small(tmp_path, b"CONFIG_SQUASHFS=y\nCONFIG_SQUASHFS_XZ=y\n")
    done = Dolmen(tmp_path).run(
        *("--cache", store, "build", "--imagetools", "t/empty:1", "--offline", "--no-sbom"),
        *("--format", "kernel+squashfs", "image.yml"),
    )
    assert done.returncode == 1
    assert "CONFIG_SQUASHFS_ZLIB is not set" in done.stderr
    assert "image.yml:1:" in done.stderr
    assert "--compression xz" in done.stderr
    assert not list(tmp_path.glob("image-*"))


def test_an_image_without_the_programs_is_refused(tmp_path: Path) -> None:
    store = small(tmp_path, b"CONFIG_SQUASHFS=y\nCONFIG_SQUASHFS_ZLIB=y\n")
    done = Dolmen(tmp_path).run(
        *("--cache", store, "build", "--imagetools", "t/empty:1", "--offline", "--no-sbom"),
        *("--json", "--format", "kernel+squashfs", "image.yml"),
        env={"PATH": without_programs(tmp_path / "bin")},
    )
    assert done.returncode == 1
    assert "t/empty:1 has no" in json.dumps(json.loads(done.stdout))
    assert not list(tmp_path.glob("image-*"))
    assert not list(tmp_path.glob(".*.part"))


def test_offline_without_the_programs_has_a_hint(tmp_path: Path) -> None:
    store = small(tmp_path, b"")
    done = Dolmen(tmp_path).run(
        *("--cache", store, "build", "--offline", "--no-sbom"),
        *("--format", "kernel+erofs", "image.yml"),
        env={"PATH": without_programs(tmp_path / "bin")},
    )
    assert done.returncode == 1
    assert "no programs that make filesystems for" in done.stderr
    assert "--imagetools IMAGE" in done.stderr


MEASURED = """
import re, sys
from dolmen.__main__ import main
try:
    main()
finally:
    # Unlike getrusage it knows nothing of the process that this one was forked from.
    print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1], file=sys.stderr)
"""


@pytest.mark.whole
@pytest.mark.boot
@pytest.mark.parametrize("form", ["kernel+initrd", "kernel+squashfs", "kernel+erofs"])
def test_three_hundred_thousand_files_take_little_memory(tmp_path: Path, form: str) -> None:
    folders = range(300)
    many = [directory("d"), *(directory(f"d/{i}") for i in folders)]
    many += [E(f"d/{i}/file-{j:04}", b"%d %d" % (i, j)) for i in folders for j in range(1000)]
    build(tmp_path)
    store = HOME / ".cache" / "dolmen"
    image(Store(store), "test/many:1", many)
    image(Store(store), "test/kernel:1", (E("kernel", b"K" * 600),))
    (tmp_path / "many.yml").write_text(
        "kernel: {image: 'test/kernel:1', tar: none}\ninit: ['test/many:1']\n"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-c", MEASURED, "build", "--force", "--offline", "--no-sbom"),
            *("--jobs", "1", "--format", form, "many.yml"),
        ],
        cwd=tmp_path,
        env=Dolmen(HOME).environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stderr.splitlines()[-1]) < 64 << 10
    root = tmp_path / "many-squashfs.img"
    if root.exists() and shutil.which("unsquashfs"):
        listed = subprocess.run(["unsquashfs", "-ls", root], capture_output=True, check=True)
        assert listed.stdout.count(b"/file-") == 300_000
