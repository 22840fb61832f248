"""Entries of `files`: each is one thing, at a path inside the system."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.codes import config as codes
from assembler.config.checks.names import check_ids
from assembler.config.findings import error, warning
from assembler.config.messages import shortened

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assembler.config.checks.names import Known
    from assembler.config.model import File
    from assembler.diagnostics import Diagnostic, Place

_KINDS = ("contents", "source", "symlink", "directory", "metadata")
# What LinuxKit accepts, and which of the two it then leaves out.
_TOLERATED = {
    frozenset(("directory", "symlink")): "symlink",
}


def check_files(files: Sequence[File], known: Known) -> Iterator[Diagnostic]:
    """Check all entries, and whether one hides another of the same YAML file."""
    written: dict[tuple[str, str], Place | None] = {}
    for file in files:
        yield from _path(file)
        yield from _kind(file)
        yield from check_ids(file, known)
        place = file.at.of("path")
        if not file.path or place is None or file.directory:
            continue
        key = place.source.name, file.path.strip("/")
        if key in written:
            yield warning(
                codes.PATH_TWICE,
                f"{shortened(file.path)} is written twice; the second counts",
                place,
                first=("it is first written here", written[key]),
            )
        written[key] = place


def _path(file: File) -> Iterator[Diagnostic]:
    if file.path is None or "path" not in file.at.children:
        return
    place = file.at.of("path")
    parts = [p for p in file.path.split("/") if p not in ("", ".")]
    if not parts:
        yield error(codes.BAD_PATH, f"{file.path!r} is no path of a file", place)
    elif ".." in parts:
        clean: list[str] = []
        for part in parts:
            if part == "..":
                clean = clean[:-1]
            else:
                clean.append(part)
        hint = f"write {'/'.join(clean)}" if clean else ""
        message = f"`..` cannot be part of a file's path: {shortened(file.path)}"
        yield error(codes.BAD_PATH, message, place, hint)


def _kind(file: File) -> Iterator[Diagnostic]:
    given = [
        kind
        for kind in _KINDS
        if getattr(file, kind) or (kind == "contents" and file.contents is not None)
    ]
    lost = [k for k in _KINDS if k in file.at.children and getattr(file, k) is None]
    if not given:
        if not lost:
            yield error(
                codes.FILE_WITHOUT_CONTENT,
                f"nothing says what {shortened(file.path or 'the file')} is",
                file.at.of("path"),
                "give one of contents, source, symlink, directory: true, metadata",
                'an empty file is contents: ""',
            )
        return
    if file.optional and "source" not in given:
        yield warning(
            codes.NO_EFFECT,
            "`optional` has no effect without source",
            file.at.within("optional").key,
        )
    if len(given) > 1:
        one, two = given[:2]
        ignored = _TOLERATED.get(frozenset(given))
        place = file.at.within(ignored or two).key
        if ignored:
            kept = one if ignored == two else two
            message = f"`{ignored}` is ignored, because `{kept}` is given, too"
            yield warning(codes.NO_EFFECT, message, place, "remove one of the two")
        else:
            yield error(
                codes.FILE_CONTRADICTION,
                f"{shortened(file.path or 'the file')} has `{one}` and `{two}`, which exclude "
                "each other",
                place,
                "remove one of the two",
                first=(f"`{one}` is given here", file.at.within(one).key),
            )
