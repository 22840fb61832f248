"""A class name of the library belongs to one module, so that a name alone says what is meant."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import assembler


def test_no_two_modules_define_a_class_of_the_same_name() -> None:
    library = Path(assembler.__file__).parent
    homes: dict[str, list[str]] = defaultdict(list)
    for path in sorted(library.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(str(path.relative_to(library)))
    assert "DockerfileBuild" in homes
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}
