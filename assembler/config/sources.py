"""The files that `source:` names: found beside their YAML file."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.codes import config as codes
from assembler.config.findings import error, meant, warning

if TYPE_CHECKING:
    from assembler.config.model import Config, File
    from assembler.diagnostics import Diagnostic


def locate(config: Config, directory: Path | None) -> tuple[Config, list[Diagnostic]]:
    """Find the sources of all files of one document; None for what came by URL."""
    found: list[Diagnostic] = []
    files = tuple(_located(file, directory, found) for file in config.files)
    return replace(config, files=files), found


def _located(file: File, directory: Path | None, found: list[Diagnostic]) -> File:
    if not file.source:
        return file
    place = file.at.of("source")
    beside = _in(directory, file.source)
    if os.path.lexists(beside):
        chosen = beside
    else:
        here = _in(Path(), file.source)
        if here == beside or not os.path.lexists(here):
            if not file.optional:
                found.append(_missing(file, beside))
            return file
        chosen = here
        found.append(
            warning(
                codes.SOURCE_ELSEWHERE,
                f"there is no {beside}; {file.source} of the current directory is taken",
                place,
                "a source is relative to its YAML file: move the file there, or change the path",
            )
        )
    problem = _unusable(chosen)
    if problem:
        found.append(
            error(
                codes.SOURCE_NOT_THERE,
                f"the source {chosen} {problem}",
                place,
                "a source is a single file" if chosen.is_dir() else "",
            )
        )
        return file
    return replace(file, found=chosen)


def _in(directory: Path | None, name: str) -> Path:
    path = Path(name)
    if name.startswith("~/"):
        home = os.environ.get("HOME")
        return Path(home, name[2:]) if home else path.expanduser()
    return (directory or Path()) / path


def _unusable(path: Path) -> str:
    try:
        if path.is_dir():
            return "is a directory"
        if not path.exists():
            return "is a link that leads nowhere"
        if not path.is_file():
            return "is not a regular file"
        return "" if os.access(path, os.R_OK) else "cannot be read: permission denied"
    except OSError as problem:
        return f"cannot be read: {problem.strerror}"


def _missing(file: File, path: Path) -> Diagnostic:
    try:
        beside = [p.name for p in path.parent.iterdir()]
    except OSError:
        beside = []
    return error(
        codes.SOURCE_NOT_THERE,
        f"there is no file {path}",
        file.at.of("source"),
        meant(path.name, beside) or "with `optional: true` it may be missing",
    )
