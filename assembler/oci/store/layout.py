"""The paths of a store, and the preparation of an empty one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import images
from assembler.errors import ImageError, wrap_os_errors
from assembler.files import STORE_MODE, atomic_write
from assembler.oci.digest import digest_hex, require_digest

if TYPE_CHECKING:
    from pathlib import Path

LAYOUT_FILE = "oci-layout"
INDEX_FILE = "index.json"
INDEX_COPY = "index.copy"
_OURS = frozenset(
    {LAYOUT_FILE, INDEX_FILE, INDEX_COPY, "blobs", "tmp", "locks", "segments", "quarantine"}
)


@dataclass(frozen=True, slots=True)
class StoreLayout:
    """The paths of a store; a new one touches nothing on disk."""

    root: Path

    @property
    def index(self) -> Path:
        """The file of names."""
        return self.root / INDEX_FILE

    @property
    def index_copy(self) -> Path:
        """The copy of the file of names."""
        return self.root / INDEX_COPY

    @property
    def blobs(self) -> Path:
        """The directory of blobs."""
        return self.root / "blobs" / "sha256"

    @property
    def tmp(self) -> Path:
        """The directory of incomplete blobs."""
        return self.root / "tmp"

    @property
    def locks(self) -> Path:
        """The directory of lock files."""
        return self.root / "locks"

    @property
    def segments(self) -> Path:
        """The directory of segments."""
        return self.root / "segments"

    @property
    def quarantine(self) -> Path:
        """The directory of blobs with wrong content."""
        return self.root / "quarantine"

    def blob(self, digest: str) -> Path:
        """Return the path of a blob; an invalid digest is refused."""
        return self.blobs / digest_hex(require_digest(digest, "the name of a blob"))

    def part(self, digest: str) -> Path:
        """Return the path of a blob's incomplete file."""
        return self.tmp / (digest_hex(require_digest(digest, "the name of a blob")) + ".part")

    def prepare(self) -> None:
        """Create the directories for writing, unless they exist."""
        if (self.root / LAYOUT_FILE).exists() and self.tmp.is_dir() and self.locks.is_dir():
            return
        with wrap_os_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            if not (self.root / LAYOUT_FILE).exists():
                self._refuse_other_things()
                with atomic_write(self.root / LAYOUT_FILE, mode=STORE_MODE) as file:
                    file.write(json.dumps({"imageLayoutVersion": "1.0.0"}).encode())
            for directory in (self.blobs, self.tmp, self.locks):
                directory.mkdir(parents=True, exist_ok=True)

    def _refuse_other_things(self) -> None:
        """Refuse a directory with other files."""
        for path in self.root.iterdir():
            # A dot begins the temporary name of an oci-layout that is just being written.
            if path.name in _OURS or path.name.startswith("."):
                continue
            # Another process may have made this a store since the look for oci-layout.
            if not (self.root / LAYOUT_FILE).exists():
                raise ImageError.of(
                    images.NOT_A_STORE,
                    f"{self.root} is not an image store: it holds {path.name!r} and no oci-layout",
                    "give a new or empty directory with --cache",
                )
