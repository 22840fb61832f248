"""Enclave images: a reader written from the specification reads them, and measures the same."""

from __future__ import annotations

import gzip
import json
import subprocess
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from assembler.content import read_content
from assembler.encode import Assembly, Compression, EncodeOptions
from assembler.errors import OutputError
from assembler.events import LogMessage
from assembler.inspection import inspect_file
from assembler.media import (
    EnclaveContent,
    EnclaveSigner,
    enclave_image,
    read_enclave_signer,
)
from support.archives import E, image
from support.cpio import archives_of
from support.enclaves import CMDLINE, KERNEL, RAMDISK, Enclave, read_enclave
from support.formats import CMDLINE as LINE
from support.formats import FILES, YAML, EventList, SmallSystem
from support.kernels import arm64_image, vmlinux, zboot
from support.programs import kernel
from support.systems import loaded, planned

if TYPE_CHECKING:
    from pathlib import Path

CODECS = ("gzip", "zstd", "none")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give keys of several curves, and one that is for something else."""
    folder = tmp_path_factory.mktemp("keys")
    curves = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}
    for name, curve in (*curves.items(), ("k256", ec.SECP256K1()), ("other", ec.SECP384R1())):
        write_pair(folder, name, ec.generate_private_key(curve))
    command = ("openssl", "genrsa", "-out", folder / "rsa.key", "2048")
    subprocess.run(command, check=True, capture_output=True)
    return folder


def write_pair(
    folder: Path,
    name: str,
    key: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType | None = None,
) -> None:
    """Write a key and its certificate."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
    builder = builder.public_key(key.public_key()).serial_number(7)
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=900))
    if extension is not None:
        builder = builder.add_extension(extension, critical=False)
    certificate = builder.sign(key, hashes.SHA384())
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8
    plain = serialization.NoEncryption()
    (folder / f"{name}.key").write_bytes(key.private_bytes(pem, form, plain))
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(pem))


def signer_of(keys: Path, name: str) -> EnclaveSigner:
    """Read one of the keys."""
    return read_enclave_signer(keys / f"{name}.key", keys / f"{name}.crt", lambda: "")


def written(folder: Path) -> Enclave:
    """Read the image that was written to a folder."""
    return read_enclave((folder / "os.eif").read_bytes())


def test_an_image_is_what_the_specification_says(system: SmallSystem, tmp_path: Path) -> None:
    outputs = system.write(tmp_path, "eif,kernel+initrd")
    assert [(o.role, o.path) for o in outputs[:2]] == [
        ("image", tmp_path / "os.eif"),
        ("measurements", tmp_path / "os-eif.json"),
    ]
    assert outputs[0].size == (tmp_path / "os.eif").stat().st_size
    found = written(tmp_path)
    assert found.flags == 0
    assert found.all_of(KERNEL) == [kernel()]
    assert found.all_of(CMDLINE) == [LINE.encode()]
    assert found.metadata["ImageName"] == "os"
    assert found.metadata["BuildMetadata"] == {
        "BuildTime": "2017-04-18T16:30:00+00:00",
        "BuildTool": "dolmen",
        "BuildToolVersion": "",
        "OperatingSystem": "Linux",
        "KernelVersion": "6.12.0-test",
    }
    said = json.loads((tmp_path / "os-eif.json").read_text())
    assert said == {
        "EifVersion": 4,
        "Measurements": {"HashAlgorithm": "Sha384 { ... }", **found.pcrs},
        "IsSigned": False,
        "ImageName": "os",
        "ImageVersion": "",
    }
    assert set(found.pcrs) == {"PCR0", "PCR1", "PCR2"}


def test_the_registers_are_printed(system: SmallSystem, tmp_path: Path) -> None:
    reporter = EventList([])
    plan = planned(loaded(YAML), system.store)
    encoding = EncodeOptions(Compression.parse("gzip"), 1)
    with Assembly(plan, system.store, encoding, reporter) as assembly:
        from assembler.formats import Target, select_formats, write_formats

        write_formats(assembly, select_formats(["eif"]), Target(tmp_path, "os"))
    said = [event.message for event in reporter.events if isinstance(event, LogMessage)]
    pcrs = written(tmp_path).pcrs
    assert said[-3:] == [f"os.eif: {name} {value}" for name, value in pcrs.items()]


@pytest.mark.parametrize("codec", CODECS)
def test_init_is_in_the_first_ramdisk_and_the_rest_in_the_second(
    codec: str, system: SmallSystem
) -> None:
    plan = planned(loaded(YAML), system.store)
    with Assembly(plan, system.store, EncodeOptions(Compression.parse(codec), 1)) as assembly:
        first, second = (read_content(ramdisk) for ramdisk in assembly.ramdisks())
        whole = read_content(assembly.initrd())
    assert len(first) % 4096 == 0
    names = [{e.name for a in archives_of(data) for e in a} for data in (first, second)]
    assert set(FILES) <= names[0]
    assert "etc/issue" in names[1]
    assert not {n for n in names[1] if "/" in n} & names[0]
    # The kernel gets them one after the other.
    joined = {e.name: e for a in archives_of(first + second) for e in a}
    expected = {e.name: e for a in archives_of(whole) for e in a}
    assert {n: replace(e, inode=(0, 0, 0)) for n, e in joined.items()} == {
        n: replace(e, inode=(0, 0, 0)) for n, e in expected.items()
    }


def test_a_changed_application_leaves_register_1_as_it_is(
    system: SmallSystem, tmp_path: Path
) -> None:
    system.write(tmp_path / "one", "eif")
    system.write(tmp_path / "two", "eif", yaml=YAML.replace("hello", "hallo"))
    one, two = written(tmp_path / "one").pcrs, written(tmp_path / "two").pcrs
    assert one["PCR1"] == two["PCR1"]
    assert one["PCR2"] != two["PCR2"]
    assert one["PCR0"] != two["PCR0"]


def test_a_system_of_init_alone_has_one_ramdisk(system: SmallSystem, tmp_path: Path) -> None:
    system.write(tmp_path, "eif", yaml=YAML.partition("files:")[0])
    found = written(tmp_path)
    assert len(found.all_of(RAMDISK)) == 1
    assert found.pcrs["PCR0"] == found.pcrs["PCR1"]
    assert found.pcrs == inspected_registers(tmp_path)


@pytest.mark.parametrize(
    "content",
    [arm64_image(), zboot(gzip.compress(arm64_image()))],
    ids=["plain", "zboot"],
)
def test_an_image_for_arm64_has_a_plain_kernel(
    content: bytes, arm_system: SmallSystem, tmp_path: Path
) -> None:
    image(arm_system.store, "made/enclave:1", (E("kernel", content),), architecture="arm64")
    yaml = YAML.replace("made/bootable:1", "made/enclave:1")
    arm_system.write(tmp_path, "eif", yaml=yaml)
    found = written(tmp_path)
    assert found.flags == 1
    assert found.all_of(KERNEL) == [arm64_image()]
    assert found.metadata["BuildMetadata"]["KernelVersion"] == "unknown"


def test_a_plain_kernel_for_pcs_is_refused(system: SmallSystem, tmp_path: Path) -> None:
    image(system.store, "made/plain:1", (E("kernel", vmlinux()),))
    yaml = YAML.replace("made/bootable:1", "made/plain:1")
    with pytest.raises(OutputError, match=r"DM0624.*not a bzImage"):
        system.write(tmp_path / "out", "tar,eif", yaml=yaml)
    assert not list((tmp_path / "out").iterdir())


def test_a_long_command_line_is_refused(system: SmallSystem, tmp_path: Path) -> None:
    for length in (2047, 2048):
        yaml = YAML.replace(LINE, "x" * length)
        if length == 2047:
            system.write(tmp_path, "eif", yaml=yaml)
            continue
        with pytest.raises(OutputError, match=r"DM0620.*2048 bytes"):
            system.write(tmp_path, "eif", yaml=yaml)


@pytest.mark.parametrize("name", ["p256", "p384", "p521"])
def test_a_signature_holds_and_is_the_same_twice(
    name: str, keys: Path, system: SmallSystem, tmp_path: Path
) -> None:
    for folder in ("one", "two"):
        options = replace(system.options(), enclave_signer=signer_of(keys, name))
        system.write(tmp_path / folder, "eif", options=options)
    data = (tmp_path / "one" / "os.eif").read_bytes()
    assert data == (tmp_path / "two" / "os.eif").read_bytes()
    found = read_enclave(data)
    said = json.loads((tmp_path / "one" / "os-eif.json").read_text())
    assert said["IsSigned"] is True
    assert said["Measurements"]["PCR8"] == found.pcrs["PCR8"]
    system.write(tmp_path / "unsigned", "eif")
    unsigned = written(tmp_path / "unsigned").pcrs
    assert {n: v for n, v in found.pcrs.items() if n != "PCR8"} == unsigned


@pytest.mark.parametrize(
    ("key", "certificate", "message"),
    [
        ("rsa.key", "p384.crt", "rsa.key is not a key for ECDSA"),
        ("k256.key", "k256.crt", "on the curve secp256k1"),
        ("p384.key", "other.crt", r"other\.crt is not the certificate of"),
        ("p384.crt", "p384.crt", "cannot be read as a private key"),
        ("p384.key", "p384.key", "cannot be read as a certificate"),
    ],
)
def test_other_keys_are_refused(key: str, certificate: str, message: str, keys: Path) -> None:
    with pytest.raises(OutputError, match=f"DM0613.*{message}"):
        read_enclave_signer(keys / key, keys / certificate, lambda: "")


def test_a_certificate_that_is_too_large_is_refused(keys: Path) -> None:
    filler = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), bytes(20000))
    write_pair(keys, "large", ec.generate_private_key(ec.SECP384R1()), filler)
    content = EnclaveContent("amd64", b"k", b"c", (b"r",), b"{}")
    with pytest.raises(OutputError, match=r"DM0613.*and an enclave image at most 32768"):
        enclave_image(content, signer_of(keys, "large"))


def inspected_registers(folder: Path) -> dict[str, str]:
    """Return the registers that `dolmen inspect` finds."""
    facts = inspect_file(folder / "os.eif").facts
    return {name: str(value) for name, value in facts.items() if name.startswith("PCR")}


def test_inspection_shows_the_image(keys: Path, system: SmallSystem, tmp_path: Path) -> None:
    options = replace(system.options(), enclave_signer=signer_of(keys, "p384"))
    system.write(tmp_path, "eif", options=options)
    found = inspect_file(tmp_path / "os.eif")
    assert found.problem == ""
    assert found.kind == "enclave image"
    assert found.facts["architecture"] == "amd64"
    assert found.facts["command line"] == LINE
    assert found.facts["image name"] == "os"
    assert found.facts["signature"] == "by CN=p384, which holds"
    assert len(list(found.signers())) == 1
    assert inspected_registers(tmp_path) == written(tmp_path).pcrs
    assert [name for name, _ in found.parts] == ["kernel", "ramdisk 1", "ramdisk 2"]
    assert found.parts[0][1].facts["version"] == "6.12.0-test (somebody@example.com) #1"


def test_inspection_finds_a_signature_of_another_image(
    keys: Path, system: SmallSystem, tmp_path: Path
) -> None:
    options = replace(system.options(), enclave_signer=signer_of(keys, "p384"))
    system.write(tmp_path, "eif", options=options)
    path = tmp_path / "os.eif"
    data = bytearray(path.read_bytes())
    data[0x800] ^= 1
    data[0x220:0x224] = zlib.crc32(data[:0x220] + data[0x224:]).to_bytes(4, "big")
    path.write_bytes(data)
    found = inspect_file(path)
    assert "the image was changed after it was signed" in str(found.facts["signature"])
    assert not list(found.signers())


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0x10, 1, "its checksum is wrong"),
        (0x220, 1, "its checksum is wrong"),
        (0x800, 1, "its checksum is wrong"),
        (0x23, 1, "section 0 is not as the header says"),
        (0x225, 9, "9 is not a valid EifSection"),
        (0x1B, 4, "there is data behind its last section"),
        (0x1B, 6, "it is cut short"),
        (0x1B, 33, "it has no header of an enclave image"),
    ],
)
def test_inspection_finds_damage(
    at: int, value: int, message: str, system: SmallSystem, tmp_path: Path
) -> None:
    system.write(tmp_path, "eif")
    path = tmp_path / "os.eif"
    data = bytearray(path.read_bytes())
    assert data[at] != value
    data[at] = value
    path.write_bytes(data)
    found = inspect_file(path)
    assert found.damaged
    assert message in found.problem


@pytest.mark.parametrize("size", [100, 548, 552, 3000, -1])
def test_inspection_finds_an_image_cut_short(
    size: int, system: SmallSystem, tmp_path: Path
) -> None:
    system.write(tmp_path, "eif")
    path = tmp_path / "os.eif"
    path.write_bytes(path.read_bytes()[:size])
    assert inspect_file(path).damaged
