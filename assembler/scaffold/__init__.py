"""Write new YAML files from commented templates.

templates()                                       all templates -> Template(name, summary, …)
find_template(name)                               a template by its name, or by an older name
render_template(template, directory)              the text of a file in a directory
write_new_file(path, template, replace=...)       write a file, and its schema -> NewFile
write_service(directory, path, replace=...)       write a package for a program, and an image.yml
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.scaffold.new_file import NewFile, check_new, render_template, write_new_file
    from assembler.scaffold.program import Program
    from assembler.scaffold.program_detection import detect_program
    from assembler.scaffold.service import NewService, write_service
    from assembler.scaffold.template_list import (
        DEFAULT_TEMPLATE,
        Template,
        find_template,
        templates,
    )

_HOMES = {
    "DEFAULT_TEMPLATE": "template_list",
    "NewFile": "new_file",
    "NewService": "service",
    "Program": "program",
    "Template": "template_list",
    "check_new": "new_file",
    "detect_program": "program_detection",
    "find_template": "template_list",
    "render_template": "new_file",
    "templates": "template_list",
    "write_new_file": "new_file",
    "write_service": "service",
}

__all__ = [
    "DEFAULT_TEMPLATE",
    "NewFile",
    "NewService",
    "Program",
    "Template",
    "check_new",
    "detect_program",
    "find_template",
    "render_template",
    "templates",
    "write_new_file",
    "write_service",
]

if not TYPE_CHECKING:  # Else a type checker would take any name for granted.
    __getattr__ = front(__name__, _HOMES)
