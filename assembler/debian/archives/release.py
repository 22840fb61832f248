"""The Release of an archive: what files its indexes are, how much it counts, and until when."""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate

from assembler.codes import packages
from assembler.errors import PackageError

_SHA256 = re.compile(r"[0-9a-f]{64}")
# A clock may be a little wrong.
_CLOCK_TOLERANCE = 600
_MAX_INDEX_SIZE = 1 << 30
# As apt counts them: packages of such archives are taken only if no other archive has any.
_USUAL, _BACKPORTS, _EXPERIMENTAL = 500, 100, 1


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """A file of an archive as its Release lists it."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Release:
    """What the signed text of an archive says."""

    fields: Mapping[str, str] = field(repr=False)
    files: Mapping[str, ReleaseFile] = field(repr=False)

    @property
    def date(self) -> str:
        """Return when the archive was made as it is now."""
        return self.fields.get("date", "")

    @property
    def priority(self) -> int:
        """Return how much the archive's packages count beside those of others."""
        if self.fields.get("notautomatic", "no") != "yes":
            return _USUAL
        upgrades = self.fields.get("butautomaticupgrades", "no") == "yes"
        return _BACKPORTS if upgrades else _EXPERIMENTAL

    @property
    def by_hash(self) -> bool:
        """Tell whether files can be had under their digests, so that no update is in between."""
        return self.fields.get("acquire-by-hash", "no") == "yes"

    def indexes(self, component: str, architecture: str) -> tuple[str, ...]:
        """Return the names of the indexes, without compression, that have a component's packages.

        Those for all architectures are in each index, or in one of their own if Release says so.
        """
        wanted = [architecture]
        apart = "Packages" not in self.fields.get("no-support-for-architecture-all", "").split()
        if apart and "all" in self.fields.get("architectures", "").split():
            wanted.append("all")
        names = (f"{component}/binary-{one}/Packages" for one in wanted)
        return tuple(n for n in names if any(f.startswith(n) for f in self.files))

    def check_time(self, now: float, what: str, *, until: bool = True, since: bool = True) -> None:
        """Refuse an archive that is no longer (or not yet) what its signature vouches for."""
        last = _parse_date(self.fields.get("valid-until", ""))
        if until and last is not None and now > last:
            raise PackageError.of(
                packages.BAD_SIGNATURE,
                f"{what} has expired: it was valid until {self.fields['valid-until']}",
                "the mirror is not kept up to date, or somebody shows you an old one; try another",
                "for a mirror that is old on purpose: --debian-mirror '[check-valid-until=no] URL'",
            )
        first = _parse_date(self.date)
        if since and first is not None and first > now + _CLOCK_TOLERANCE:
            raise PackageError.of(
                packages.BAD_SIGNATURE,
                f"{what} is of a time to come: {self.date}",
                "is this machine's clock right?",
            )


def parse_release(text: bytes, what: str) -> Release:
    """Read the text of a Release whose signature was checked."""
    from debian.deb822 import Release as Fields  # noqa: PLC0415 - 46 ms, for this engine only

    try:
        found = Fields(text.decode("utf-8"))
        rows = found.get("SHA256", [])
        files = {row["name"]: _parse_file(row) for row in rows}
    except (ValueError, KeyError, TypeError) as error:
        raise PackageError.of(
            packages.NO_MIRROR, f"{what} is not a list of an archive's files: {error}"
        ) from error
    if not files:
        raise PackageError.of(packages.NO_MIRROR, f"{what} lists no files with their sha256")
    fields = {k.lower(): v for k, v in found.items() if isinstance(v, str)}
    return Release(fields, files)


def _parse_file(row: Mapping[str, str]) -> ReleaseFile:
    size = int(row["size"])
    if not _SHA256.fullmatch(row["sha256"]) or not 0 <= size <= _MAX_INDEX_SIZE:
        raise ValueError(f"the entry of {row['name']} is broken")
    return ReleaseFile(row["sha256"], size)


def _parse_date(text: str) -> int | None:
    parsed = parsedate(text) if text else None
    return timegm(parsed) if parsed else None
