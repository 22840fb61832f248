"""Write new YAML files from commented templates.

write_new_file(path, template, replace=...)    write a file -> NewFile
render_template(template, directory)           the text of a file in a directory
template_names()                               the names of all templates
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.scaffold.new_file import (
        DEFAULT_TEMPLATE,
        NewFile,
        render_template,
        template_names,
        write_new_file,
    )

_HOMES = {
    "DEFAULT_TEMPLATE": "new_file",
    "NewFile": "new_file",
    "render_template": "new_file",
    "template_names": "new_file",
    "write_new_file": "new_file",
}

__all__ = [
    "DEFAULT_TEMPLATE",
    "NewFile",
    "render_template",
    "template_names",
    "write_new_file",
]

if not TYPE_CHECKING:  # Else a type checker would take any name for granted.
    __getattr__ = front(__name__, _HOMES)
