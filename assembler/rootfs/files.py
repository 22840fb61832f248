"""The section `files`: files, directories and links of the root filesystem."""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING

from assembler.codes import rootfs
from assembler.errors import PlanError, wrap_os_errors
from assembler.rootfs.plan import (
    EntryContent,
    EntryKind,
    GeneratedEntry,
    GeneratedPart,
    LocalFile,
    Origin,
    Part,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.config import Config, RootfsFile
    from assembler.diagnostics import Place
    from assembler.rootfs.diagnostic_collector import DiagnosticCollector
    from assembler.rootfs.ids import Ids
    from assembler.rootfs.plan_options import PlanOptions

_SOURCE = "linuxkit.files"
_MODE = re.compile(r"[0-7]+")
_FILE_MODE, _DIRECTORY_MODE = 0o600, 0o700
_METADATA = ("json", "yaml")


def file_parts(
    config: Config, options: PlanOptions, ids: Ids, findings: DiagnosticCollector
) -> Iterator[Part]:
    """Yield a part for each entry, with its parent directories."""
    written: set[str] = set()
    for number, file in enumerate(config.files):
        with findings.collect(file.positions.place):
            entry = _entry(file, options, ids)
            if entry is None:
                continue
            parents = tuple(_parents(entry, written))
            place = file.positions.place_of("path")
            origin = Origin(_SOURCE, f"files[{number}]", place)
            yield GeneratedPart(origin, (*parents, entry))
            written |= {p.path for p in parents}
            if entry.kind is EntryKind.DIRECTORY:
                written.add(entry.path)


def _entry(file: RootfsFile, options: PlanOptions, ids: Ids) -> GeneratedEntry | None:
    """Return the entry, or None if it is optional and its source is missing."""
    path = clean_path(file.path or "", file.positions.place_of("path"))
    _refuse_contradictions(file, path)
    mode = _mode(file, path)
    uid, gid = _id(file, "uid", ids), _id(file, "gid", ids)
    if file.directory:
        return GeneratedEntry(path, EntryKind.DIRECTORY, mode, uid=uid, gid=gid)
    if file.symlink:
        return GeneratedEntry(path, EntryKind.SYMLINK, mode, target=file.symlink, uid=uid, gid=gid)
    content = _content(file, path, options)
    return (
        None
        if content is None
        else GeneratedEntry(path, EntryKind.FILE, mode, content, uid=uid, gid=gid)
    )


def clean_path(path: str, place: Place | None = None) -> str:
    """Return the normalized path in the system."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts:
        what = f"{path!r} is not the path of a file" if path else "the path is missing"
        hint = 'give a path, as path: "etc/motd"'
        raise PlanError.of(rootfs.BAD_FILE, what, hint, place=place)
    if ".." in parts:
        raise PlanError.of(rootfs.BAD_FILE, f"{path!r} leads upwards: remove ..", place=place)
    if "\0" in path:
        raise PlanError.of(rootfs.BAD_FILE, f"{path!r} contains a NUL", place=place)
    return "/".join(parts)


def _refuse_contradictions(file: RootfsFile, path: str) -> None:
    """Refuse an entry with no kind or with several kinds."""
    kinds = [
        key
        for key, is_set in (
            ("directory", bool(file.directory)),
            # With a directory it has no effect; loading warns about that.
            ("symlink", bool(file.symlink) and not file.directory),
            ("contents", file.contents is not None),
            ("source", bool(file.source)),
            ("metadata", bool(file.metadata)),
        )
        if is_set
    ]
    if not kinds:
        hint = "give it directory, symlink, contents, source or metadata (contents may be empty)"
        raise PlanError.of(
            rootfs.BAD_FILE,
            f"nothing says what {path} is",
            hint,
            place=file.positions.place_of("path"),
        )
    if len(kinds) > 1:
        message = f"{path}: {' and '.join(kinds)} exclude each other"
        raise _field_error(file, kinds[-1], message, "keep one of them")


def _mode(file: RootfsFile, path: str) -> int:
    if not file.mode:
        return _DIRECTORY_MODE if file.directory else _FILE_MODE
    if not _MODE.fullmatch(file.mode) or int(file.mode, 8) > 0o7777:
        raise PlanError.of(
            rootfs.BAD_MODE,
            f"{path}: {file.mode!r} is not a mode",
            'a mode is octal text, as mode: "0644"',
            place=file.positions.place_of("mode"),
        )
    return int(file.mode, 8)


def _id(file: RootfsFile, key: str, ids: Ids) -> int:
    try:
        return ids.number(getattr(file, key))
    except PlanError as error:
        raise error.with_place(file.positions.place_of(key)) from error


def _content(file: RootfsFile, path: str, options: PlanOptions) -> EntryContent | None:
    if file.contents is not None:
        try:
            return file.contents.encode()
        except UnicodeEncodeError as error:
            raise _field_error(file, "contents", f"{path}: the contents are not Unicode") from error
    if file.metadata:
        if file.metadata not in _METADATA:
            message = f"{path}: unknown metadata format {file.metadata!r}"
            raise _field_error(file, "metadata", message, f"formats are {' and '.join(_METADATA)}")
        return options.metadata(file.metadata)
    if file.source_url:
        return file.source_content
    return _local_file(file, path, options)


def _local_file(file: RootfsFile, path: str, options: PlanOptions) -> LocalFile | None:
    """Return the file of `source`, or None if it is optional and missing."""
    source = file.source or ""
    home = options.home
    if file.source_path is not None:
        local = file.source_path
    elif source.startswith("~/") and home is not None:
        local = home / source[2:]
    else:
        local = options.directory / source
    try:
        status = local.stat()
    except FileNotFoundError:
        if file.optional:
            return None
        raise _source_error(file, f"{path}: there is no file {source}") from None
    except OSError as error:
        raise _source_error(file, f"{path}: cannot read {source}: {error.strerror}") from error
    except ValueError as error:
        raise _source_error(file, f"{path}: {source!r} is not the name of a file") from error
    if not stat.S_ISREG(status.st_mode):
        what = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise _source_error(file, f"{path}: {source} is {what}")
    with wrap_os_errors(local, "read"), local.open("rb"):
        pass
    return LocalFile(local, status.st_size)


def _parents(entry: GeneratedEntry, written: set[str]) -> Iterator[GeneratedEntry]:
    """Yield the parent directories that no earlier entry of the section has written."""
    parts = entry.path.split("/")
    for number in range(1, len(parts)):
        path = "/".join(parts[:number])
        if path not in written:
            yield entry.parent_directory(path)


def _field_error(file: RootfsFile, key: str, message: str, *hints: str) -> PlanError:
    return PlanError.of(rootfs.BAD_FILE, message, *hints, place=file.positions.place_of(key))


def _source_error(file: RootfsFile, message: str, *hints: str) -> PlanError:
    return PlanError.of(rootfs.BAD_SOURCE, message, *hints, place=file.positions.place_of("source"))
