"""The control file of a Debian package."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]{1,}")
_VERSION = re.compile(r"[A-Za-z0-9.+:~-]+")


@dataclass(frozen=True, slots=True)
class ControlFile:
    """The text and the fields of a package's control file, and its md5sums file."""

    text: str = field(repr=False)
    fields: Mapping[str, str] = field(repr=False)
    md5sums: bytes = field(default=b"", repr=False)

    @property
    def name(self) -> str:
        """Return the package's name."""
        return self.fields["Package"]

    @property
    def version(self) -> str:
        """Return the package's version."""
        return self.fields["Version"]

    @property
    def architecture(self) -> str:
        """Return the package's architecture, which may be `all`."""
        return self.fields["Architecture"]

    @property
    def source(self) -> str:
        """Return the name of the source package."""
        return self.fields.get("Source", self.name).split(" ", 1)[0]

    @property
    def replaces(self) -> frozenset[str]:
        """Return the packages whose files this one may overwrite (the field Replaces)."""
        items = re.split(r"[,|]", self.fields.get("Replaces", ""))
        return frozenset(item.strip().split(" ")[0].split(":")[0] for item in items if item.strip())


def parse_control(files: Mapping[str, bytes]) -> ControlFile:
    """Parse the control file; `files` are all files of the control.tar."""
    text = files["control"].decode("utf-8", "replace").strip("\n") + "\n"
    fields: dict[str, str] = {}
    key = ""
    for line in text.splitlines():
        if line[:1] in (" ", "\t"):
            if key:
                fields[key] += "\n" + line
        else:
            key, colon, value = line.partition(":")
            if not colon:
                raise ValueError(f"not a line of a control file: {line[:60]!r}")
            fields[key] = value.strip()
    if not _NAME.fullmatch(fields.get("Package", "")):
        raise ValueError("its control file names no package")
    if not _VERSION.fullmatch(fields.get("Version", "")) or not fields.get("Architecture"):
        raise ValueError("its control file lacks a version or an architecture")
    return ControlFile(text, fields, files.get("md5sums", b""))
