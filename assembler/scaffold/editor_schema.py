"""The schemas for editors: a copy beside new YAML files, which name it by a relative path.

A path into the installation of Dolmen would be wrong on any other machine.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from assembler.config import load_schema, schema_path
from assembler.errors import wrap_os_errors
from assembler.files import atomic_write

if TYPE_CHECKING:
    from pathlib import Path

_FOLDER = ".dolmen"


def schema_reference(kind: str, directory: Path, base: Path | None = None) -> str:
    """Return the path of a schema, relative to a directory.

    In Dolmen's checkout it is the schema itself, elsewhere the copy in `base`.
    """
    schema = schema_path(kind)
    if _in_checkout(directory):
        return os.path.relpath(schema, directory.resolve())
    copy = (base or directory).resolve() / _FOLDER / schema.name
    return os.path.relpath(copy, directory.resolve())


def write_editor_schema(kind: str, directory: Path) -> None:
    """Write the copy of a schema, which `schema_reference` names, into a directory."""
    if _in_checkout(directory):
        return
    path = directory / _FOLDER / schema_path(kind).name
    with wrap_os_errors(path):
        path.parent.mkdir(exist_ok=True)
    with atomic_write(path) as output:
        output.write((json.dumps(load_schema(kind), ensure_ascii=False) + "\n").encode())


def _in_checkout(directory: Path) -> bool:
    """Tell whether a directory is in the checkout that this Dolmen runs from."""
    folder = schema_path("image").parent
    return folder.name == "schema" and directory.resolve().is_relative_to(folder.parent)
