"""An output that was written; an unchanged build loads this module and no other of the stage."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assembler.errors import wrap_os_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Output:
    """A file, a stream or an image of the store that was written."""

    format: str
    role: str
    size: int
    path: Path | None = None
    # The full name of an image in the store.
    reference: str = ""
    # Empty until it is computed: `with_digest` does it for files.
    digest: str = ""

    @property
    def sha256(self) -> str:
        """Return the hash of the output in hexadecimal; a file is read if need be."""
        return self.with_digest().digest.removeprefix("sha256:")

    def as_json(self) -> dict[str, Any]:
        """Return the output as JSON."""
        return {
            "format": self.format,
            "role": self.role,
            "path": str(self.path) if self.path else None,
            "reference": self.reference or None,
            "size": self.size,
            "digest": self.digest or None,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Output:
        """Return the output that JSON of `as_json` describes."""
        path = Path(document["path"]) if document["path"] else None
        return cls(
            document["format"],
            document["role"],
            document["size"],
            path,
            document["reference"] or "",
            document["digest"] or "",
        )

    def with_digest(self) -> Output:
        """Return the output with its digest; a file is read if need be."""
        if self.digest or self.path is None:
            return self
        return Output(
            self.format, self.role, self.size, self.path, self.reference, file_digest(self.path)
        )


def file_digest(path: Path) -> str:
    """Return the digest of a file."""
    hasher = hashlib.sha256()
    with wrap_os_errors(path, "read"), path.open("rb") as file:
        while data := file.read(_CHUNK):
            hasher.update(data)
    return "sha256:" + hasher.hexdigest()
