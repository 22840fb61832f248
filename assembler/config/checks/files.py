"""The checks of `files`: each entry has one kind of content, and a path inside the system."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.codes import config as codes
from assembler.config.checks.names import check_ids
from assembler.config.diagnostics import error, warning
from assembler.config.messages import shorten

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assembler.config.checks.names import KnownNames
    from assembler.config.model import RootfsFile
    from assembler.diagnostics import Diagnostic, Place

_CONTENT_KEYS = ("contents", "source", "symlink", "directory", "metadata")
# Pairs that LinuxKit accepts, and which key of the pair it ignores.
_TOLERATED = {
    frozenset(("directory", "symlink")): "symlink",
}


def check_files(files: Sequence[RootfsFile], known: KnownNames) -> Iterator[Diagnostic]:
    """Check all entries, and whether an entry replaces another one of the same YAML file."""
    first_places: dict[tuple[str, str], Place | None] = {}
    for file in files:
        yield from _check_path(file)
        yield from _check_content(file)
        yield from check_ids(file, known)
        place = file.positions.place_of("path")
        if not file.path or place is None or file.directory:
            continue
        key = place.source.name, file.path.strip("/")
        if key in first_places:
            yield warning(
                codes.DUPLICATE_PATH,
                f"duplicate path {shorten(file.path)}; the second entry is used",
                place,
                related=("the first entry is here", first_places[key]),
            )
        first_places[key] = place


def _check_path(file: RootfsFile) -> Iterator[Diagnostic]:
    if file.path is None or "path" not in file.positions.children:
        return
    place = file.positions.place_of("path")
    parts = [p for p in file.path.split("/") if p not in ("", ".")]
    if not parts:
        yield error(codes.BAD_PATH, f"{file.path!r} is not the path of a file", place)
    elif ".." in parts:
        normalized: list[str] = []
        for part in parts:
            if part == "..":
                normalized = normalized[:-1]
            else:
                normalized.append(part)
        hint = f"write {'/'.join(normalized)}" if normalized else ""
        message = f"the path of a file cannot contain `..`: {shorten(file.path)}"
        yield error(codes.BAD_PATH, message, place, hint)


def _check_content(file: RootfsFile) -> Iterator[Diagnostic]:
    given = [
        key
        for key in _CONTENT_KEYS
        if getattr(file, key) or (key == "contents" and file.contents is not None)
    ]
    invalid = [
        k for k in _CONTENT_KEYS if k in file.positions.children and getattr(file, k) is None
    ]
    if not given:
        if not invalid:
            yield error(
                codes.FILE_WITHOUT_CONTENT,
                f"{shorten(file.path or 'the file')} has no content",
                file.positions.place_of("path"),
                "set one of contents, source, symlink, directory: true, metadata",
                'an empty file is contents: ""',
            )
        return
    if file.optional and "source" not in given:
        yield warning(
            codes.NO_EFFECT,
            "`optional` has no effect without `source`",
            file.positions.lookup("optional").key,
        )
    if len(given) > 1:
        one, two = given[:2]
        ignored = _TOLERATED.get(frozenset(given))
        place = file.positions.lookup(ignored or two).key
        if ignored:
            effective = one if ignored == two else two
            message = f"`{ignored}` is ignored, because `{effective}` is also set"
            yield warning(codes.NO_EFFECT, message, place, "remove one of the two")
        else:
            yield error(
                codes.CONFLICTING_FILE_KEYS,
                f"{shorten(file.path or 'the file')} has `{one}` and `{two}`, which exclude "
                "each other",
                place,
                "remove one of the two",
                related=(f"`{one}` is here", file.positions.lookup(one).key),
            )
