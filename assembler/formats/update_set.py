"""The update set of a verified system: its files, their checksums, and the signed index.

Others' tools read the names of the files and SHA256SUMS. The index is one file with its signature
in it (a DSSE envelope), so that both are replaced as one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assembler.codes import output as codes
from assembler.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assembler.media import IndexSigner

FOLDER = "-update"
INDEX, CHECKSUMS = "index.json", "SHA256SUMS"
PAYLOAD_TYPE = "application/vnd.dolmen.update+json"
UPDATE_KEY_PATH, RELEASE_PATH = "etc/dolmen/update.pub", "etc/dolmen/release.json"
# Behind it come _ and the version, and boot loaders count tries behind a +.
_PRODUCT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class SystemRelease:
    """A version of a product for an architecture."""

    product: str
    version: str
    architecture: str

    def file_name(self, role: str) -> str:
        """Return the name of a file of the set: root, verity or efi."""
        return f"{self.product}_{self.version}_{self.architecture}.{role}"

    @property
    def program_name(self) -> str:
        """Return the name of the program for UEFI where the boot loader looks for it."""
        return f"{self.product}_{self.version}.efi"

    def check(self) -> None:
        """Refuse a name that cannot be that of a product."""
        if not _PRODUCT.fullmatch(self.product):
            raise OutputError.of(
                codes.BAD_PRODUCT,
                f"{self.product!r} cannot be the name of a product",
                "choose one of letters, digits, `.`, `_` and `-`, at most 64: --name NAME",
            )

    def document(self) -> bytes:
        """Return the file by which a system knows what it is."""
        return _json(
            {
                "product": self.product,
                "version": self.version,
                "architecture": self.architecture,
            }
        )


@dataclass(frozen=True, slots=True)
class UpdateFile:
    """A file of the set."""

    name: str
    size: int
    sha256: str

    def as_json(self) -> dict[str, Any]:
        """Return the file as JSON."""
        return {"name": self.name, "size": self.size, "sha256": self.sha256}


def signed_index(
    release: SystemRelease, root_hash: bytes, files: Mapping[str, UpdateFile], signer: IndexSigner
) -> bytes:
    """Return the index with a release, in its signed envelope."""
    payload = _json(
        {
            "schema": 1,
            "product": release.product,
            "architecture": release.architecture,
            "releases": [
                {
                    "version": release.version,
                    "roothash": root_hash.hex(),
                    "files": {role: file.as_json() for role, file in files.items()},
                }
            ],
        }
    )
    signature = signer.sign(hashlib.sha256(pre_authentication(payload)).digest())
    envelope = {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [
            {
                "keyid": hashlib.sha256(signer.public_key).hexdigest(),
                "sig": base64.b64encode(signature).decode(),
            }
        ],
    }
    return _json(envelope)


def pre_authentication(payload: bytes) -> bytes:
    """Return the bytes that a signature in a DSSE envelope is of."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def checksums(files: Mapping[str, UpdateFile]) -> bytes:
    """Return what `sha256sum --check` and systemd-sysupdate read."""
    return "".join(f"{file.sha256}  {file.name}\n" for file in files.values()).encode()


def _json(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=1) + "\n").encode()
