"""The reference lock beside a YAML file: the commit of each source that it names.

`image.lock` belongs to image.yml and is committed with it. Each reference has a table of its own in
order of the names, so that git merges changes of different references.
"""

from __future__ import annotations

import json
import re
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.config import GIT_PREFIX, OCI_PREFIX
from assembler.data_files import open_data_file
from assembler.diagnostics import Place, SourceText
from assembler.errors import PackageError, wrap_os_errors
from assembler.files import atomic_write
from assembler.git_sources.reference import COMMIT
from assembler.oci import is_digest

if TYPE_CHECKING:
    from collections.abc import Mapping

LOCK_SUFFIX = ".lock"
_VERSION = 1
_MAX_SIZE = 4 << 20
_HEAD = "# The commits of the references in {name}; made by `dolmen lock`, and committed with it.\n"
_TOML_PLACE = re.compile(r" ?\(at line (\d+), column (\d+)\)")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass(frozen=True, slots=True)
class LockedCommit:
    """The commit of a source, and when it was resolved."""

    commit: str
    resolved: str
    # Of the artifact at a registry that has the commit.
    digest: str = ""

    @classmethod
    def now(cls, commit: str, digest: str = "") -> LockedCommit:
        """Return the entry for a commit that was resolved just now."""
        return cls(commit, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), digest)


def lock_path(yaml: Path) -> Path:
    """Return the path of the lock of a YAML file."""
    return yaml.with_suffix(LOCK_SUFFIX)


def read_lock(path: Path) -> dict[str, LockedCommit]:
    """Return the commits by source (`@git:URL#REF`); a missing lock has none."""
    if not path.exists():
        return {}
    with wrap_os_errors(path, "read"), open_data_file(path) as file:
        data = file.read(_MAX_SIZE + 1)
    text = data.decode("utf-8", "replace")
    source = SourceText(str(path), text)
    if len(data) > _MAX_SIZE:
        raise _error("it is too large", Place(source))
    try:
        document = tomllib.loads(text)
    except ValueError as error:
        raise _toml_error(str(error), source) from error
    if document.get("version") != _VERSION:
        message = f"its version is {document.get('version')!r}, not {_VERSION}"
        raise _error(message, _place_of(source, "version"))
    found = {}
    for name, entry in document.items():
        if name == "version":
            continue
        if not name.startswith((GIT_PREFIX, OCI_PREFIX)) or not isinstance(entry, dict):
            raise _error(f"{name!r} is not a reference", _place_of(source, name))
        found[name] = _parse_entry(name, entry, source)
    return found


def write_lock(path: Path, commits: Mapping[str, LockedCommit]) -> None:
    """Write the lock; one that is the same already is not touched."""
    lines = [_HEAD.format(name=path.with_suffix(".yml").name), f"version = {_VERSION}\n"]
    for name, locked in sorted(commits.items()):
        lines.append(f'\n[{_key(name)}]\ncommit = "{locked.commit}"\n')
        if locked.digest:
            lines.append(f'digest = "{locked.digest}"\n')
        lines.append(f'resolved = "{locked.resolved}"\n')
    content = "".join(lines).encode()
    with wrap_os_errors(path):
        if path.exists() and path.read_bytes() == content:
            return
    with atomic_write(path) as file:
        file.write(content)


def entry_place(path: Path, source: str) -> Place | None:
    """Return the place of the commit of a source in a lock."""
    try:
        text = SourceText(str(path), path.read_text("utf-8", "replace"))
    except OSError:
        return None
    return _place_of(text, source, "commit")


def _key(name: str) -> str:
    # A string of JSON is a basic string of TOML, unless it has an escaped surrogate pair.
    return json.dumps(name, ensure_ascii=False)


def _parse_entry(name: str, entry: Mapping[str, object], source: SourceText) -> LockedCommit:
    commit, resolved = entry.get("commit"), entry.get("resolved")
    if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
        message = f"the commit of {name} is not 40 digits from 0 to 9 and a to f"
        raise _error(message, _place_of(source, name, "commit"))
    if not isinstance(resolved, str) or not _TIME.fullmatch(resolved):
        message = f"the time of {name} is not written as 2026-01-31T12:00:00Z"
        raise _error(message, _place_of(source, name, "resolved"))
    digest = entry.get("digest", "")
    if not isinstance(digest, str) or (name.startswith(OCI_PREFIX) and not is_digest(digest)):
        message = f"the digest of {name} is not sha256: and 64 digits"
        raise _error(message, _place_of(source, name, "digest"))
    return LockedCommit(commit, resolved, digest)


def _toml_error(text: str, source: SourceText) -> PackageError:
    match = _TOML_PLACE.search(text)
    place = Place(source, int(match[1]), int(match[2])) if match else Place(source)
    conflict = re.search(r"^(<{7}|>{7}|={7})", source.text, re.MULTILINE)
    reason = _TOML_PLACE.sub("", text)
    if conflict:
        reason = "it has marks of a merge conflict"
        place = Place(source, source.text.count("\n", 0, conflict.start()) + 1, 1, 7)
    return _error(reason[:1].lower() + reason[1:], place)


def _place_of(source: SourceText, name: str, key: str = "") -> Place:
    """Return the place of a value, or of its table if that is missing."""
    lines = source.text.splitlines()
    table = next((n for n, text in enumerate(lines) if name in text), None)
    if table is None:
        return Place(source)
    if key:
        for number in range(table + 1, len(lines)):
            if lines[number].startswith("["):
                break
            match = re.match(rf"\s*{key}\s*=\s*(.*?)\s*\Z", lines[number])
            if match:
                return Place(source, number + 1, match.start(1) + 1, max(1, len(match[1])))
    start = lines[table].find(name)
    return Place(source, table + 1, start + 1, len(name))


def _error(reason: str, place: Place) -> PackageError:
    name = Path(place.source.name)
    return PackageError.of(
        packages.BAD_REFERENCE_LOCK,
        f"{name} is not a valid lock: {reason}",
        "do not edit it: take the last committed version, or remove it and run `dolmen lock`",
        place=place,
    )
