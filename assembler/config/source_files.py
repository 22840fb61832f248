"""The files that `source:` names, relative to their YAML file: local, or fetched from its URL."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.codes import config as codes
from assembler.config.diagnostics import error, warning
from assembler.spelling import did_you_mean

if TYPE_CHECKING:
    from assembler.config.inputs import ConfigInput
    from assembler.config.model import Config, RootfsFile
    from assembler.diagnostics import Diagnostic


def locate_sources(
    config: Config, given: ConfigInput, *, allow_local: bool
) -> tuple[Config, list[Diagnostic]]:
    """Set path or content of the sources of one YAML file.

    With `allow_local`, a YAML file from a URL may name local files by absolute paths and `~/`.
    """
    diagnostics: list[Diagnostic] = []
    files = list(config.files)
    remote = None
    for index, file in enumerate(files):
        if not file.source:
            continue
        is_local = file.source.startswith(("/", "~/"))
        if given.directory is not None or (is_local and allow_local):
            files[index] = _locate(file, given.directory or Path(), diagnostics)
        elif is_local:
            diagnostics.append(_local_source(file, given.name))
        else:
            if remote is None:
                from assembler.config.remote_sources import RemoteSources  # noqa: PLC0415 - requests

                remote = RemoteSources(given.url or given.name)
            files[index] = remote.fetch(file, diagnostics)
    return replace(config, files=tuple(files)), diagnostics


def _local_source(file: RootfsFile, url: str) -> Diagnostic:
    return error(
        codes.LOCAL_SOURCE,
        f"{file.source} is a file of this machine, which a YAML file from a URL may not read",
        file.positions.place_of("source"),
        f"a source is relative to {url}; if you trust this YAML file: --allow-local-sources",
    )


def _locate(file: RootfsFile, directory: Path, diagnostics: list[Diagnostic]) -> RootfsFile:
    name = file.source or ""
    place = file.positions.place_of("source")
    preferred = _resolve(directory, name)
    file = replace(file, source_candidates=(preferred, _resolve(Path(), name)))
    if os.path.lexists(preferred):
        path = preferred
    else:
        fallback = _resolve(Path(), name)
        if fallback == preferred or not os.path.lexists(fallback):
            if not file.optional:
                diagnostics.append(_missing(file, preferred))
            return file
        path = fallback
        diagnostics.append(
            warning(
                codes.SOURCE_IN_CURRENT_DIRECTORY,
                f"there is no {preferred}; {name} in the current directory is used",
                place,
                "a source is relative to its YAML file: move the file there, or change the path",
            )
        )
    problem = _problem_with(path)
    if problem:
        diagnostics.append(
            error(
                codes.SOURCE_NOT_FOUND,
                f"the source {path} {problem}",
                place,
                "a source must be a regular file" if path.is_dir() else "",
            )
        )
        return file
    return replace(file, source_path=path)


def _resolve(directory: Path, name: str) -> Path:
    path = Path(name)
    if name.startswith("~/"):
        home = os.environ.get("HOME")
        return Path(home, name[2:]) if home else path.expanduser()
    return directory / path


def _problem_with(path: Path) -> str:
    try:
        if path.is_dir():
            return "is a directory"
        if not path.exists():
            return "is a dangling symbolic link"
        if not path.is_file():
            return "is not a regular file"
        return "" if os.access(path, os.R_OK) else "cannot be read: permission denied"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _missing(file: RootfsFile, path: Path) -> Diagnostic:
    try:
        names = [p.name for p in path.parent.iterdir()]
    except OSError:
        names = []
    return error(
        codes.SOURCE_NOT_FOUND,
        f"there is no file {path}",
        file.positions.place_of("source"),
        did_you_mean(path.name, names) or "`optional: true` allows a missing source",
    )
