"""Each part of a verified image is checked, and what was changed is named."""

from __future__ import annotations

import json
import shutil
import struct
import tracemalloc
import zlib
from typing import TYPE_CHECKING

import pytest

from assembler.errors import OutputError, UsageError
from assembler.verification import CheckOutcome, Report, read_trusted_keys, verify
from support.verified_images import VerifiedImage, make_image, make_keys

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MEBI = 1 << 20
ROOT = b"".join(b"%08d" % n * 512 for n in range(300))
LOADER, PROGRAM = "EFI/BOOT/BOOTX64.EFI", "EFI/Linux/web_7.efi"
PREDICTIONS = ("web-verified.img", "predictions of PCRs")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give keys."""
    return make_keys(tmp_path_factory.mktemp("keys") / "set")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> VerifiedImage:
    """Give an image that nothing changes."""
    return make_image(tmp_path_factory.mktemp("made"), keys, ROOT)


@pytest.fixture
def image(made: VerifiedImage, tmp_path: Path) -> VerifiedImage:
    """Give a copy of the image."""
    shutil.copytree(made.disk.parent, tmp_path / "copy")
    folder = tmp_path / "copy"
    return VerifiedImage(folder / made.disk.name, folder / made.update.name, made.root_hash)


def failures(report: Report) -> dict[tuple[str, str], str]:
    """Return the details of failed checks, by part and name."""
    return {(c.part, c.name): c.detail for c in report.checks if c.outcome is CheckOutcome.FAILED}


def check(path: Path, keys: Path) -> dict[tuple[str, str], str]:
    """Verify, and return the failures."""
    return failures(verify(path, read_trusted_keys(keys)))


def change(path: Path, at: int) -> None:
    """Change a byte."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def partition(disk: Path, number: int) -> int:
    """Return where a partition begins."""
    with disk.open("rb") as file:
        file.seek(1024 + (number - 1) * 128 + 32)
        return int.from_bytes(file.read(8), "little") * 512


def place_of(text: bytes) -> Callable[[Path], int]:
    """Return a function that finds a text in a file."""
    return lambda path: path.read_bytes().index(text) + len(text) // 2


def test_an_image_that_nothing_has_changed_passes(made: VerifiedImage, keys: Path) -> None:
    report = verify(made.disk, read_trusted_keys(keys))
    assert not report.failed
    found = {(c.part, c.name): c for c in report.checks}
    assert {key for key, c in found.items() if c.outcome is CheckOutcome.UNCHECKED} == {
        ("loader/loader.conf", "signature"),
        ("slot B", "hash tree"),
    }
    assert found["slot A", "hash tree"].detail == "300 blocks of data, 4 of hashes"
    assert made.root_hash.hex() in found[PROGRAM, "command line"].detail
    assert found[PROGRAM, "slot"].detail == "slot A, version 7"
    assert any("dbx" in text for text in report.not_covered)
    update = verify(made.update, read_trusted_keys(keys))
    assert {c.outcome for c in update.checks} == {CheckOutcome.OK}
    program = verify(made.file("efi"), read_trusted_keys(keys))
    assert not program.failed
    assert program.kind == "program"


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        pytest.param(lambda _: 1024 + 40, ("disk", "partition table"), id="table"),
        pytest.param(lambda p: p.stat().st_size - 500, ("disk", "copy of the partition table")),
        pytest.param(place_of(b"boot loaderboot loader"), (LOADER, "signature"), id="loader"),
        pytest.param(place_of(b"kernelkernel"), (PROGRAM, "signature"), id="kernel"),
        pytest.param(place_of(b"console=ttyS0 roothash"), (PROGRAM, "signature"), id="line"),
        pytest.param(place_of(b'{"sha256":[{"pcrs'), (PROGRAM, "signature"), id="policy"),
        pytest.param(lambda p: partition(p, 2) + 299 * 4096, ("slot A", "hash tree"), id="data"),
        pytest.param(lambda p: partition(p, 3) + 4096, ("slot A", "hash tree"), id="top"),
        pytest.param(lambda p: partition(p, 3) + 8192, ("slot A", "hash tree"), id="leaf"),
        pytest.param(lambda p: partition(p, 3) + 90, ("slot A", "hash tree"), id="salt"),
        pytest.param(lambda p: partition(p, 3), ("slot A", "hash tree"), id="superblock"),
        pytest.param(lambda p: partition(p, 3) + 72, ("slot A", "hash tree"), id="size"),
    ],
)
def test_a_changed_byte_is_named(
    image: VerifiedImage,
    keys: Path,
    place: Callable[[Path], int],
    expected: tuple[str, str],
) -> None:
    change(image.disk, place(image.disk))
    assert expected in check(image.disk, keys)


def test_the_wrong_block_is_named(image: VerifiedImage, keys: Path) -> None:
    change(image.disk, partition(image.disk, 2) + 123 * 4096 + 5)
    found = check(image.disk, keys)
    assert found == {("slot A", "hash tree"): "block 123 of the data is not what was signed"}
    change(image.disk, partition(image.disk, 3) + 2 * 4096 + 128)
    assert "level 0" in check(image.disk, keys)["slot A", "hash tree"]


def test_data_that_nothing_covers_may_change(image: VerifiedImage, keys: Path) -> None:
    change(image.disk, partition(image.disk, 2) + 300 * 4096)
    assert check(image.disk, keys) == {}


def test_the_keys_of_others_are_not_trusted(
    image: VerifiedImage, keys: Path, tmp_path: Path
) -> None:
    others = make_keys(tmp_path / "others")
    found = check(image.disk, others)
    assert "not the certificate db" in found[LOADER, "signature"]
    assert "not by the key" in found[PROGRAM, "signature of the root hash"]
    assert found[PROGRAM, "policy of PCR 11"] == ".pcrpkey is not the key in pcr.pub"
    found = check(image.update, others)
    assert found["index.json", "signature of the index"]
    mixed = tmp_path / "mixed"
    shutil.copytree(keys, mixed)
    shutil.copy(others / "KEK.crt", mixed)
    assert set(check(image.disk, mixed)) == {
        ("keys", "KEK.auth is signed by PK"),
        ("keys", "db.auth is signed by KEK"),
    }


def test_missing_keys_are_said(image: VerifiedImage, keys: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    with pytest.raises(UsageError, match=r"has no certificate db\.crt"):
        read_trusted_keys(few)
    shutil.copy(keys / "db.crt", few)
    report = verify(image.disk, read_trusted_keys(few))
    assert not report.failed
    unchecked = {c.name: c.detail for c in report.checks if c.outcome is CheckOutcome.UNCHECKED}
    assert unchecked["policy of PCR 11"] == "the keys have no pcr.pub"
    (few / "update.pub").write_bytes((keys / "pcr.pub").read_bytes())
    with pytest.raises(UsageError, match=r"update\.pub"):
        read_trusted_keys(few)


def test_the_signature_of_another_root_hash_is_refused(keys: Path, tmp_path: Path) -> None:
    image = make_image(tmp_path / "a", keys, ROOT, signed_hash="0" * 64)
    assert "in the command line" in check(image.disk, keys)[PROGRAM, "signature of the root hash"]


def test_a_disk_without_its_program_is_refused(image: VerifiedImage, keys: Path) -> None:
    data = image.disk.read_bytes()
    names = [f"{name}\0".encode("utf-16-le") for name in (".efi", ".old")]
    image.disk.write_bytes(data.replace(*names))
    assert ("disk", "system") in check(image.disk, keys)


def test_predictions_that_are_named_must_be_there(
    image: VerifiedImage, keys: Path, tmp_path: Path
) -> None:
    trusted = read_trusted_keys(keys)
    given = tmp_path / "given"
    assert failures(verify(image.disk, trusted, given))[PREDICTIONS]
    given.write_text('{"images": []}')
    assert failures(verify(image.disk, trusted, given)) == {}
    given.write_text("[" * 9999)
    assert failures(verify(image.disk, trusted, given))[PREDICTIONS]


def test_a_slot_with_other_ids_or_labels_is_refused(image: VerifiedImage, keys: Path) -> None:
    _edit_entries(image.disk, lambda e: e[: 2 * 128 + 16] + b"x" + e[2 * 128 + 17 :])
    found = check(image.disk, keys)
    assert "no slots have the partitions" in found[PROGRAM, "slot"]


def test_labels_have_the_version(image: VerifiedImage, keys: Path) -> None:
    label = 128 + 56 + 2 * len("root_")
    _edit_entries(image.disk, lambda e: e[:label] + b"8" + e[label + 1 :])
    assert "root_8" in check(image.disk, keys)[PROGRAM, "slot"]


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        (2048, 1 << 60, "partition 2 is not on the disk"),
        (1 << 63, (1 << 63) + 9, "partition 2 is not on the disk"),
        (4096, 2048, "partition 2 is not on the disk"),
        (2048, 9000, "partitions 1 and 2 overlap"),
    ],
)
def test_lies_about_sizes_are_refused(
    image: VerifiedImage, keys: Path, first: int, last: int, message: str
) -> None:
    _edit_entries(
        image.disk, lambda e: e[: 128 + 32] + struct.pack("<QQ", first, last) + e[128 + 48 :]
    )
    found = check(image.disk, keys)
    assert message in " ".join(found.values())


@pytest.mark.parametrize("size", [MEBI, 40 * MEBI, 68 * MEBI])
def test_a_disk_that_is_cut_short_is_refused(image: VerifiedImage, keys: Path, size: int) -> None:
    with image.disk.open("r+b") as file:
        file.truncate(size)
    assert "is not on the disk" in check(image.disk, keys)["disk", "partition table"]


def test_what_is_no_image_is_refused(keys: Path, tmp_path: Path) -> None:
    path = tmp_path / "noise"
    path.write_bytes(bytes(range(256)) * 9)
    trusted = read_trusted_keys(keys)
    with pytest.raises(OutputError, match="has no program for UEFI"):
        verify(path, trusted)
    with pytest.raises(OutputError, match=r"has no index\.json"):
        verify(tmp_path, trusted)


def test_predictions_of_another_image_are_found_out(image: VerifiedImage, keys: Path) -> None:
    path = image.disk.parent / "web-pcrs.json"
    document = json.loads(path.read_text())
    register = document["images"][0]["states"][0]["registers"][0]
    register["reason"] = register["value"] = "0" * 64
    path.write_text(json.dumps(document))
    number = register["pcr"]
    assert check(image.disk, keys)[PREDICTIONS] == f"PCR {number} would be another"
    path.unlink()
    report = verify(image.disk, read_trusted_keys(keys))
    details = [c.detail for c in report.checks if c.name == PREDICTIONS[1]]
    assert ["no NAME-pcrs.json" in text for text in details] == [True]
    assert not report.failed


@pytest.mark.parametrize(
    ("role", "expected"),
    [("root", {"digest", "hash tree"}), ("verity", {"digest"}), ("efi", {"digest", "signature"})],
)
def test_a_changed_file_of_an_update_is_named(
    image: VerifiedImage, keys: Path, role: str, expected: set[str]
) -> None:
    # The UUID in the superblock, which only the digest covers.
    change(image.file(role), 16 if role == "verity" else 0x1004)
    assert {name for _, name in check(image.update, keys)} == expected


def test_other_tools_read_the_same_checksums(image: VerifiedImage, keys: Path) -> None:
    change(image.update / "SHA256SUMS", 3)
    assert set(check(image.update, keys)) == {("SHA256SUMS", "checksums")}
    image.file("root").unlink()
    found = check(image.update, keys)
    assert found[image.file("root").name, "digest"] == "it is missing"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 9999,
        "{}",
        '{"payload": 7, "payloadType": "x"}',
        '{"payload": "W10=", "payloadType": "application/vnd.dolmen.update+json"}',
        '{"payload": "!", "payloadType": "application/vnd.dolmen.update+json"}',
    ],
)
def test_an_index_of_another_form_fails(image: VerifiedImage, keys: Path, text: str) -> None:
    (image.update / "index.json").write_text(text)
    assert any(part == "index.json" for part, _ in check(image.update, keys))


def test_memory_is_bounded(keys: Path, tmp_path: Path) -> None:
    image = make_image(tmp_path / "large", keys, bytes(48 * MEBI))
    trusted = read_trusted_keys(keys)
    tracemalloc.start()
    try:
        assert not verify(image.disk, trusted).failed
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 8 * MEBI


def _edit_entries(disk: Path, edit: Callable[[bytes], bytes]) -> None:
    """Change the entries of both partition tables, with right checksums."""
    data = bytearray(disk.read_bytes())
    for header in (512, len(data) - 512):
        (table,) = struct.unpack_from("<Q", data, header + 72)
        entries = edit(bytes(data[table * 512 : table * 512 + 128 * 128]))
        assert len(entries) == 128 * 128
        data[table * 512 : table * 512 + len(entries)] = entries
        struct.pack_into("<I", data, header + 88, zlib.crc32(entries))
        struct.pack_into("<I", data, header + 16, 0)
        struct.pack_into("<I", data, header + 16, zlib.crc32(data[header : header + 92]))
    disk.write_bytes(data)
