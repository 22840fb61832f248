"""Update sets and disks with two slots, made by the tools that judge them elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import struct
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PRODUCT = "demo"
PAYLOAD_TYPE = "application/vnd.dolmen.update+json"
MEBI = 1 << 20
# Where the partitions of `make_disk` begin and how large they are, in MiB.
ESP, ROOTS, TREES, SIZE = (1, 40), ((41, 4), (46, 4)), ((45, 1), (50, 1)), 53
TYPES = {"esp": "ef00", "root": "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"}
TYPES["hash"] = "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5"


@dataclass(frozen=True)
class Release:
    """A release: its root, its hash tree and its kernel."""

    version: str
    roothash: str
    files: Mapping[str, bytes]

    def name(self, kind: str) -> str:
        """Return the name of a file in the update set."""
        return f"{PRODUCT}_{self.version}_amd64.{kind}"

    def as_json(self) -> dict[str, object]:
        """Return the entry of the index."""
        files = {
            key: {
                "name": self.name(key),
                "size": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
            for key, data in self.files.items()
        }
        return {"version": self.version, "roothash": self.roothash, "files": files}


def make_program(sections: Mapping[str, bytes]) -> bytes:
    """Return a program for UEFI with sections, and nothing that runs."""
    head = b"MZ".ljust(60, b"\0") + struct.pack("<I", 64)
    head += b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, len(sections), 0, 0, 0, 240, 0x22E)
    head += struct.pack("<H", 0x20B).ljust(108, b"\0") + struct.pack("<I", 16).ljust(132, b"\0")
    body, table = b"", b""
    for number, (name, data) in enumerate(sections.items()):
        padded = data.ljust(-(-len(data) // 512) * 512, b"\0")
        place = (len(data), (number + 1) << 20, len(padded), 1024 + len(body))
        table += name.encode().ljust(8, b"\0") + struct.pack("<IIII", *place).ljust(32, b"\0")
        body += padded
    return (head + table).ljust(1024, b"\0") + body


def make_release(directory: Path, version: str, megabytes: int = 3) -> Release:
    """Make a release; its hash tree is cryptsetup's."""
    data = random.Random(version).randbytes(megabytes * MEBI)
    root, tree = directory / "root", directory / "tree"
    root.write_bytes(data)
    tree.write_bytes(b"")
    made = subprocess.run(
        ("veritysetup", "format", root, tree), capture_output=True, text=True, check=True
    )
    found = re.search(r"Root hash:\s+(\w{64})", made.stdout)
    assert found
    about = f"ID=demo\nIMAGE_ID={PRODUCT}\nIMAGE_VERSION={version}\n"
    program = make_program(
        {
            ".osrel": about.encode(),
            ".cmdline": f"console=ttyS0 roothash={found[1]}".encode(),
            ".linux": random.Random(version + "k").randbytes(MEBI),
        }
    )
    return Release(version, found[1], {"root": data, "verity": tree.read_bytes(), "efi": program})


class Signer:
    """The key of the index."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    def public(self) -> bytes:
        """Return the public key as PEM."""
        return self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def private(self) -> bytes:
        """Return the private key as PEM."""
        return self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def seal(self, payload: bytes) -> bytes:
        """Return a DSSE envelope."""
        kind = PAYLOAD_TYPE.encode()
        text = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
        signature = self._key.sign(text, ec.ECDSA(hashes.SHA256()))
        envelope = {
            "payloadType": PAYLOAD_TYPE,
            "payload": base64.b64encode(payload).decode(),
            "signatures": [{"keyid": "", "sig": base64.b64encode(signature).decode()}],
        }
        return json.dumps(envelope).encode()


def write_set(directory: Path, signer: Signer, *releases: Release) -> Path:
    """Write an update set."""
    directory.mkdir(exist_ok=True)
    for one in releases:
        for kind, data in one.files.items():
            (directory / one.name(kind)).write_bytes(data)
    index = {"schema": 1, "product": PRODUCT, "architecture": "amd64"}
    index["releases"] = [one.as_json() for one in releases]
    (directory / "index.json").write_bytes(signer.seal(json.dumps(index).encode()))
    return directory


def as_uuid(half: str) -> str:
    """Return half of a root hash as a UUID."""
    return "-".join((half[:8], half[8:12], half[12:16], half[16:20], half[20:]))


def identifiers(roothash: str) -> tuple[str, str]:
    """Return the PARTUUIDs of a root and its hash tree."""
    return as_uuid(roothash[:32]), as_uuid(roothash[32:])


def make_disk(path: Path, runs: Release) -> None:
    """Make a disk that has one release and a free slot."""
    with path.open("wb") as file:
        file.truncate(SIZE * MEBI)
    command = ["sgdisk", "--clear"]
    names = [("ESP", "esp", ""), *_names(runs)]
    names += [("_empty", "root", ""), ("_empty", "hash", "")]
    places = (ESP, ROOTS[0], TREES[0], ROOTS[1], TREES[1])
    for number, ((label, kind, identifier), (start, size)) in enumerate(
        zip(names, places, strict=True), 1
    ):
        command += ["-n", f"{number}:{start}M:+{size}M", "-t", f"{number}:{TYPES[kind]}"]
        command += ["-c", f"{number}:{label}"]
        if identifier:
            command += ["-u", f"{number}:{identifier}"]
    subprocess.run((*command, path), check=True, capture_output=True)
    esp = f"{path}@@{ESP[0]}M"
    subprocess.run(
        ("mformat", "-i", esp, "-F", "-T", str(ESP[1] * 2048), "-h", "64", "-s", "32", "::"),
        check=True,
    )
    subprocess.run(("mmd", "-i", esp, "::/EFI", "::/EFI/Linux"), check=True)
    kernel = path.with_suffix(".efi")
    kernel.write_bytes(runs.files["efi"])
    subprocess.run(
        ("mcopy", "-i", esp, kernel, f"::/EFI/Linux/{PRODUCT}_{runs.version}.efi"), check=True
    )
    with path.open("r+b") as file:
        for kind, (start, _) in (("root", ROOTS[0]), ("verity", TREES[0])):
            file.seek(start * MEBI)
            file.write(runs.files[kind])


def _names(runs: Release) -> list[tuple[str, str, str]]:
    root, tree = identifiers(runs.roothash)
    return [(f"root_{runs.version}", "root", root), (f"hash_{runs.version}", "hash", tree)]


def write_identity(directory: Path, signer: Signer, runs: Release) -> None:
    """Write what a root has of its release: files of /etc/dolmen, and a command line."""
    directory.mkdir(exist_ok=True)
    about = {"product": PRODUCT, "version": runs.version, "architecture": "amd64"}
    (directory / "release.json").write_text(json.dumps(about))
    (directory / "update.pub").write_bytes(signer.public())
    (directory / "cmdline").write_text(f"quiet roothash={runs.roothash}\n")


def entries(path: Path) -> list[str]:
    """Return the entries of the boot loader, in no order."""
    listed = subprocess.run(
        ("mdir", "-b", "-i", f"{path}@@{ESP[0]}M", "::/EFI/Linux/"),
        check=True,
        capture_output=True,
        text=True,
    )
    return [line.rpartition("/")[2] for line in listed.stdout.split("\n") if line]


def read_entry(path: Path, name: str) -> bytes:
    """Return the content of an entry, as far as it can be read."""
    command = ("mtype", "-i", f"{path}@@{ESP[0]}M", f"::/EFI/Linux/{name}")
    return subprocess.run(command, check=False, capture_output=True).stdout


def check_slot(path: Path, number: int, one: Release) -> None:
    """Fail if sgdisk and veritysetup do not find a release in a slot of the disk."""
    checked = subprocess.run(("sgdisk", "-v", path), capture_output=True, text=True, check=True)
    assert "No problems found" in checked.stdout, checked.stdout
    labels = (f"root_{one.version}", f"hash_{one.version}")
    for part, (label, identifier) in enumerate(
        zip(labels, identifiers(one.roothash), strict=True), 2 + 2 * number
    ):
        shown = subprocess.run(
            ("sgdisk", "-i", str(part), path), capture_output=True, text=True, check=True
        )
        assert f"Partition name: '{label}'" in shown.stdout, shown.stdout
        assert f"unique GUID: {identifier.upper()}" in shown.stdout, shown.stdout
    root, tree = path.with_suffix(".root"), path.with_suffix(".tree")
    image = path.read_bytes()
    for file, (start, size) in ((root, ROOTS[number]), (tree, TREES[number])):
        file.write_bytes(image[start * MEBI : (start + size) * MEBI])
    subprocess.run(("veritysetup", "verify", root, tree, one.roothash), check=True)
