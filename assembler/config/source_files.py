"""The local files that `source:` names, relative to their YAML file."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.codes import config as codes
from assembler.config.diagnostics import did_you_mean, error, warning

if TYPE_CHECKING:
    from assembler.config.model import Config, RootfsFile
    from assembler.diagnostics import Diagnostic


def locate_sources(config: Config, directory: Path | None) -> tuple[Config, list[Diagnostic]]:
    """Set the source path of all files of one YAML file; `directory` is None for a URL."""
    diagnostics: list[Diagnostic] = []
    files = tuple(_locate(file, directory, diagnostics) for file in config.files)
    return replace(config, files=files), diagnostics


def _locate(file: RootfsFile, directory: Path | None, diagnostics: list[Diagnostic]) -> RootfsFile:
    if not file.source:
        return file
    place = file.positions.place_of("source")
    preferred = _resolve(directory, file.source)
    if os.path.lexists(preferred):
        path = preferred
    else:
        fallback = _resolve(Path(), file.source)
        if fallback == preferred or not os.path.lexists(fallback):
            if not file.optional:
                diagnostics.append(_missing(file, preferred))
            return file
        path = fallback
        diagnostics.append(
            warning(
                codes.SOURCE_IN_CURRENT_DIRECTORY,
                f"there is no {preferred}; {file.source} in the current directory is used",
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


def _resolve(directory: Path | None, name: str) -> Path:
    path = Path(name)
    if name.startswith("~/"):
        home = os.environ.get("HOME")
        return Path(home, name[2:]) if home else path.expanduser()
    return (directory or Path()) / path


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
