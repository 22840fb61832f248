"""The Release file of an archive: its files, its pin priority and its validity."""

from __future__ import annotations

import re
from calendar import timegm
from dataclasses import dataclass, field
from email.utils import parsedate
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.debian.engine_protocol import EXPIRED_ARCHIVE_HINTS
from assembler.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHA256 = re.compile(r"[0-9a-f]{64}")
# Clocks may differ by this many seconds.
_CLOCK_TOLERANCE = 600
_MAX_INDEX_SIZE = 1 << 30
# apt's default pin priorities: for archives in general, with NotAutomatic and
# ButAutomaticUpgrades, and with NotAutomatic only.
_DEFAULT_PRIORITY, _BACKPORTS_PRIORITY, _EXPERIMENTAL_PRIORITY = 500, 100, 1


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """The digest and size of a file in the Release file."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Release:
    """The fields of a Release file, and the files that it lists."""

    fields: Mapping[str, str] = field(repr=False)
    files: Mapping[str, ReleaseFile] = field(repr=False)

    @property
    def date(self) -> str:
        """Return the field Date."""
        return self.fields.get("date", "")

    @property
    def priority(self) -> int:
        """Return the pin priority of the archive's packages."""
        if self.fields.get("notautomatic", "no") != "yes":
            return _DEFAULT_PRIORITY
        upgrades = self.fields.get("butautomaticupgrades", "no") == "yes"
        return _BACKPORTS_PRIORITY if upgrades else _EXPERIMENTAL_PRIORITY

    @property
    def by_hash(self) -> bool:
        """Tell whether files are available by digest, so that no update replaces them."""
        return self.fields.get("acquire-by-hash", "no") == "yes"

    def indexes(self, component: str, architecture: str) -> tuple[str, ...]:
        """Return the names of a component's Packages files, without compression suffixes.

        Packages for all architectures are in each file, or in a separate file if Release says so.
        """
        architectures = [architecture]
        separate_all = (
            "Packages" not in self.fields.get("no-support-for-architecture-all", "").split()
        )
        if separate_all and "all" in self.fields.get("architectures", "").split():
            architectures.append("all")
        names = (f"{component}/binary-{name}/Packages" for name in architectures)
        return tuple(n for n in names if any(f.startswith(n) for f in self.files))

    def check_time(self, now: float, what: str, *, until: bool = True, since: bool = True) -> None:
        """Raise PackageError if the Release file has expired or is dated in the future."""
        valid_until = _parse_date(self.fields.get("valid-until", ""))
        if until and valid_until is not None and now > valid_until:
            raise PackageError.of(
                packages.BAD_SIGNATURE,
                f"{what} has expired: it was valid until {self.fields['valid-until']}",
                *EXPIRED_ARCHIVE_HINTS,
            )
        release_date = _parse_date(self.date)
        if since and release_date is not None and release_date > now + _CLOCK_TOLERANCE:
            raise PackageError.of(
                packages.BAD_SIGNATURE,
                f"{what} is dated in the future: {self.date}",
                "check the clock of this machine",
            )


def parse_release(text: bytes, what: str) -> Release:
    """Parse a Release file."""
    from debian.deb822 import Release as Fields  # noqa: PLC0415 - 46 ms, for this engine only

    try:
        release_fields = Fields(text.decode("utf-8"))
        rows = release_fields.get("SHA256", [])
        files = {row["name"]: _parse_file(row) for row in rows}
    except (ValueError, KeyError, TypeError) as error:
        raise PackageError.of(
            packages.NO_MIRROR, f"{what} is not a valid Release file: {error}"
        ) from error
    if not files:
        raise PackageError.of(packages.NO_MIRROR, f"{what} lists no files with SHA256")
    fields = {k.lower(): v for k, v in release_fields.items() if isinstance(v, str)}
    return Release(fields, files)


def _parse_file(row: Mapping[str, str]) -> ReleaseFile:
    size = int(row["size"])
    if not _SHA256.fullmatch(row["sha256"]) or not 0 <= size <= _MAX_INDEX_SIZE:
        raise ValueError(f"the entry of {row['name']} is broken")
    return ReleaseFile(row["sha256"], size)


def _parse_date(text: str) -> int | None:
    parsed = parsedate(text) if text else None
    return timegm(parsed) if parsed else None
