"""Verified systems to boot: a root filesystem with its hash tree, on disks by other tools."""

from __future__ import annotations

import datetime as dt
import random
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes as digests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from assembler.build import BuildOptions
from assembler.build.preparation import prepare
from assembler.config import ConfigInput
from assembler.content import read_content
from assembler.encode.assembly import Assembly
from assembler.encode.early_initrd import ROOT_SIGNATURE, plan_early_initrd
from assembler.events import NullReporter
from assembler.oci.image_sources import ImageSources
from assembler.oci.store import Store
from support.guests import HOME, assemble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.guest import Files

MEBI = 1 << 20
BLOCK = 4096
ESP, DATA, HASHES = "ef00", "8304", "830c"
_TOOLS = ("veritysetup", "sgdisk", "sqfstar", "mkfs.vfat", "mcopy")

needs_verity = pytest.mark.skipif(
    not all(map(shutil.which, _TOOLS)), reason=f"one of {', '.join(_TOOLS)} is not installed"
)


@dataclass(frozen=True)
class VerifiedRoot:
    """A root filesystem with its hash tree."""

    files: Files
    data: Path
    hashes: Path
    digest: str
    # The kernel as firmware starts it, and the command line of the YAML file.
    kernel: bytes
    cmdline: str

    @property
    def initrd(self) -> bytes:
        """Return the early initrd."""
        return self.files.path("initrd.img").read_bytes()


@dataclass(frozen=True)
class Partition:
    """A partition of a disk: its type for sgdisk, id, name and content."""

    kind: str
    uuid: str
    name: str
    content: Path


def verified_root(
    yaml: Path,
    folder: Path,
    sign: Callable[[str], bytes] | None = None,
    architecture: str = "amd64",
) -> VerifiedRoot:
    """Make of a system a squashfs, its hashes by veritysetup, and the early initrd."""
    files = assemble(yaml, folder, architecture)
    store = HOME / ".cache" / "dolmen"
    text = ConfigInput(str(yaml), yaml.read_bytes(), yaml.parent)
    sources = ImageSources(store=store, offline=True)
    options = BuildOptions(sources=sources, architecture=architecture)
    prepared = prepare([text], options, (), NullReporter())
    data, hashes = folder / f"{yaml.stem}.root", folder / f"{yaml.stem}.verity"
    with Assembly(prepared.plan, Store(store)) as assembly:
        command = ["sqfstar", "-quiet", "-no-progress", data]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as made:
            assert made.stdin is not None
            for piece in assembly.tree():
                made.stdin.write(
                    read_content(piece) if not isinstance(piece, memoryview) else piece
                )
        assert made.returncode == 0
        with data.open("r+b") as file:
            file.truncate(-(-data.stat().st_size // BLOCK) * BLOCK)
        words = ["veritysetup", "format", "--salt", "ab" * 32, data, hashes]
        said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        found = re.search(r"Root hash:\s*([0-9a-f]{64})", said)
        assert found, said
        extra = {ROOT_SIGNATURE: sign(found[1])} if sign else {}
        early = plan_early_initrd(assembly, ["squashfs"], verified=True, extra_files=extra)
        found_kernel = assembly.kernel()
        assert found_kernel is not None
        kernel, cmdline = read_content(found_kernel.content), assembly.cmdline
    assert early is not None
    assert early.missing_filesystems == ()
    with Assembly(early.plan, Store(store)) as assembly:
        files.path("initrd.img").write_bytes(read_content(assembly.initrd()))
    return VerifiedRoot(files, data, hashes, found[1], kernel, cmdline)


def slot(root: VerifiedRoot, name: str = "1") -> tuple[Partition, Partition]:
    """Return the partitions of a root filesystem, with halves of the root hash as ids."""
    first, second = root.digest[:32], root.digest[32:]
    return (
        Partition(DATA, _dashed(first), f"root_{name}", root.data),
        Partition(HASHES, _dashed(second), f"hash_{name}", root.hashes),
    )


def _dashed(digits: str) -> str:
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def write_disk(path: Path, *partitions: Partition) -> None:
    """Write a disk with a GPT."""
    sizes = [-(-p.content.stat().st_size // MEBI) for p in partitions]
    with path.open("wb") as file:
        file.truncate((sum(sizes) + 2) * MEBI)
    words: list[str | Path] = ["sgdisk", "--clear"]
    start = 1
    for number, (partition, size) in enumerate(zip(partitions, sizes, strict=True), 1):
        words += ["-n", f"{number}:{start * 2048}:{(start + size) * 2048 - 1}"]
        words += ["-t", f"{number}:{partition.kind}", "-c", f"{number}:{partition.name}"]
        words += ["-u", f"{number}:{partition.uuid}"]
        with path.open("r+b") as file:
            file.seek(start * MEBI)
            file.write(partition.content.read_bytes())
        start += size
    subprocess.run([*words, path], check=True, capture_output=True)


def content_with_needle(seed: int) -> bytes:
    """Return a file with the word `needle`, which is in a block of the filesystem of its own.

    What cannot be compressed is there as it is, and beside it there is nothing of other files.
    """
    noise = random.Random(seed)
    return noise.randbytes(1 << 19) + b"needle" + noise.randbytes(1 << 19)


def partition_offsets(path: Path) -> Iterator[int]:
    """Yield where the partitions of a disk begin, in their order."""
    said = subprocess.run(["sgdisk", "-p", path], check=True, capture_output=True, text=True)
    for line in said.stdout.splitlines():
        if words := re.match(r"\s+\d+\s+(\d+)\s+\d+\s", line):
            yield int(words[1]) * 512


def flip(path: Path, offset: int) -> None:
    """Change a byte."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


class RootSigner:
    """A key with a certificate of its own, which signs root hashes."""

    def __init__(self) -> None:
        """Make the key."""
        self.key = rsa.generate_private_key(65537, 2048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
        now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
        builder = builder.public_key(self.key.public_key()).serial_number(1)
        builder = builder.not_valid_before(now).not_valid_after(now.replace(year=2046))
        self.certificate = builder.sign(self.key, digests.SHA256())

    def sign(self, digest: str) -> bytes:
        """Return the detached signature of a root hash."""
        builder = pkcs7.PKCS7SignatureBuilder().set_data(digest.encode())
        builder = builder.add_signer(self.certificate, self.key, digests.SHA256())
        options = pkcs7.PKCS7Options
        return builder.sign(
            Encoding.DER, [options.DetachedSignature, options.NoAttributes, options.Binary]
        )
