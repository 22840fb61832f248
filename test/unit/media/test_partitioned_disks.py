"""Disks with a GUID partition table, with sgdisk and sfdisk as judges."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from assembler.errors import OutputError
from assembler.media import ExtentImage, gpt, write_image
from assembler.media.gpt import GptDisk, GptPartition

if TYPE_CHECKING:
    from pathlib import Path

needs_judges = pytest.mark.skipif(
    not (shutil.which("sgdisk") and shutil.which("sfdisk")),
    reason="gdisk or fdisk is not installed",
)
MIB = 1 << 20
SMALL = ExtentImage.of([(5, b"first")], 70_000)
LARGE = ExtentImage.of([(0, b"second"), (2 * MIB, b"more")], 2 * MIB + 512 * 7)


def written(disk: GptDisk, path: Path) -> Path:
    """Write a disk."""
    with path.open("w+b") as file:
        write_image(disk, file)
    assert path.stat().st_size == disk.size
    return path


@needs_judges
@pytest.mark.parametrize("size", [None, 7 * MIB, 7 * MIB + 512 * 9, 3 << 30, 3 << 40])
def test_sgdisk_and_sfdisk_find_no_problem(size: int | None, tmp_path: Path) -> None:
    parts = [
        GptPartition(gpt.ESP_TYPE, "EFI system", SMALL, gpt.LEGACY_BOOT_FLAG),
        GptPartition(gpt.LINUX_TYPE, "data", LARGE, uuid="01234567-89ab-cdef-0123-456789abcdef"),
    ]
    disk = GptDisk.plan(parts, seed=b"mark", size=size, boot_code=b"code")
    path = written(disk, tmp_path / "disk")
    said = subprocess.run(["sgdisk", "-v", path], capture_output=True, text=True, check=True).stdout
    assert "No problems found" in said
    assert "Caution" not in said
    subprocess.run(["sfdisk", "--verify", path], check=True, capture_output=True)
    dumped = subprocess.run(
        ["sfdisk", "--json", path], check=True, capture_output=True, text=True
    ).stdout
    first, second = json.loads(dumped)["partitiontable"]["partitions"]
    assert (first["type"], first["name"]) == (gpt.ESP_TYPE, "EFI system")
    assert first["attrs"] == "LegacyBIOSBootable"
    assert second["uuid"] == "01234567-89AB-CDEF-0123-456789ABCDEF"
    with path.open("rb") as file:
        assert file.read(4) == b"code"
        file.seek(disk.first(0) + 5)
        assert file.read(5) == b"first"
        file.seek(disk.first(1) + 2 * MIB)
        assert file.read(4) == b"more"
    assert [disk.first(n) for n in (0, 1)] == [p["start"] * 512 for p in (first, second)]


def test_uuids_follow_from_the_mark(tmp_path: Path) -> None:
    def made(mark: bytes, name: str) -> bytes:
        disk = GptDisk.plan([GptPartition(gpt.ESP_TYPE, "x", SMALL)], seed=mark)
        return written(disk, tmp_path / name).read_bytes()

    assert made(b"one", "a") == made(b"one", "b")
    assert made(b"one", "c") != made(b"two", "d")


def test_a_disk_that_is_too_small_is_refused_with_a_sufficient_size() -> None:
    parts = [GptPartition(gpt.ESP_TYPE, "x", LARGE)]
    with pytest.raises(OutputError, match=r"they need \d+ bytes") as caught:
        GptDisk.plan(parts, seed=b"", size=4 * MIB)
    needed = int(caught.value.diagnostics[0].hints[0].split()[-2])
    assert GptDisk.plan(parts, seed=b"", size=needed).size == needed
    assert gpt.gpt_partition_capacity(needed) >= LARGE.size
