"""Small disks and update sets of verified systems, with everything that is verified in them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from assembler.content import FileRange
from assembler.formats.efi import with_policy
from assembler.formats.update_set import SystemRelease, UpdateFile, checksums, signed_index
from assembler.formats.verified_disk import SlotContent, esp_files, plan_sizes, verified_disk
from assembler.measurement import predict_registers, prediction_document
from assembler.media import (
    ExtentImage,
    KeySetOptions,
    VerityIdentity,
    VerityWriter,
    add_pe_sections,
    detached_signature,
    generate_keys,
    read_pcr_signer,
    read_release_keys,
    sign_program,
    write_image,
)
from assembler.rootfs import DiskSpec
from support.booting import archive
from support.programs import program

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

RELEASE = SystemRelease("web", "7", "amd64")
LINE = "console=ttyS0 roothash={} dolmen.verity=fallback"


def make_keys(folder: Path) -> Path:
    """Make all keys of a release."""
    generate_keys(folder, KeySetOptions("Test", datetime(2026, 1, 1, tzinfo=UTC)))
    others: dict[str, PrivateKeyTypes] = {
        "update": ec.generate_private_key(ec.SECP256R1()),
        "pcr": rsa.generate_private_key(65537, 2048),
    }
    for name, key in others.items():
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / f"{name}.key").write_bytes(pem)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder / f"{name}.pub").write_bytes(public)
    return folder


@dataclass(frozen=True)
class VerifiedImage:
    """A disk and an update set with the same release."""

    disk: Path
    update: Path
    root_hash: bytes

    def file(self, role: str) -> Path:
        """Return a file of the update set."""
        return self.update / RELEASE.file_name(role)


def make_image(folder: Path, keys: Path, root: bytes, *, signed_hash: str = "") -> VerifiedImage:
    """Write disk, predictions and update set; `signed_hash` is signed instead of the root hash."""
    update = folder / "web-update"
    update.mkdir(parents=True)
    paths = {role: update / RELEASE.file_name(role) for role in ("root", "verity", "efi")}
    release_keys = read_release_keys(keys, str)
    paths["root"].write_bytes(root)
    with (
        paths["root"].open("rb") as data,
        paths["verity"].open("w+b") as tree,
        paths["efi"].open("w+b") as efi,
        (folder / "web-verified.img").open("wb") as disk,
    ):
        writer = VerityWriter(tree.fileno(), len(root), VerityIdentity.of(b"seed"))
        writer.update(root)
        root_hash = writer.finish()
        signature = detached_signature(
            (signed_hash or root_hash.hex()).encode(), release_keys.root_hash
        )
        initrd = archive({"verity/root.p7s": (0o100644, signature)})
        release = "IMAGE_ID=web\nIMAGE_VERSION=7\nVERSION_ID=7\n"
        stub = program(b"stub" * 99)
        sections = with_policy(
            stub,
            [
                (".osrel", release.encode()),
                (".cmdline", LINE.format(root_hash.hex()).encode()),
                (".initrd", initrd),
                (".linux", b"kernel" * 999),
            ],
            read_pcr_signer(keys / "pcr.key"),
        )
        write_image(sign_program(add_pe_sections(stub, sections), release_keys.programs), efi)
        efi.flush()
        content = SlotContent(
            FileRange(data.fileno(), len(root)),
            FileRange(tree.fileno(), tree.seek(0, 2)),
            root_hash,
        )
        unified = ExtentImage.of([(0, FileRange(efi.fileno(), efi.seek(0, 2)))])
        loader = sign_program(
            ExtentImage.of([(0, program(b"boot loader" * 99))]), release_keys.programs
        )
        files = esp_files("amd64", loader, RELEASE, unified)
        spec = DiskSpec()
        sizes = plan_sizes(spec, content, files)
        write_image(verified_disk(RELEASE, sizes, content, files, [], None, b"seed"), disk)
    listed = {
        role: UpdateFile(path.name, path.stat().st_size, _digest(path))
        for role, path in paths.items()
    }
    index = signed_index(RELEASE, root_hash, listed, release_keys.index)
    (update / "index.json").write_bytes(index)
    (update / "SHA256SUMS").write_bytes(checksums(listed))
    path = folder / "web-verified.img"
    (folder / "web-pcrs.json").write_bytes(
        prediction_document({path.name: predict_registers(path)})
    )
    return VerifiedImage(path, update, root_hash)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
