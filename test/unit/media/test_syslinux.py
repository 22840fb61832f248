"""syslinux is put onto volumes as its own installer does it."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from assembler.errors import OutputError
from assembler.media import write_image
from assembler.media.fat import FatFile, FatVolume
from assembler.media.mbr import MbrDisk
from assembler.media.syslinux import NAME, Syslinux, syslinux_config
from support.loaders import installer

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


def volume(bits: int) -> FatVolume:
    """Return a volume of a size that makes it FAT12, 16 or 32."""
    files = [Syslinux.of(installer()).file(), FatFile("kernel", b"k"), FatFile("a/b", b"b")]
    return FatVolume.plan(files, size={12: 2, 16: 20, 32: 300}[bits] * MIB, hidden_sectors=2048)


@pytest.mark.parametrize("bits", [12, 16, 32])
def test_the_first_sector_leads_to_the_loader_and_it_to_the_rest(bits: int) -> None:
    planned = volume(bits)
    installed = Syslinux.of(installer()).installed(planned)
    assert installed.geometry.bits == bits
    sector = installed.boot_sector()
    extent = installed.extent(NAME)
    assert int.from_bytes(sector[0x100:0x108], "little") == extent.first
    assert sector[3:11] == b"SYSLINUX"
    assert sector[11:90] == planned.boot_sector()[11:90]
    assert int.from_bytes(sector[28:32], "little") == 2048
    loader = b"".join(
        t.content
        for t in installed.extents()
        if t.offset == extent.first * 512 and isinstance(t.content, bytes)
    )
    words = [loader[n : n + 4] for n in range(0, 0x10000, 4)]
    assert sum(int.from_bytes(w, "little") for w in words) & 0xFFFFFFFF == 0x3EB202FE
    covered = []
    for n in range(64):
        entry = loader[128 + 10 * n : 138 + 10 * n]
        first, count = int.from_bytes(entry[:8], "little"), int.from_bytes(entry[8:], "little")
        covered += range(first, first + count)
    assert covered == list(range(extent.first + 1, extent.first + 128))
    assert int.from_bytes(loader[96:104], "little") == extent.first + 128
    assert loader[112:128] == b"/".ljust(16, b"\0")


@pytest.mark.skipif(not shutil.which("fsck.vfat"), reason="dosfstools is not installed")
@pytest.mark.parametrize("bits", [12, 16, 32])
def test_the_volume_stays_whole(bits: int, tmp_path: Path) -> None:
    path = tmp_path / "volume"
    with path.open("w+b") as file:
        write_image(Syslinux.of(installer()).installed(volume(bits)), file)
    done = subprocess.run(["fsck.vfat", "-n", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("wrong", [b"", b"\x7fELF" * 9, installer()[:600], installer()[600:]])
def test_an_installer_of_something_else_is_refused(wrong: bytes) -> None:
    with pytest.raises(OutputError, match="contains no boot sector"):
        Syslinux.of(wrong)


def test_a_command_line_stays_one_line() -> None:
    text = syslinux_config("console=ttyS0\nquiet").decode()
    assert "    APPEND console=ttyS0 quiet\n" in text
    assert "APPEND" not in syslinux_config("").decode()


@pytest.mark.skipif(not shutil.which("sfdisk"), reason="sfdisk is not installed")
@pytest.mark.parametrize("bits", [16, 32])
def test_the_partition_is_active_and_said_to_be_fat(bits: int, tmp_path: Path) -> None:
    path = tmp_path / "disk"
    found = volume(bits)
    with path.open("w+b") as file:
        write_image(MbrDisk(MIB + found.size, found, b"\xfa" * 440, b"mark"), file)
    done = subprocess.run(["sfdisk", "-d", path], capture_output=True, text=True, check=True)
    assert f"start=        2048, size={found.size // 512:>12}, type={14 - (bits // 32) * 2:x}," in (
        done.stdout
    )
    assert "bootable" in done.stdout
    subprocess.run(["sfdisk", "--verify", path], capture_output=True, check=True)


def test_a_disk_of_two_terabytes_is_too_large_for_a_bios() -> None:
    with pytest.raises(OutputError, match="2 TiB"):
        MbrDisk(2 << 40, volume(16), b"", b"mark")
