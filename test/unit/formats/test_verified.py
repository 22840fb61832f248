"""Disks of verified systems and their updates, with sgdisk, veritysetup and sbverify as judges."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_public_key,
)

from assembler.encode.early_initrd import MODULE_LIST, VERITY_MODULE_LIST
from assembler.errors import OutputError
from assembler.formats.update_set import pre_authentication
from assembler.helper_images import HelperImages
from assembler.inspection import inspect_file
from assembler.media import (
    KeySetOptions,
    ReleaseKeys,
    generate_keys,
    parse_pe_headers,
    read_pcr_signer,
)
from assembler.media.release_keys import read_release_keys
from support.archives import E, image
from support.formats import SYSTEM, SmallSystem
from support.loaders import KERNEL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.helper_images import FilesystemTools

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
PROGRAMS = ("sgdisk", "veritysetup", "sbverify", "fsck.vfat", "openssl", "mke2fs", "e2fsck")
MISSING = [name for name in PROGRAMS if not shutil.which(name, path=PATH)]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

MIB = 1 << 20
INIT, DATA = "test/early:1", "test/data:1"
# It cannot be compressed, so that the system has some size.
PROGRAM = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(40_000))
BASE = f"""
kernel: {{image: "{KERNEL}", tar: none, cmdline: "console=ttyS0 quiet"}}
init: ["{SYSTEM}", "{INIT}"]
"""
YAML = (
    BASE
    + f"""
volumes: [{{name: seed, image: "{DATA}"}}]
verified: {{version: "1.2", on-corruption: panic, healthy: {{after: 3s}}}}
disk:
  growth: 3x
  data:
    - {{label: files, filesystem: vfat, size: 40M, volume: seed}}
    - {{label: pages, filesystem: swap, size: 8M}}
    - {{label: data, size: 8M, type: home}}
    - {{label: secret, encrypt: tpm, size: 32M, type: var, grow: true}}
"""
)


# Its filesystem is the tar that it gets.
MAKER = """
import sys
out = next(a for a in sys.argv[1:] if a.startswith("/proc/self/fd/"))
with open(out, "wb") as file:
    file.write(sys.stdin.buffer.read())
"""


@dataclass(frozen=True)
class _Programs:
    """Has a program for root filesystems, and the host's for others."""

    @contextmanager
    def command(self, _program: str) -> Iterator[tuple[str, ...]]:
        yield (sys.executable, "-S", "-c", MAKER)

    @contextmanager
    def own_command(self, program: str) -> Iterator[tuple[str, ...]]:
        found = shutil.which(program, path=PATH)
        assert found
        yield (found,)


class _Helpers(HelperImages):
    """Has boot loaders from an image, and programs of its own."""

    @property
    def filesystem_tools(self) -> FilesystemTools:
        return cast("FilesystemTools", _Programs())


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a directory with the keys of a release."""
    folder = tmp_path_factory.mktemp("keys") / "set"
    generate_keys(folder, KeySetOptions("Test", datetime(2026, 1, 1, tzinfo=UTC)))
    own = ec.generate_private_key(ec.SECP256R1())
    pem = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "update.key").write_bytes(pem)
    return folder


@pytest.fixture(scope="module")
def release_keys(keys: Path) -> ReleaseKeys:
    """Give the keys of a release."""
    return read_release_keys(keys, lambda: "")


@pytest.fixture(scope="module", autouse=True)
def early_init(system: SmallSystem, arm_system: SmallSystem) -> None:
    """Add an init that has a list of modules for the early initrd."""
    for one in (system, arm_system):
        entries = (E("init", PROGRAM, mode=0o755), E(MODULE_LIST, b"virtio_blk\n"))
        entries += (E(VERITY_MODULE_LIST, b"dm-verity\n"),)
        image(one.store, INIT, entries, architecture=one.architecture)
        files = (E("etc/a.conf", b"a" * 5000), E("b", b""))
        image(one.store, DATA, files, architecture=one.architecture)


@dataclass(frozen=True)
class Written:
    """What a build wrote, with the partitions of its disk."""

    folder: Path

    @property
    def disk(self) -> Path:
        """Return the disk."""
        return self.folder / "os-verified.img"

    def update(self, name: str) -> Path:
        """Return a file of the update set."""
        return self.folder / "os-update" / name

    def partitions(self) -> list[dict[str, Any]]:
        """Return the entries of the partition table."""
        data = self.disk.read_bytes()
        found = []
        for start in range(1024, 1024 + 128 * 128, 128):
            kind, own, first, last, flags = struct.unpack_from("<16s16sQQQ", data, start)
            if any(kind):
                name = data[start + 56 : start + 128].decode("utf-16-le").rstrip("\0")
                content = data[first * 512 : (last + 1) * 512]
                ids = {"type": uuid.UUID(bytes_le=kind), "uuid": uuid.UUID(bytes_le=own)}
                found.append({**ids, "flags": flags, "name": name, "content": content})
        return found


def write(
    system: SmallSystem, folder: Path, keys: ReleaseKeys | None, yaml: str = YAML, **fields: Any
) -> Written:
    """Write the format."""
    options = system.options()
    helpers = options.helpers
    assert helpers is not None
    own = _Helpers(helpers.store, helpers.images, helpers.resolve)
    options = replace(options, helpers=own, release_keys=keys, **fields)
    system.write(folder, "verified", yaml=yaml, options=options)
    return Written(folder)


@pytest.fixture(scope="module")
def written(
    system: SmallSystem, release_keys: ReleaseKeys, tmp_path_factory: pytest.TempPathFactory
) -> Written:
    """Give the disk and the update of a small system."""
    return write(system, tmp_path_factory.mktemp("verified"), release_keys)


def judge(*words: object) -> str:
    """Run a program that must succeed, and return what it prints."""
    program = shutil.which(str(words[0]), path=PATH)
    assert program
    done = subprocess.run(
        [program, *map(str, words[1:])], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def section(program: bytes, name: str) -> bytes:
    """Return a section of a program for UEFI."""
    found = parse_pe_headers(program, "the program").section(name)
    assert found is not None, name
    return program[found.offset : found.offset + found.size]


def command_line(written: Written) -> list[str]:
    """Return the words of the command line in the signed program."""
    program = written.update("os_1.2_amd64.efi").read_bytes()
    return section(program, ".cmdline").decode().split()


def root_hash(written: Written) -> str:
    """Return the root hash in the command line."""
    (word,) = (w for w in command_line(written) if w.startswith("roothash="))
    return word.partition("=")[2]


def test_the_partition_table_is_that_of_the_specification(written: Written) -> None:
    assert "No problems found" in judge("sgdisk", "-v", written.disk)
    shown = judge("sgdisk", "-p", written.disk)
    rows = [line.split()[-1] for line in shown.splitlines() if line.strip()[:1].isdigit()]
    slots = ["root_1.2", "hash_1.2", "_empty", "_empty"]
    assert rows == ["ESP", *slots, "files", "pages", "data", "secret"]
    partitions = written.partitions()
    assert [str(p["type"])[:8] for p in partitions] == [
        *("c12a7328", "4f68bce3", "2c7357ed", "4f68bce3", "2c7357ed"),
        *("ebd0a0a2", "0657fd6d", "933ac7e1", "4d21b016"),
    ]
    whole = uuid.UUID(root_hash(written)[:32]), uuid.UUID(root_hash(written)[32:])
    assert (partitions[1]["uuid"], partitions[2]["uuid"]) == whole
    assert len({p["uuid"] for p in partitions}) == len(partitions)
    assert not any(partitions[3]["content"] + partitions[4]["content"])
    assert [p["flags"] >> 59 for p in partitions] == [0, 2, 2, 2, 2, 0, 0, 0, 1]


def test_the_root_filesystem_is_what_the_signed_command_line_says(
    written: Written, tmp_path: Path
) -> None:
    _, root, tree, *_ = written.partitions()
    (tmp_path / "root").write_bytes(root["content"])
    (tmp_path / "tree").write_bytes(tree["content"])
    judge("veritysetup", "verify", tmp_path / "root", tmp_path / "tree", root_hash(written))
    small = written.update("os_1.2_amd64.root"), written.update("os_1.2_amd64.verity")
    judge("veritysetup", "verify", *small, root_hash(written))
    assert root["content"].startswith(small[0].read_bytes())
    assert tree["content"].startswith(small[1].read_bytes())
    assert command_line(written)[:2] == ["console=ttyS0", "quiet"]
    assert command_line(written)[3:] == ["dolmen.verity=panic", "dolmen.healthy-after=3s"]


def test_slots_have_room_for_growth(written: Written) -> None:
    _, root, tree, other, *_ = written.partitions()
    needed = written.update("os_1.2_amd64.root").stat().st_size
    assert len(root["content"]) == len(other["content"]) == -(-3 * needed // MIB) * MIB
    assert len(tree["content"]) >= len(root["content"]) // 128


def test_programs_are_signed_by_the_key_of_db(written: Written, keys: Path, tmp_path: Path) -> None:
    esp = written.partitions()[0]["content"]
    (tmp_path / "esp").write_bytes(esp)
    judge("fsck.vfat", "-n", tmp_path / "esp")
    files = {file.path: file for file in inspect_file(tmp_path / "esp").files}
    assert set(files) == {
        "EFI/BOOT/BOOTX64.EFI",
        "EFI/Linux/os_1.2.efi",
        "loader/loader.conf",
    }
    program = written.update("os_1.2_amd64.efi")
    judge("sbverify", "--cert", keys / "db.crt", program)
    assert program.read_bytes() in esp
    place = esp.index(b"loader".ljust(512, b"\0")) - 0x1000
    size = files["EFI/BOOT/BOOTX64.EFI"].size
    assert size is not None
    (tmp_path / "loader.efi").write_bytes(esp[place : place + size])
    judge("sbverify", "--cert", keys / "db.crt", tmp_path / "loader.efi")
    release = section(program.read_bytes(), ".osrel").decode()
    assert "IMAGE_ID=os\nIMAGE_VERSION=1.2\n" in release
    assert "VERSION_ID=1.2\n" in release


def test_the_early_initrd_has_the_signature_of_the_root_hash(
    written: Written, tmp_path: Path
) -> None:
    program = inspect_file(written.update("os_1.2_amd64.efi"))
    initrd = dict(program.parts)[".initrd"]
    assert {file.path for file in initrd.files} >= {"init", "verity/root.p7s", "etc/initrd-release"}
    data = section(written.update("os_1.2_amd64.efi").read_bytes(), ".initrd")
    unpacked = subprocess.run(["zstd", "-dcq"], input=data, capture_output=True, check=False)
    # The signature is DER: a SEQUENCE of two bytes of length.
    start = unpacked.stdout.index(bytes.fromhex("06092a864886f70d010702")) - 4
    length = int.from_bytes(unpacked.stdout[start + 2 : start + 4], "big") + 4
    (tmp_path / "p7s").write_bytes(unpacked.stdout[start : start + length])
    (tmp_path / "hash").write_text(root_hash(written))
    judge(
        *("openssl", "smime", "-verify", "-noverify", "-binary", "-inform", "der"),
        *("-in", tmp_path / "p7s", "-content", tmp_path / "hash"),
    )


def test_the_root_filesystem_knows_its_release(written: Written, release_keys: ReleaseKeys) -> None:
    root = written.update("os_1.2_amd64.root")
    with tarfile.open(root) as tar:
        files = {entry.name: tar.extractfile(entry) for entry in tar if entry.isreg()}
        document, key = (files[f"etc/dolmen/{n}"] for n in ("release.json", "update.pub"))
        assert document is not None
        assert key is not None
        expected = {"product": "os", "version": "1.2", "architecture": "amd64"}
        assert json.load(document) == expected
        assert key.read() == release_keys.index.public_key


def test_the_index_is_signed_together_with_its_content(
    written: Written, release_keys: ReleaseKeys
) -> None:
    envelope = json.loads(written.update("index.json").read_text())
    payload = base64.b64decode(envelope["payload"])
    (signature,) = envelope["signatures"]
    key = load_pem_public_key(release_keys.index.public_key)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert envelope["payloadType"] == "application/vnd.dolmen.update+json"
    assert pre_authentication(b"{}").startswith(b"DSSEv1 34 application/vnd.dolmen.update+json 2 ")
    content = pre_authentication(payload)
    key.verify(base64.b64decode(signature["sig"]), content, ec.ECDSA(SHA256()))
    document = json.loads(payload)
    (release,) = document["releases"]
    assert (document["schema"], document["product"], document["architecture"]) == (1, "os", "amd64")
    assert (release["version"], release["roothash"]) == ("1.2", root_hash(written))
    sums = written.update("SHA256SUMS").read_text().splitlines()
    for role, line in zip(("root", "verity", "efi"), sums, strict=True):
        file = release["files"][role]
        data = written.update(file["name"]).read_bytes()
        assert file["name"] == f"os_1.2_amd64.{role}"
        assert file["size"] == len(data)
        assert file["sha256"] == hashlib.sha256(data).hexdigest()
        assert line == f"{file['sha256']}  {file['name']}"


def test_data_partitions_have_their_filesystems(written: Written, tmp_path: Path) -> None:
    files, pages, data, secret = written.partitions()[5:]
    (tmp_path / "files").write_bytes(files["content"])
    judge("fsck.vfat", "-n", tmp_path / "files")
    found = {file.path: file.size for file in inspect_file(tmp_path / "files").files}
    assert found.pop("etc/hosts")
    assert found == {"etc/a.conf": 5000, "b": 0}
    assert pages["content"][4086:4096] == b"SWAPSPACE2"
    assert struct.unpack_from("<II", pages["content"], 1024) == (1, 8 * MIB // 4096 - 1)
    (tmp_path / "data").write_bytes(data["content"])
    judge("e2fsck", "-fn", tmp_path / "data")
    assert data["content"][1024 + 0x78 : 1024 + 0x7C] == b"data"
    assert not any(secret["content"])


def test_the_same_system_has_the_same_bytes(
    system: SmallSystem,
    written: Written,
    release_keys: ReleaseKeys,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (("TZ", "Asia/Tokyo"), ("LC_ALL", "C.UTF-8"), ("HOME", "/nonexistent")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    before = os.umask(0o077)
    try:
        again = write(system, tmp_path, release_keys)
    finally:
        os.umask(before)
    paths = ["os-verified.img", *(f"os-update/{p.name}" for p in written.update("").iterdir())]
    assert len(paths) == 6
    for path in paths:
        assert (again.folder / path).read_bytes() == (written.folder / path).read_bytes(), path


def test_another_version_has_other_identities(
    system: SmallSystem, written: Written, release_keys: ReleaseKeys, tmp_path: Path
) -> None:
    other = write(system, tmp_path, release_keys, YAML.replace('"1.2"', '"1.3"'))
    ours, theirs = written.partitions(), other.partitions()
    for number in range(1, 5):
        assert ours[number]["uuid"] != theirs[number]["uuid"]
    assert [p["uuid"] for p in ours[5:]] == [p["uuid"] for p in theirs[5:]]


def test_the_program_can_have_a_signed_policy_for_pcr_11(
    system: SmallSystem, release_keys: ReleaseKeys, keys: Path, tmp_path: Path
) -> None:
    signer = read_pcr_signer(keys / "db.key")
    written = write(system, tmp_path, release_keys, pcr_signer=signer)
    program = written.update("os_1.2_amd64.efi").read_bytes()
    assert section(program, ".pcrpkey") == signer.public_pem()
    (entry,) = json.loads(section(program, ".pcrsig"))["sha256"]
    assert entry["pcrs"] == [11]
    judge("sbverify", "--cert", keys / "db.crt", written.update("os_1.2_amd64.efi"))


def test_a_disk_for_arm64_has_its_own_types(
    arm_system: SmallSystem, release_keys: ReleaseKeys, tmp_path: Path
) -> None:
    written = write(arm_system, tmp_path, release_keys, BASE + "verified: true\n")
    kinds = [str(p["type"])[:8] for p in written.partitions()]
    assert kinds == ["c12a7328", "b921b045", "df3300ce", "b921b045", "df3300ce"]
    assert b"BOOTAA64EFI" in written.partitions()[0]["content"]
    assert written.update("os_1_arm64.root").exists()


def test_the_last_partition_has_the_rest_of_the_disk(
    system: SmallSystem, release_keys: ReleaseKeys, tmp_path: Path
) -> None:
    yaml = BASE + (
        "verified: true\n"
        "disk: {size: 200M, data: [{label: a, filesystem: vfat, size: 2M}, "
        "{label: b, filesystem: swap}]}\n"
    )
    written = write(system, tmp_path, release_keys, yaml)
    assert written.disk.stat().st_size == 200 * MIB
    judge("sgdisk", "-v", written.disk)
    sizes = [len(p["content"]) for p in written.partitions()]
    assert sum(sizes) == 198 * MIB
    assert sizes[5] == 2 * MIB


def refusal(system: SmallSystem, folder: Path, *args: Any, **fields: Any) -> tuple[str, str, str]:
    """Return code, message and hint of a refused build, which leaves nothing behind."""
    with pytest.raises(OutputError) as caught:
        write(system, folder, *args, **fields)
    (diagnostic,) = caught.value.diagnostics
    assert list(folder.iterdir()) == []
    return str(diagnostic.code), diagnostic.message, " ".join(diagnostic.hints)


def cases() -> Iterator[Any]:
    """Yield disks that are too small, and how they are refused."""
    yield (
        "disk: {slots: {root: 1M}}",
        "DM0647 the root filesystem of 2M does not fit into a slot of 1M",
    )
    yield "disk: {esp: 4K}", "DM0648 an ESP of 1M has no room for two more kernels"
    yield "disk: {size: 9M}", "DM0609 the partitions do not fit on a disk of 9M"


@pytest.mark.parametrize(("disk", "expected"), list(cases()))
def test_what_is_too_small_is_refused_with_what_would_do(
    system: SmallSystem, release_keys: ReleaseKeys, tmp_path: Path, disk: str, expected: str
) -> None:
    yaml = f"{BASE}verified: true\n{disk}\n"
    code, message, hint = refusal(system, tmp_path, release_keys, yaml)
    assert f"{code} {message}".startswith(expected)
    assert "M" in hint


def test_a_size_of_the_hint_is_enough(
    system: SmallSystem, release_keys: ReleaseKeys, tmp_path: Path
) -> None:
    yaml = f"{BASE}verified: true\ndisk: {{size: %s}}\n"
    _, _, hint = refusal(system, tmp_path, release_keys, yaml % "9M")
    enough = int(hint.split("M")[0])
    assert write(system, tmp_path, release_keys, yaml % f"{enough}M").disk.exists()


def test_without_keys_nothing_is_written(system: SmallSystem, tmp_path: Path) -> None:
    code, message, _ = refusal(system, tmp_path, None)
    assert (code, message) == ("DM0643", "a verified system is signed, and no keys are named")


def test_an_init_without_an_early_program_is_refused(
    system: SmallSystem, release_keys: ReleaseKeys, tmp_path: Path
) -> None:
    yaml = BASE.replace(f', "{INIT}"', "") + "verified: true\n"
    code, _, hint = refusal(system, tmp_path, release_keys, yaml)
    assert code == "DM0646"
    assert "@dolmen:init" in hint


def test_other_keys_are_refused(keys: Path, tmp_path: Path) -> None:
    shutil.copytree(keys, tmp_path / "keys")
    (tmp_path / "keys" / "update.key").write_bytes((keys / "db.key").read_bytes())
    with pytest.raises(OutputError, match="DM0644"):
        read_release_keys(tmp_path / "keys", lambda: "")
    (tmp_path / "keys" / "update.key").write_bytes(b"no key")
    with pytest.raises(OutputError, match="DM0644"):
        read_release_keys(tmp_path / "keys", lambda: "")
