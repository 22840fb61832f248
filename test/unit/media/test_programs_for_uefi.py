"""Unified kernel images and their signatures, with sbverify and osslsigncode as judges."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import stat
import struct
import subprocess
import tempfile
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assembler.content import FileRange, read_content
from assembler.errors import DolmenError, OutputError
from assembler.media import ExtentImage, image_content, pe, write_image
from assembler.media.authenticode import Signer, program_headers, program_signatures, sign_program
from assembler.media.keys import KeySetOptions, generate_keys, read_signer
from support.programs import ARM64, kernel, program

if TYPE_CHECKING:
    from pathlib import Path

needs_judges = pytest.mark.skipif(
    not (shutil.which("sbverify") and shutil.which("osslsigncode")),
    reason="sbsigntool or osslsigncode is not installed",
)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a set of keys."""
    folder = tmp_path_factory.mktemp("keys") / "set"
    generate_keys(folder, KeySetOptions("Test", NOW))
    return folder


@pytest.fixture(scope="module")
def signer(keys: Path) -> Signer:
    """Give the key that signs."""
    return read_signer(keys / "db.key", keys / "db.crt", lambda: "")


def unified(initrd: bytes = b"initrd") -> ExtentImage:
    """Return a unified kernel image."""
    sections = [(".cmdline", b"quiet"), (".initrd", initrd), (".linux", kernel()), (".uname", b"")]
    return pe.add_pe_sections(program(), sections)


def bytes_of(medium: ExtentImage) -> bytes:
    """Return all of a medium."""
    return read_content(image_content(medium))


def test_sections_are_joined_onto_the_stub() -> None:
    made = bytes_of(unified())
    found = pe.parse_pe_headers(made, "it")
    assert [s.name for s in found.sections] == [".text", ".cmdline", ".initrd", ".linux"]
    contents = [made[s.offset : s.offset + s.size] for s in found.sections]
    assert contents == [b"\xc3", b"quiet", b"initrd", kernel()]
    ends = [(s.address, s.end) for s in found.sections]
    for (_, end), (begin, _) in itertools.pairwise(ends):
        assert begin >= end
        assert begin % found.section_alignment == 0
    assert len(made) % found.file_alignment == 0
    (size_of_image,) = struct.unpack_from("<I", made, found.optional + 56)
    assert size_of_image >= ends[-1][1]
    # Nothing of when it was made.
    assert struct.unpack_from("<I", made, found.coff + 8) == (0,)


def test_a_stub_without_room_is_refused() -> None:
    with pytest.raises(OutputError, match="no room for 1 further sections"):
        pe.add_pe_sections(program(room=False), [(".linux", b"x")])


def test_an_invalid_program_is_refused() -> None:
    for data in (b"", b"MZ", b"\x7fELF" + bytes(500), program()[:0x90]):
        with pytest.raises(OutputError, match="DM0612"):
            pe.add_pe_sections(data, [(".linux", b"x")])


def test_a_program_of_4_gib_is_refused() -> None:
    with tempfile.TemporaryFile() as file, pytest.raises(OutputError, match="below 4 GiB"):
        pe.add_pe_sections(program(), [(".initrd", FileRange(file.fileno(), (1 << 32) - 100))])


@needs_judges
@pytest.mark.parametrize("size", [1, 511, 512, 99_999])
def test_sbverify_and_osslsigncode_accept_signatures(
    size: int, keys: Path, signer: Signer, tmp_path: Path
) -> None:
    path = tmp_path / "signed.efi"
    with path.open("w+b") as file:
        write_image(sign_program(unified(os.urandom(size)), signer), file)
    accepted = subprocess.run(
        ["sbverify", "--cert", keys / "db.crt", path], capture_output=True, text=True, check=False
    )
    assert accepted.returncode == 0, accepted.stderr
    # A warning would be about gaps, or a checksum that is wrong.
    assert "warning" not in accepted.stderr
    told = subprocess.run(
        ["osslsigncode", "verify", "-CAfile", keys / "db.crt", "-in", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout
    checksums = [line.split()[-1] for line in told.stdout.splitlines() if "PE checksum" in line]
    assert len(set(checksums)) == 1, told.stdout
    refused = subprocess.run(
        ["sbverify", "--cert", keys / "KEK.crt", path], capture_output=True, check=False
    )
    assert refused.returncode != 0


def test_signing_twice_gives_the_same_bytes(signer: Signer) -> None:
    assert bytes_of(sign_program(unified(), signer)) == bytes_of(sign_program(unified(), signer))
    with pytest.raises(OutputError, match="signed already"):
        sign_program(sign_program(unified(), signer), signer)


def test_a_signature_is_read_again_and_a_changed_program_is_noticed(signer: Signer) -> None:
    good = sign_program(unified(), signer)
    (found,) = program_signatures(good, program_headers(good, "it"))
    assert found.holds
    assert found.subject == "CN=Test db"
    data = bytearray(bytes_of(good))
    data[0x1000 + 600] ^= 1
    bad = ExtentImage.of([(0, bytes(data))])
    (found,) = program_signatures(bad, program_headers(bad, "it"))
    assert found.problem == "the program was changed after it was signed"
    assert program_signatures(unified(), program_headers(unified(), "it")) == []


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 8000), st.integers(0, 255), st.integers(0, 9000))
def test_broken_programs_cause_no_traceback(place: int, value: int, cut: int) -> None:
    data = bytearray(program() + kernel())
    data[place] = value
    medium = ExtentImage.of([(0, bytes(data[: max(cut, 1)]))])
    with contextlib.suppress(DolmenError):
        program_signatures(medium, program_headers(medium, "it"))


def test_keys_have_files_to_enroll_them(keys: Path) -> None:
    owner = uuid.UUID((keys / "GUID").read_text().strip())
    for name in ("PK", "KEK", "db"):
        listed = (keys / f"{name}.esl").read_bytes()
        assert len(listed) == struct.unpack_from("<I", listed, 16)[0]
        assert listed[28:44] == owner.bytes_le
        assert (keys / f"{name}.auth").read_bytes().endswith(listed)
        assert stat.S_IMODE((keys / f"{name}.key").stat().st_mode) == 0o600


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
@pytest.mark.parametrize(("name", "by"), [("PK", "PK"), ("KEK", "PK"), ("db", "KEK")])
def test_enrollment_files_are_signed(name: str, by: str, keys: Path, tmp_path: Path) -> None:
    data = (keys / f"{name}.auth").read_bytes()
    time, (length,) = data[:16], struct.unpack_from("<I", data, 16)
    listed = (keys / f"{name}.esl").read_bytes()
    vendor = "d719b2cb-3d3a-4596-a3bc-dad00e67656f"
    if name != "db":
        vendor = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
    variable = name.encode("utf-16-le") + uuid.UUID(vendor).bytes_le + struct.pack("<I", 0x27)
    (tmp_path / "content").write_bytes(variable + time + listed)
    body = data[40 : 16 + length]
    inner = b"\xa0\x82" + struct.pack(">H", len(body)) + body
    kind = bytes.fromhex("06092a864886f70d010702")
    message = b"\x30\x82" + struct.pack(">H", len(kind + inner)) + kind + inner
    (tmp_path / "message").write_bytes(message)
    subprocess.run(
        [
            *("openssl", "cms", "-verify", "-binary", "-inform", "DER", "-purpose", "any"),
            *("-in", tmp_path / "message", "-content", tmp_path / "content"),
            *("-CAfile", keys / f"{by}.crt", "-out", tmp_path / "out"),
        ],
        check=True,
        capture_output=True,
    )


def test_keys_are_never_overwritten(keys: Path) -> None:
    with pytest.raises(OutputError, match="keys are never overwritten"):
        generate_keys(keys, KeySetOptions("Test", NOW))


def test_encrypted_keys_need_their_passphrase(tmp_path: Path) -> None:
    generate_keys(tmp_path, KeySetOptions("Test", NOW, passphrase="correct"))
    pair = (tmp_path / "db.key", tmp_path / "db.crt")
    assert read_signer(*pair, lambda: "correct").key.key_size == 2048
    with pytest.raises(OutputError, match="is the passphrase right"):
        read_signer(*pair, lambda: "wrong")


def test_a_certificate_of_another_key_is_refused(keys: Path) -> None:
    with pytest.raises(OutputError, match="is not the certificate of"):
        read_signer(keys / "db.key", keys / "PK.crt", lambda: "")
    with pytest.raises(OutputError, match="cannot be read as a private key"):
        read_signer(keys / "db.crt", keys / "db.crt", lambda: "")


def test_other_architectures_are_known() -> None:
    assert pe.parse_pe_headers(program(machine=ARM64), "it").architecture == "arm64"
