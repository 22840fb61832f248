"""Predictions of PCRs: what starts, what is measured, and what is unknown with its reason."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assembler.content import read_content
from assembler.errors import DolmenError, OutputError
from assembler.machine.secure_boot_keys import enroll_keys, read_key_lists
from assembler.measurement import (
    MeasuredEvent,
    PredictionOptions,
    SecureBootVariables,
    StatePrediction,
    lock_file,
    log_differences,
    predict_registers,
    prediction_document,
    read_event_log,
    read_secure_boot_variables,
)
from assembler.measurement.loader_entries import compare_versions
from assembler.media import (
    ESP_TYPE,
    ExtentImage,
    FatFile,
    FatVolume,
    GptDisk,
    GptPartition,
    KeySetOptions,
    Qcow2,
    SparseImage,
    add_pe_sections,
    extend_register,
    generate_keys,
    image_content,
    read_signer,
    sign_program,
    write_image,
)
from support.programs import program

STUB = "#### LoaderInfo: systemd-stub {} ####"
LOADER = b"#### LoaderInfo: systemd-boot 257.3 ####"
KERNEL = program(b"Linux initrd\0LOADED_IMAGE::LoadOptions\0" * 9)
CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
CALLING = hashlib.sha256(b"Calling EFI Application from Boot Option").digest()
SEPARATOR = hashlib.sha256(bytes(4)).digest()


def unified(version: str = "257.3", osrel: str = "ID=x\n", kernel: bytes = KERNEL) -> ExtentImage:
    """Return a unified kernel image."""
    sections = [
        (".sdmagic", STUB.format(version).encode()),
        (".osrel", osrel.encode()),
        (".cmdline", b"quiet\tsplash\n"),
        (".initrd", b"initrd"),
        (".linux", kernel),
    ]
    return add_pe_sections(program(), sections)


def loader() -> bytes:
    """Return something like systemd-boot."""
    return bytes_of(add_pe_sections(program(b"loader"), [(".sdmagic", LOADER)]))


def bytes_of(image: SparseImage) -> bytes:
    """Return all of an image."""
    return read_content(image_content(image))


def written(image: SparseImage, path: Path) -> Path:
    """Write an image to a file."""
    with path.open("wb") as file:
        write_image(image, file)
    return path


def disk(files: dict[str, bytes]) -> GptDisk:
    """Return a disk with files on its EFI system partition."""
    volume = FatVolume.plan(
        [FatFile(path, content) for path, content in files.items()],
        size=8 << 20,
        hidden_sectors=2048,
        seed=b"v" * 32,
    )
    return GptDisk.plan([GptPartition(ESP_TYPE, "ESP", volume)], seed=b"d" * 32)


def predicted(path: Path, options: PredictionOptions | None = None) -> StatePrediction:
    """Return the only state."""
    (state,) = predict_registers(path, options).states
    return state


def authenticode(program: bytes) -> bytes:
    """Return the hash that a signature of an unsigned program without gaps has."""
    at = struct.unpack_from("<I", program, 0x3C)[0] + 24
    cut = program[: at + 64] + program[at + 68 : at + 144] + program[at + 152 :]
    return hashlib.sha256(cut).digest()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a set of keys."""
    folder = tmp_path_factory.mktemp("keys") / "set"
    generate_keys(folder, KeySetOptions("Test", datetime(2026, 1, 1, tzinfo=UTC)))
    return folder


def test_a_stub_measures_its_sections(tmp_path: Path) -> None:
    state = predicted(written(unified(), tmp_path / "x.efi"))
    digests = []
    contents = ((".linux", KERNEL), (".osrel", b"ID=x\n"), (".cmdline", b"quiet\tsplash\n"))
    for name, content in (*contents, (".initrd", b"initrd")):
        digests += [hashlib.sha256(part).digest() for part in (name.encode() + b"\0", content)]
    assert state.register(11).value == extend_register(digests)
    assert state.register(12).value == bytes(32)
    line = hashlib.sha256("quiet splash\0".encode("utf-16-le")).digest()
    assert state.register(9).events[0].digest == line
    assert state.register(9).value is not None


def test_firmware_measures_the_kernel_only_without_secure_boot(tmp_path: Path, keys: Path) -> None:
    plain = unified()
    state = predicted(written(plain, tmp_path / "x.efi"))
    first = [CALLING, SEPARATOR, authenticode(bytes_of(plain))]
    assert state.register(4).value == extend_register([*first, authenticode(KERNEL)])
    signer = read_signer(keys / "db.key", keys / "db.crt", lambda: "")
    path = written(sign_program(plain, signer), tmp_path / "signed.efi")
    off, on = predict_registers(path).states
    assert (off.secure_boot, on.secure_boot) == (False, True)
    assert off.register(4).value == state.register(4).value
    assert on.register(4).value == extend_register(first)
    # Without the keys of the firmware it is not known what they make of PCR 7.
    assert on.register(7).value is None
    assert "--vars" in on.register(7).reason


def test_an_entry_of_db_verifies_a_program(tmp_path: Path, keys: Path) -> None:
    lists = read_key_lists(keys)
    known = PredictionOptions(SecureBootVariables(lists, enabled=True))
    signer = read_signer(keys / "db.key", keys / "db.crt", lambda: "")
    path = written(sign_program(unified(), signer), tmp_path / "signed.efi")
    register = predicted(path, known).register(7)
    assert register.value is not None
    assert [e.type for e in register.events][-2:] == ["EV_SEPARATOR", "EV_EFI_VARIABLE_AUTHORITY"]
    name = "db".encode("utf-16-le")
    entry = lists["db"][28:]
    vendor = bytes.fromhex("cbb219d73a3d9645a3bcdad00e67656f")
    data = vendor + struct.pack("<QQ", 2, len(entry)) + name + entry
    assert register.events[-1].digest == hashlib.sha256(data).digest()
    swapped = SecureBootVariables({**lists, "db": lists["KEK"]}, enabled=True)
    reason = predicted(path, PredictionOptions(swapped)).register(7).reason
    assert "firmware refuses" in reason
    assert "no certificate in db verifies it" in reason
    unsigned = written(unified(), tmp_path / "x.efi")
    assert "it is not signed" in predicted(unsigned, known).register(4).reason


def test_variables_of_firmware(tmp_path: Path, keys: Path) -> None:
    store = bytes.fromhex("782cf3aa7b949a43a1802e144ec37792") + struct.pack(
        "<IBB6x", 60000, 90, 254
    )
    volume = (bytes(40) + b"_FVH" + bytes(4) + struct.pack("<H", 72)).ljust(72, b"\0")
    template = (volume + store).ljust(64 << 10, b"\xff")
    path = tmp_path / "vars.fd"
    path.write_bytes(template)
    assert read_secure_boot_variables(path) == SecureBootVariables({}, enabled=False)
    path.write_bytes(enroll_keys(template, read_key_lists(keys)))
    assert read_secure_boot_variables(path) == SecureBootVariables(
        read_key_lists(keys), enabled=True
    )
    path.write_bytes(b"no variables")
    with pytest.raises(OutputError, match="not a variable store"):
        read_secure_boot_variables(path)


@pytest.mark.parametrize("version", ["251.9", "252.1", "258", "999"])
def test_an_unknown_stub_is_unknown(tmp_path: Path, version: str) -> None:
    state = predicted(written(unified(version), tmp_path / "x.efi"))
    assert "is not known" in state.register(4).reason
    assert state.register(4).value is None
    assert (state.register(11).value is None) == (version == "251.9")


def test_the_newest_entry_of_the_boot_loader_starts(tmp_path: Path) -> None:
    release = "ID=linux\nIMAGE_ID=one\nIMAGE_VERSION={}\n"
    files = {
        "EFI/BOOT/BOOTX64.EFI": loader(),
        "loader/loader.conf": b"timeout 0\n",
        "EFI/Linux/one_9.efi": bytes_of(unified(osrel=release.format("9"))),
        "EFI/Linux/one_10+3.efi": bytes_of(unified(osrel=release.format("10"))),
        "EFI/Linux/one_11+0-3.efi": bytes_of(unified(osrel=release.format("11"))),
    }
    path = written(disk(files), tmp_path / "x.img")
    state = predicted(path)
    assert [name.split()[0] for name in state.programs] == [
        "EFI/BOOT/BOOTX64.EFI",
        "EFI/Linux/one_10+3.efi",
        "EFI/Linux/one_10+3.efi:.linux",
    ]
    assert state.others == ("EFI/Linux/one_9.efi", "EFI/Linux/one_11+0-3.efi")
    content = path.read_bytes()
    table = content[512:604] + struct.pack("<Q", 1) + content[1024:1152]
    texts = ("Exit Boot Services Invocation", "Exit Boot Services Returned with Success")
    digests = [SEPARATOR, *(hashlib.sha256(d).digest() for d in (table, b"timeout 0\n"))]
    digests += [hashlib.sha256(text.encode()).digest() for text in texts]
    assert state.register(5).value == extend_register(digests)
    packed = written(Qcow2.plan(disk(files)), tmp_path / "x.qcow2")
    assert predicted(packed).register(5).value == state.register(5).value
    chosen = {**files, "loader/loader.conf": b"default one_9*\n"}
    state = predicted(written(disk(chosen), tmp_path / "chosen.img"))
    assert state.programs[1].startswith("EFI/Linux/one_9.efi ")


def test_an_entry_with_kernel_and_initrd(tmp_path: Path) -> None:
    files = {
        "EFI/BOOT/BOOTX64.EFI": loader(),
        "kernel": KERNEL,
        "initrd.img": b"initrd",
        "loader/entries/x.conf": b"title X\nlinux /kernel\ninitrd /initrd.img\noptions quiet\n",
    }
    state = predicted(written(disk(files), tmp_path / "x.img"))
    line = hashlib.sha256("initrd=\\initrd.img quiet\0".encode("utf-16-le")).digest()
    assert state.register(12).value == extend_register([line])
    assert state.register(9).value == extend_register([line, hashlib.sha256(b"initrd").digest()])
    assert state.register(11).value == bytes(32)
    del files["kernel"]
    with pytest.raises(OutputError, match="names /kernel, which does not exist"):
        predicted(written(disk(files), tmp_path / "y.img"))


def test_files_beside_a_program_make_it_unknown(tmp_path: Path) -> None:
    files = {
        "EFI/BOOT/BOOTX64.EFI": bytes_of(unified()),
        "EFI/BOOT/BOOTX64.EFI.extra.d/x.cred": b"secret",
    }
    state = predicted(written(disk(files), tmp_path / "x.img"))
    assert "BOOTX64.EFI.extra.d/x.cred" in state.register(12).reason
    assert state.register(11).value is not None


def test_something_else_that_starts_is_unknown(tmp_path: Path) -> None:
    state = predicted(written(disk({"EFI/BOOT/BOOTX64.EFI": program()}), tmp_path / "x.img"))
    assert {r.number for r in state.registers if r.value is None} == {4, 5, 7, 9, 11, 12}
    with pytest.raises(OutputError, match=r"no EFI/BOOT/BOOTX64\.EFI"):
        predicted(written(disk({"EFI/other.efi": program()}), tmp_path / "y.img"))
    (tmp_path / "text").write_text("not an image")
    with pytest.raises(OutputError, match="no program for UEFI"):
        predicted(tmp_path / "text")


def test_damaged_programs_are_errors_that_say_so(tmp_path: Path) -> None:
    whole = bytes_of(unified())
    path = tmp_path / "x.efi"
    for size in (*range(0, 0x400, 37), *range(0x400, len(whole), 1511)):
        path.write_bytes(whole[:size])
        with pytest.raises(DolmenError):
            predicted(path)
    huge = bytearray(whole)
    at = whole.index(b".initrd\0")
    huge[at + 8 : at + 12] = b"\xff" * 4
    path.write_bytes(huge)
    with pytest.raises(OutputError, match=r"its section \.initrd is cut short"):
        predicted(path)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1", "2"),
        ("9", "10"),
        ("1.9", "1.10"),
        ("1~rc1", "1"),
        ("1", "1.1"),
        ("1-2", "1.2"),
        ("1.a", "1a"),
        ("1a", "11"),
        ("x_9.efi", "x_10.efi"),
        ("", "1"),
        ("1^a", "1a"),
    ],
)
def test_versions_have_an_order(older: str, newer: str) -> None:
    assert compare_versions(older, newer) < 0
    assert compare_versions(newer, older) > 0
    assert compare_versions(newer, newer) == 0


def test_the_documents_are_the_same_twice(tmp_path: Path) -> None:
    path = written(unified(), tmp_path / "x.efi")
    first, second = (prediction_document({"x.efi": predict_registers(path)}) for _ in range(2))
    assert first == second
    document = json.loads(first)
    (image,) = document["images"]
    states = {r["pcr"]: r["state"] for r in image["states"][0]["registers"]}
    assert states == {4: "known", 5: "unknown", 7: "unknown", 9: "known", 11: "known", 12: "known"}
    records = json.loads(lock_file(predicted(path)))["records"]
    for number in (4, 9, 11):
        digests = [bytes.fromhex(r["digests"][0]["digest"]) for r in records if r["pcr"] == number]
        assert extend_register(digests) == predicted(path).register(number).value


NUMBERS = {
    "EV_EFI_ACTION": 0x80000007,
    "EV_SEPARATOR": 4,
    "EV_EFI_BOOT_SERVICES_APPLICATION": 0x80000003,
    "EV_IPL": 13,
    "EV_EVENT_TAG": 6,
}


def log_of(events: list[MeasuredEvent]) -> bytes:
    """Return an event log of a TPM with two banks."""
    head = b"Spec ID Event03\0" + bytes(17)
    log = struct.pack("<II20xI", 0, 3, len(head)) + head
    for event in events:
        log += struct.pack("<III", event.register, NUMBERS[event.type], 2)
        log += struct.pack("<H20xH32s", 4, 11, event.digest)
        log += struct.pack("<I", 5) + b"what?"
    return log


def test_a_log_is_compared_event_by_event(tmp_path: Path) -> None:
    state = predicted(written(unified(), tmp_path / "x.efi"))
    path = tmp_path / "log"
    known = [e for r in state.registers if r.value is not None for e in r.events]
    path.write_bytes(log_of(known))
    log = read_event_log(path)
    assert [(e.register, e.type, e.digest) for e in log] == [
        (e.register, e.type, e.digest) for e in known
    ]
    assert list(log_differences(state.registers, log)) == []
    one = next(e for e in log if e.register == 9)
    changed = [replace(e, digest=bytes(32)) if e is one else e for e in log]
    assert [n for n, _ in log_differences(state.registers, changed)] == [9]
    shorter = [e for e in log if e.register != 11]
    assert [what for _, what in log_differences(state.registers, shorter)] == [
        "EV_IPL '.linux' was not measured"
    ]
    ((number, what),) = log_differences(state.registers, [*log, replace(one, register=12)])
    assert (number, "was measured besides" in what) == (12, True)
    whole = path.read_bytes()
    for size in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:size])
        try:
            assert len(read_event_log(path)) < len(known)
        except OutputError as error:
            assert str(error.diagnostics[0].code) == "DM1107"  # noqa: PT017 - or it is shorter


@pytest.mark.skipif(not CODE.is_file(), reason="OVMF is not installed")
def test_the_volumes_of_a_firmware_are_those_of_virt_firmware(tmp_path: Path) -> None:
    judge = Path(sys.executable).with_name("virt-fw-measure")
    program = str(judge) if judge.exists() else shutil.which("virt-fw-measure")
    if program is None:
        pytest.skip("virt-fw-measure is not installed (PyPI: virt-firmware)")
    said = subprocess.run([program, "--image", CODE], capture_output=True, check=True).stdout
    records = [r for r in json.loads(said)["records"] if r["pcr"] == 0]
    path = written(unified(), tmp_path / "x.efi")
    register = predicted(path, PredictionOptions(firmware=CODE)).register(0)
    blobs = [e.digest.hex() for e in register.events if "FIRMWARE_BLOB" in e.type]
    assert blobs == [
        r["digests"][0]["digest"] for r in records if "FIRMWARE_BLOB" in r["content"]["event_type"]
    ]
    assert "PEIFV" in register.reason
    with pytest.raises(OutputError, match="is no firmware of EDK II"):
        predicted(path, PredictionOptions(firmware=path))
    cut = tmp_path / "cut.fd"
    cut.write_bytes(CODE.read_bytes()[:100_000])
    with pytest.raises(OutputError, match="is broken"):
        predicted(path, PredictionOptions(firmware=cut))
