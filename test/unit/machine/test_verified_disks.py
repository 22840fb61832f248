"""The disk of a verified system is recognised, and brings the certificate it is signed with."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from assembler.errors import MachineError
from assembler.machine import verified_disks
from assembler.machine.image_detection import detect_image
from assembler.machine.options import RunOptions
from assembler.machine.secure_boot_keys import lists_of_certificate
from assembler.machine.verified_disks import options_for_verified, own_certificate
from assembler.media import (
    ESP_TYPE,
    ExtentImage,
    FatFile,
    FatVolume,
    GptDisk,
    GptPartition,
    KeySetOptions,
    generate_keys,
    image_content,
    read_certificate,
    read_signer,
    sign_program,
    write_image,
)
from support.programs import program as efi_program

if TYPE_CHECKING:
    from pathlib import Path

ROOT, TREE = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5"
ARM_TREE = "df3300ce-d69f-4c92-978c-9bfb0f38d820"
MEBI = 1 << 20


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a set of keys."""
    folder = tmp_path_factory.mktemp("keys") / "set"
    generate_keys(folder, KeySetOptions("Test", datetime(2026, 1, 1, tzinfo=UTC)))
    return folder


def disk(path: Path, tree: str, keys: Path | None = None) -> Path:
    """Write a disk with an ESP and a slot."""
    program = ExtentImage.of([(0, efi_program())])
    if keys is not None:
        program = sign_program(program, read_signer(keys / "db.key", keys / "db.crt", str))
    files = [FatFile("EFI/BOOT/BOOTX64.EFI", image_content(program))]
    esp = FatVolume.plan(files, size=4 * MEBI, label="ESP", hidden_sectors=2048, seed=b"e")
    empty = ExtentImage(MEBI, ())
    parts = [
        GptPartition(ESP_TYPE, "esp", esp),
        GptPartition(ROOT, "root_1", empty),
        GptPartition(tree, "hash_1", empty),
    ]
    with path.open("wb") as file:
        write_image(GptDisk.plan(parts, seed=b"d"), file)
    return path


@pytest.mark.parametrize(
    ("tree", "architecture"), [(TREE, "amd64"), (ARM_TREE, "arm64"), (ROOT, "")]
)
def test_a_hash_tree_tells_that_a_disk_is_verified(
    tmp_path: Path, tree: str, architecture: str
) -> None:
    image = detect_image(disk(tmp_path / "disk", tree))
    assert (image.verified, image.architecture) == (bool(architecture), architecture)
    assert image.only_uefi


def test_a_partition_table_that_is_cut_short_tells_nothing(tmp_path: Path) -> None:
    path = disk(tmp_path / "disk", TREE)
    data = path.read_bytes()
    for size in (520, 600, 1024, 1200):
        path.write_bytes(data[:size])
        assert not detect_image(path).verified


def test_a_verified_system_gets_secure_boot_and_a_tpm(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = RunOptions()
    monkeypatch.setattr(verified_disks, "find_program", lambda _: None)
    assert options_for_verified(usual, "amd64") == replace(usual, secure_boot=True)
    monkeypatch.setattr(verified_disks, "find_program", lambda _: "/usr/bin/swtpm")
    assert options_for_verified(usual, "arm64") == replace(usual, secure_boot=True, tpm=True)
    # There is no firmware that knows it.
    assert options_for_verified(usual, "riscv64") == replace(usual, uefi=True)


def test_the_certificate_of_the_boot_loader_is_found(tmp_path: Path, keys: Path) -> None:
    found = own_certificate(disk(tmp_path / "disk", TREE, keys))
    certificate = read_certificate(keys / "db.crt")
    assert found.subject == certificate.subject.rfc4514_string()
    lists = lists_of_certificate(found.encoded)
    assert set(lists) == {"PK", "KEK", "db"}
    assert all(found.encoded in content for content in lists.values())


def test_a_boot_loader_without_valid_signature_is_refused(tmp_path: Path, keys: Path) -> None:
    path = disk(tmp_path / "disk", TREE)
    with pytest.raises(MachineError, match="has no valid signature"):
        own_certificate(path)
    path = disk(tmp_path / "disk", TREE, keys)
    data = bytearray(path.read_bytes())
    place = data.index(b"MZ")
    data[place + 0x30] ^= 1
    path.write_bytes(data)
    with pytest.raises(MachineError, match="has no valid signature"):
        own_certificate(path)
