"""Write a commented YAML file to start from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.codes import usage
from assembler.config import schema_path
from assembler.errors import UsageError, wrap_os_errors
from assembler.files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_TEMPLATE = "minimal"
_FOLDER = Path(__file__).resolve().parent / "templates"
_ORG = "dolmen"


@dataclass(frozen=True, slots=True)
class NewFile:
    """A YAML file that has been written, and its text."""

    path: Path
    text: str


def template_names() -> list[str]:
    """Return the names of all templates."""
    return sorted(path.stem for path in _FOLDER.glob("*.yml"))


def render_template(template: str = DEFAULT_TEMPLATE, directory: Path | None = None) -> str:
    """Return the text of a new file in a directory, with its schema and packages filled in."""
    known = template_names()
    if template not in known:
        raise UsageError.of(
            usage.BAD_OPTION, f"there is no template {template!r}", f"use one of {', '.join(known)}"
        )
    return _fill((_FOLDER / f"{template}.yml").read_text("utf-8"), directory or Path())


def write_new_file(
    path: Path, template: str = DEFAULT_TEMPLATE, *, replace: bool = False
) -> NewFile:
    """Write a new file; an existing one is replaced only with `replace`."""
    text = render_template(template, path.parent)
    if path.is_dir() or (os.path.lexists(path) and not replace):
        state = "a directory" if path.is_dir() else "there already"
        raise UsageError.of(
            usage.BAD_OPTION,
            f"{path} is {state}",
            "give another name" if path.is_dir() else "--force replaces it",
        )
    with wrap_os_errors(path):
        if not path.parent.is_dir():
            raise FileNotFoundError(2, f"there is no directory {path.parent}", str(path))
    with atomic_write(path) as output:
        output.write(text.encode())
    return NewFile(path, text)


def _fill(text: str, directory: Path) -> str:
    """Replace the placeholders of the schema and of packages."""
    schema = schema_path("image")
    top = schema.parent.parent
    inside = directory.resolve().is_relative_to(top)
    shown = Path(os.path.relpath(schema, directory.resolve())) if inside else schema
    lines = text.replace("{schema}", str(shown)).splitlines()
    return "\n".join(_fill_packages(line, directory) for line in lines) + "\n"


def _fill_packages(line: str, directory: Path) -> str:
    """Replace `{pkg:NAME}` by the package in this checkout, or by the name of its image."""
    start, mark, rest = line.partition("{pkg:")
    if not mark:
        return line
    name, _, end = rest.partition("}")
    return start + _package(name, directory) + _fill_packages(end, directory)


def _package(name: str, directory: Path) -> str:
    """Return a package near the file, else one of Dolmen's own checkout, else an image's name."""
    here = directory.resolve()
    for folder in (here, *here.parents):
        for found in _package_directories(folder, name):
            return f'"@pkg:{os.path.relpath(found, here)}"'
    for found in _package_directories(schema_path("image").parent.parent, name):
        return f'"@pkg:{found}"'
    return f"{_ORG}/{name}"


def _package_directories(checkout: Path, name: str) -> Iterator[Path]:
    """Yield the directories of a package in a checkout: `kernel-virtual` is in kernel/virtual."""
    for place in (f"pkg/{name}", name.replace("-", "/", 1)):
        # Not `is_file`, which raises an error for a directory that may not be read.
        if os.path.isfile(checkout / place / "build.yml"):  # noqa: PTH113
            yield checkout / place
