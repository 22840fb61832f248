"""The names of the library: a name alone says what is meant."""

from __future__ import annotations

import ast
import importlib
from collections import defaultdict
from pathlib import Path

import assembler

LIBRARY = Path(assembler.__file__).parent


def test_no_two_modules_define_a_class_of_the_same_name() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for path in sorted(LIBRARY.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(str(path.relative_to(LIBRARY)))
    assert "DockerfileBuild" in homes
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}


def test_fronts_are_sorted_and_export_no_name_of_a_module() -> None:
    # Importing the module would replace the name by the module.
    fronts = {}
    for path in LIBRARY.rglob("__init__.py"):
        package = importlib.import_module(".".join(path.parent.relative_to(LIBRARY.parent).parts))
        if hasattr(package, "_HOMES"):
            fronts[path.parent] = list(package._HOMES)
    assert LIBRARY / "dockerfile" in fronts
    for directory, names in fronts.items():
        assert names == sorted(names)
        assert not {path.stem for path in directory.glob("*.py")} & set(names)
