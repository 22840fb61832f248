"""The entries of systemd-boot, and the one that it starts by itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cmp_to_key
from typing import TYPE_CHECKING

from assembler.errors import DolmenError
from assembler.inspection import CorruptDataError
from assembler.measurement.programs import EfiProgram

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assembler.inspection import BootVolume

CONFIGURATION = "loader/loader.conf"
_ENTRIES, _UNIFIED = "loader/entries", "EFI/Linux"
_COUNTERS = re.compile(r"\+(\d+)(?:-(\d+))?$")
_MAX_TEXT = 64 << 10
_MAX_ENTRIES = 1024


@dataclass(frozen=True, slots=True)
class LoaderEntry:
    """An entry of the menu."""

    # The path of its file.
    path: str
    # The name without counters.
    identifier: str
    sort_key: str = ""
    version: str = ""
    machine: str = ""
    tries_left: int | None = None
    tries_done: int = 0
    # Of an entry in a file .conf: kernel, initrds and command line.
    kernel: str = ""
    initrds: tuple[str, ...] = ()
    options: str = ""

    @property
    def is_unified(self) -> bool:
        """Tell whether it is a unified kernel image."""
        return not self.kernel


def read_entries(volume: BootVolume) -> list[LoaderEntry]:
    """Return the entries in the order of the menu; the first one is started."""
    found = []
    for path in volume.below(_ENTRIES)[:_MAX_ENTRIES]:
        if path.lower().endswith(".conf"):
            entry = _entry_of_file(path, _text(volume, path))
            if entry is not None:
                found.append(entry)
    for path in volume.below(_UNIFIED)[:_MAX_ENTRIES]:
        if path.lower().endswith(".efi"):
            entry = _entry_of_program(volume, path)
            if entry is not None:
                found.append(entry)
    return sorted(found, key=cmp_to_key(_compare))


def default_entry(volume: BootVolume, entries: Iterable[LoaderEntry]) -> LoaderEntry | None:
    """Return the entry that is started without a choice, a variable or a key."""
    entries = list(entries)
    pattern = _fields(_text(volume, CONFIGURATION)).get("default", [""])[-1]
    if pattern and not pattern.startswith("@"):
        for entry in entries:
            if fnmatchcase(entry.identifier.lower(), pattern.lower()):
                return entry
    usable = [entry for entry in entries if entry.tries_left != 0]
    return next(iter([*usable, *entries]), None)


def _text(volume: BootVolume, path: str) -> str:
    found = volume.find(path)
    return found[1].read(0, _MAX_TEXT).decode("utf-8", "replace") if found else ""


def _fields(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        words = line.strip().split(None, 1)
        if len(words) == 2 and not words[0].startswith("#"):
            found.setdefault(words[0], []).append(words[1].strip())
    return found


def _name(path: str) -> tuple[str, int | None, int]:
    """Return the identifier of a file, and its counters."""
    stem, _, suffix = path.rpartition("/")[2].rpartition(".")
    counters = _COUNTERS.search(stem)
    if counters is None:
        return f"{stem}.{suffix}", None, 0
    return f"{stem[: counters.start()]}.{suffix}", int(counters[1]), int(counters[2] or 0)


def _entry_of_file(path: str, text: str) -> LoaderEntry | None:
    fields = _fields(text)
    kernel = (fields.get("linux") or fields.get("efi") or [""])[-1]
    if not kernel:
        return None
    identifier, left, done = _name(path)
    return LoaderEntry(
        path,
        identifier,
        fields.get("sort-key", [""])[-1],
        fields.get("version", [""])[-1],
        fields.get("machine-id", [""])[-1],
        left,
        done,
        kernel,
        tuple(fields.get("initrd", ())),
        " ".join(fields.get("options", ())),
    )


def _entry_of_program(volume: BootVolume, path: str) -> LoaderEntry | None:
    try:
        program = EfiProgram.read(path, volume.files[path])
        release = program.small(".osrel", _MAX_TEXT).decode("utf-8", "replace")
    except (CorruptDataError, DolmenError):
        return None
    if not program.is_unified or not release:
        return None
    values = {
        key: value.strip().strip("\"'")
        for key, _, value in (line.partition("=") for line in release.splitlines())
    }
    identifier, left, done = _name(path)
    key = values.get("IMAGE_ID") or values.get("ID", "")
    names = ("IMAGE_VERSION", "VERSION", "VERSION_ID", "BUILD_ID")
    version = next((values[name] for name in names if values.get(name)), "")
    return LoaderEntry(path, identifier, key, version, "", left, done)


def _compare(one: LoaderEntry, other: LoaderEntry) -> int:
    differences = [(one.tries_left == 0) - (other.tries_left == 0)]
    differences.append((not one.sort_key) - (not other.sort_key))
    if one.sort_key and other.sort_key:
        differences.append(_order(one.sort_key, other.sort_key))
        differences.append(_order(one.machine, other.machine))
        differences.append(-compare_versions(one.version, other.version))
    differences.append(-compare_versions(one.identifier, other.identifier))
    if one.tries_left is not None and other.tries_left is not None:
        differences.append(other.tries_left - one.tries_left)
        differences.append(one.tries_done - other.tries_done)
    return next((d for d in differences if d), 0)


def _order(one: str, other: str) -> int:
    return (one > other) - (one < other)


_OTHERS = re.compile(r"[^0-9A-Za-z~^.-]+")
_DIGITS, _LETTERS = re.compile(r"[0-9]*"), re.compile(r"[A-Za-z]*")


def compare_versions(one: str, other: str) -> int:
    """Compare versions as the Version Format Specification of UAPI says."""
    while one or other:
        one, other = (
            _OTHERS.sub("", text, 1) if _OTHERS.match(text) else text for text in (one, other)
        )
        for mark in "~\0-^.":
            if mark == "\0":
                if not one or not other:
                    return bool(one) - bool(other)
            elif one.startswith(mark) or other.startswith(mark):
                # What has the mark is older.
                difference = other.startswith(mark) - one.startswith(mark)
                if difference:
                    return difference
                one, other = one[1:], other[1:]
        pattern = _DIGITS if one[:1].isdigit() or other[:1].isdigit() else _LETTERS
        first, second = (_piece(pattern, text) for text in (one, other))
        one, other = one[len(first) :], other[len(second) :]
        if pattern is _DIGITS:
            # Numbers are newer than letters.
            pair = (int(first or -1), int(second or -1))
            difference = (pair[0] > pair[1]) - (pair[0] < pair[1])
        else:
            difference = _order(first, second)
        if difference:
            return difference
    return 0


def _piece(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.match(text)
    return found[0] if found else ""
