"""ISO volumes as xorriso reads them: every name, attribute and byte."""

from __future__ import annotations

import os
import random
import re
import shutil
import stat
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pycdlib import PyCdlib

from assembler.content import ContentChain, FileRange, write_content_at
from assembler.errors import OutputError
from assembler.media import sparse_image
from assembler.media.iso import ISO_SECTOR, FileSlice, IsoBoot, IsoEntry, IsoVolume, regular_file

if TYPE_CHECKING:
    from collections.abc import Sequence

SEED = bytes(range(32))
WHEN = 1_492_533_000
DIRECTORY, FILE, LINK = stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK
needs_xorriso = pytest.mark.skipif(
    not shutil.which("xorriso"), reason="xorriso is not installed (Debian package xorriso)"
)
LONG = b"n" * 255
DEEP = "/".join(f"level{n}" for n in range(12))


def volume(entries: list[IsoEntry], boot: IsoBoot | None = None) -> IsoVolume:
    """Plan a volume."""
    return IsoVolume.plan(entries, label="TEST", seed=SEED, boot=boot, mtime=WHEN)


def sector_of(found: IsoVolume, content: object) -> int:
    """Return where a content lies; of isolinux, what follows its table."""
    tail = content[64:] if isinstance(content, bytes) and len(content) > 64 else content
    for thing in found.extents():
        here = thing.content
        if here == content or (isinstance(here, bytes) and here[64:] and here[64:] == tail):
            return thing.offset // ISO_SECTOR
    raise AssertionError("it lies nowhere")


def written(found: IsoVolume, path: Path) -> Path:
    """Write a volume to a file."""
    with path.open("w+b") as file:
        sparse_image.write_image(found, file)
    return path


def xorriso(
    path: Path, *words: str | Path, before: Sequence[str] = (), osirrox: bool = False
) -> str:
    """Let xorriso read a volume; anything it says above a note is a failure."""
    done = subprocess.run(
        [
            *("xorriso", "-abort_on", "WARNING", "-report_about", "WARNING"),
            *(("-osirrox", "on:auto_chmod_on") if osirrox else ()),
            *(*before, "-indev", path, *words),
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"TZ": "UTC", "LC_ALL": "C.UTF-8"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def all_sorts() -> list[IsoEntry]:
    """Return entries of all sorts, each odd in some way."""
    plain = [regular_file(f"many/{n:04}-{'x' * (n % 90)}", b"%d" % n, WHEN) for n in range(700)]
    return [
        IsoEntry(b"", DIRECTORY | 0o751, uid=5, mtime=WHEN),
        regular_file("kernel", b"k" * 5000, WHEN),
        regular_file("Kernel", b"another", WHEN),
        regular_file("initrd.img", b"i", WHEN),
        regular_file("empty", b"", WHEN),
        regular_file(".hidden", b"h", WHEN),
        regular_file("tar.gz.old", b"t", WHEN),
        regular_file("größe/ß", "ü".encode(), WHEN),
        regular_file(f"{DEEP}/bottom", b"deep", WHEN),
        IsoEntry(b"long/" + LONG, FILE | 0o600, b"long", mtime=WHEN),
        IsoEntry(b"usr/bin/su", FILE | 0o4755, b"su", uid=70000, gid=80000, mtime=1_000_000_000),
        IsoEntry(b"tmp", DIRECTORY | 0o1777, mtime=WHEN),
        IsoEntry(b"bin", LINK | 0o777, target=b"usr/bin", mtime=WHEN),
        IsoEntry(b"up", LINK | 0o777, target=b"../../x", mtime=WHEN),
        IsoEntry(b"root", LINK | 0o777, target=b"/", mtime=WHEN),
        IsoEntry(b"abs", LINK | 0o777, target=b"/usr/bin/su", mtime=WHEN),
        IsoEntry(b"far", LINK | 0o777, target=b"/".join([b"d" * 200] * 5), mtime=WHEN),
        IsoEntry(b"wide", LINK | 0o777, target=b"w" * 255, mtime=WHEN),
        IsoEntry(b"null", stat.S_IFCHR | 0o666, device=(1, 3), mtime=WHEN),
        IsoEntry(b"disk", stat.S_IFBLK | 0o660, device=(8, 17), gid=6, mtime=WHEN),
        IsoEntry(b"pipe", stat.S_IFIFO | 0o644, mtime=WHEN),
        IsoEntry(b"one", FILE | 0o644, b"twice" * 1000, links=2, mtime=WHEN),
        IsoEntry(b"two", FILE | 0o644, b"twice" * 1000, links=2, mtime=WHEN),
        *plain,
    ]


@needs_xorriso
def test_xorriso_reads_every_entry(tmp_path: Path) -> None:
    entries = all_sorts()
    path = written(volume(entries), tmp_path / "all.iso")
    out = tmp_path / "out"
    devices = [e for e in entries if stat.S_IFMT(e.mode) in (stat.S_IFCHR, stat.S_IFBLK)]
    listed = xorriso(path, "-find", "/", "-exec", "lsdl", "--")
    for entry in devices:
        kind = "c" if stat.S_ISCHR(entry.mode) else "b"
        major, minor = entry.device
        assert re.search(rf"{kind}.*[ ]{major}, *{minor} .*'/{entry.path.decode()}'", listed)
    xorriso(path, "-extract", "/", out, osirrox=True)
    for entry in entries:
        name = os.fsencode(out) + b"/" + entry.path
        if entry in devices and not Path(os.fsdecode(name)).exists():
            continue
        found = os.lstat(name)
        assert stat.S_IFMT(found.st_mode) == stat.S_IFMT(entry.mode), entry
        if stat.S_ISLNK(entry.mode):
            assert os.fsencode(Path(os.fsdecode(name)).readlink()) == entry.target
            continue
        assert int(found.st_mtime) == entry.mtime, entry
        assert found.st_mode == entry.mode, entry
        if os.geteuid() == 0:
            assert (found.st_uid, found.st_gid) == (entry.uid, entry.gid), entry
        if stat.S_ISREG(entry.mode):
            assert Path(os.fsdecode(name)).read_bytes() == entry.content, entry


@needs_xorriso
def test_names_are_unique_without_rock_ridge(tmp_path: Path) -> None:
    path = written(volume(all_sorts()), tmp_path / "all.iso")
    told = xorriso(path, "-find", "/", before=("-read_fs", "norock"))
    names = re.findall(r"'(.*)'", told)
    assert len(set(names)) == len(names)
    assert {"/KERNEL", "/INITRD.IMG"} <= {re.sub(r"\.?(;1)?$", "", n) for n in names}


@needs_xorriso
def test_files_of_more_than_4_gib(tmp_path: Path) -> None:
    size = (5 << 30) + 1
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.truncate(size)
    path = tmp_path / "large.iso"
    with source.open("rb") as file, path.open("wb") as out:
        large = FileRange(file.fileno(), size)
        found = volume([regular_file("large", large), regular_file("z", b"z")])
        # As it is written, but without the gigabytes of the file, of which nothing is to be seen.
        out.truncate(found.size)
        for thing in found.extents():
            if thing.content is not large:
                write_content_at(out.fileno(), thing.offset, thing.content)
    begin = sector_of(found, large)
    listed = xorriso(path, "-find", "/large", "-exec", "report_lba", "--")
    extents = re.findall(r"File data lba: +(\d+) , +(\d+) , +(\d+)", listed)
    first = (4 << 30) // ISO_SECTOR - 1
    assert [tuple(map(int, e[:2])) for e in extents] == [(0, begin), (1, begin + first)]
    assert int(extents[0][2]) == first
    assert f" {size} " in xorriso(path, "-lsl", "/large")


@needs_xorriso
@pytest.mark.parametrize("efi_size", [1 << 20, 40 << 20])
def test_boot_images(efi_size: int, tmp_path: Path) -> None:
    loader = random.Random(1).randbytes(38912)
    entries = [
        regular_file("isolinux/isolinux.bin", loader, WHEN),
        regular_file("boot/efi.img", ContentChain((b"FAT", bytes(efi_size - 3))), WHEN),
        regular_file("zz", b"comes behind by its name", WHEN),
    ]
    boot = IsoBoot(bios=b"isolinux/isolinux.bin", mbr=b"\xfa" * 432, efi=b"boot/efi.img")
    found = volume(entries, boot)
    path = written(found, tmp_path / "boot.iso")
    told = xorriso(path, "-report_el_torito", "plain", "-report_system_area", "plain")
    assert re.search(r"El Torito boot img :   1  BIOS  y   none  0x0000  0x00      4 ", told)
    blocks = efi_size // 512 if efi_size < 32 << 20 else 0
    assert re.search(rf"El Torito boot img :   2  UEFI  y   none  0x0000  0x00 +{blocks} ", told)
    assert re.search(r"MBR partition +: +1 +0x80", told)
    assert re.search(rf"MBR partition +: +2 +0x00 +0xef +\d+ +{efi_size // 512}", told)
    # The image for UEFI is the last thing on the volume, for those whose size is not told.
    assert sector_of(found, b"comes behind by its name") < sector_of(found, b"FAT")
    head = loader[:8]
    data = path.read_bytes()
    at = sector_of(found, loader) * ISO_SECTOR
    assert data[at : at + 8] == head
    descriptors, lies, size, total = struct.unpack_from("<IIII", data, at + 8)
    assert (descriptors, lies * ISO_SECTOR, size) == (16, at, len(loader))
    assert total == sum(struct.unpack(f"<{(len(loader) - 64) // 4}I", loader[64:])) & 0xFFFFFFFF
    assert data[at + 64 : at + len(loader)] == loader[64:]


@pytest.mark.skipif(not shutil.which("sfdisk"), reason="sfdisk is not installed")
def test_the_partitions_do_not_overlap(tmp_path: Path) -> None:
    entries = [regular_file("isolinux.bin", bytes(4096)), regular_file("efi.img", b"e" * 70000)]
    boot = IsoBoot(bios=b"isolinux.bin", mbr=b"\xfa" * 432, efi=b"efi.img")
    path = written(volume(entries, boot), tmp_path / "boot.iso")
    done = subprocess.run(["sfdisk", "--verify", path], capture_output=True, text=True, check=True)
    assert "overlap" not in done.stdout + done.stderr


def test_pycdlib_opens_a_volume_for_bios_and_uefi(tmp_path: Path) -> None:
    # How isohdpfx.bin begins; pycdlib then wants a GPT, if the second partition looks so.
    code = b"\x33\xed".ljust(32, b"\x90") + b"\xfa" * 400
    entries = [regular_file("isolinux.bin", bytes(4096)), regular_file("efi.img", b"e" * 70000)]
    boot = IsoBoot(bios=b"isolinux.bin", mbr=code, efi=b"efi.img")
    path = written(volume(entries, boot), tmp_path / "boot.iso")
    iso = PyCdlib()
    iso.open(str(path))
    names = {
        child.rock_ridge.name() for child in iso.list_children(rr_path="/") if child.rock_ridge
    }
    iso.close()
    assert {b"isolinux.bin", b"efi.img"} <= names


@needs_xorriso
def test_a_file_can_be_an_extent_of_another(tmp_path: Path) -> None:
    content = random.Random(2).randbytes(9 * ISO_SECTOR)
    entries = [
        regular_file("boot/efi.img", content),
        regular_file("kernel", FileSlice(b"boot/efi.img", 3 * ISO_SECTOR, 5000)),
    ]
    found = volume(entries, IsoBoot(efi=b"boot/efi.img"))
    path = written(found, tmp_path / "within.iso")
    xorriso(path, "-extract", "/", tmp_path / "out", osirrox=True)
    assert (tmp_path / "out/kernel").read_bytes() == content[3 * ISO_SECTOR : 3 * ISO_SECTOR + 5000]
    assert found.size <= 1 << 20


def test_the_order_of_entries_does_not_matter(tmp_path: Path) -> None:
    entries = all_sorts()
    one = written(volume(entries), tmp_path / "one.iso").read_bytes()
    random.Random(4).shuffle(entries)
    assert written(volume(entries), tmp_path / "two.iso").read_bytes() == one


def test_a_name_too_long_is_refused() -> None:
    with pytest.raises(OutputError, match="too long"):
        volume([IsoEntry(b"n" * 256, FILE | 0o644)])


def test_too_many_directories_are_refused() -> None:
    with pytest.raises(OutputError, match="directories"):
        volume([IsoEntry(b"d%d" % n, DIRECTORY | 0o755) for n in range(65536)])


def test_long_link_targets_are_kept() -> None:
    target = b"/" + b"/".join(b"%d" % n * 60 for n in range(30, 50))
    found = volume([IsoEntry(b"far", LINK | 0o777, target=target)])
    data = sparse_image.read_image(found, 0, 1 << 20)
    (root,) = struct.unpack_from("<I", data, 16 * ISO_SECTOR + 156 + 2)
    at = root * ISO_SECTOR
    while data[at + 33 : at + 37] != b"FAR.":
        at += data[at]
    assert _link_target(data, at + 33 + data[at + 32] + 1 - data[at + 32] % 2) == target


def _link_target(data: bytes, at: int) -> bytes:
    """Follow system use entries from area to area, as a kernel does."""
    words: list[bytes] = []
    joined = False
    following = 0
    end = at + 255
    while at < end and data[at]:
        kind, size = data[at : at + 2], data[at + 2]
        if kind == b"CE":
            sector, offset, length = (
                struct.unpack_from("<I", data, at + n)[0] for n in (4, 12, 20)
            )
            assert offset + length <= ISO_SECTOR
            following, end_of_next = (
                sector * ISO_SECTOR + offset,
                sector * ISO_SECTOR + offset + length,
            )
        elif kind == b"SL":
            part = at + 5
            while part < at + size:
                flags, length = data[part], data[part + 1]
                word = data[part + 2 : part + 2 + length]
                words[-1:] = [words[-1] + word] if joined else [*words[-1:], word]
                joined = bool(flags & 1)
                part += 2 + length
        at += size
        if following and (at >= end or not data[at]):
            at, end, following = following, end_of_next, 0
    return b"/".join(words)


@pytest.mark.slow
def test_many_files_need_little_memory(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from assembler.media import write_image
from assembler.media.iso import IsoVolume, regular_file
from assembler.content import FileRange
folder = Path(sys.argv[1])
with (folder / "content").open("rb") as source, (folder / "out.iso").open("w+b") as out:
    handle = source.fileno()
    entries = (regular_file(f"{n % 40}/{n}", FileRange(handle, 900, n << 10)) for n in range(20000))
    large = regular_file("large", FileRange(handle, 300 << 20))
    write_image(IsoVolume.plan([*entries, large], label="T", seed=bytes(32)), out)
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""
    with (tmp_path / "content").open("wb") as file:
        file.truncate(300 << 20)
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path], check=True, capture_output=True, text=True
    )
    assert int(done.stdout) < 64 << 10
    assert (tmp_path / "out.iso").stat().st_size > 340 << 20
