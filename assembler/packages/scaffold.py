"""Writing a new package from commented templates."""

from __future__ import annotations

import os
import re
from pathlib import Path

from assembler.codes import usage
from assembler.config import schema_path
from assembler.errors import UsageError, wrap_os_errors
from assembler.files import atomic_write

_TEMPLATES = Path(__file__).resolve().parent / "templates"
_EXAMPLE_FILE = ("hello", "hello\n")


def write_new_package(directory: Path, org: str, *, recipe: bool = False) -> tuple[Path, ...]:
    """Write the files of a new package, with a recipe or a Dockerfile; return their paths."""
    values = {
        "image": _image_name(directory.absolute().name),
        "org": org,
        "schema": _schema_for(directory),
    }
    kind = "debs" if recipe else "dockerfile"
    files = {"build.yml": _render(f"{kind}.build.yml", values)}
    if not recipe:
        files["Dockerfile"] = _render("Dockerfile", values)
    files |= dict([_EXAMPLE_FILE])
    existing = [name for name in files if (directory / name).exists()]
    if existing:
        raise UsageError.of(
            usage.BAD_OPTION, f"{directory / existing[0]} already exists", "name another directory"
        )
    with wrap_os_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        with atomic_write(directory / name) as file:
            file.write(text.encode())
    return tuple(directory / name for name in files)


def _image_name(text: str) -> str:
    """Return a valid image name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "image"


def _schema_for(directory: Path) -> str:
    """Return the path of build.yml's schema, relative inside of a checkout."""
    schema, resolved = schema_path("build"), directory.resolve()
    inside = resolved.is_relative_to(schema.parent.parent)
    return os.path.relpath(schema, resolved) if inside else str(schema)


def _render(template: str, values: dict[str, str]) -> str:
    text = (_TEMPLATES / template).read_text("utf-8")
    for key, value in values.items():
        text = text.replace("{" + key + "}", value)
    return text
