"""The benchmarks import only names that exist: no type checker sees them."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[2] / "bench").glob("*.py"))


def imported_names(script: Path) -> list[tuple[str, str]]:
    return [
        (node.module, alias.name)
        for node in ast.walk(ast.parse(script.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
        if node.module.partition(".")[0] in ("assembler", "dolmen", "support")
    ]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_imported_names_exist(script: Path) -> None:
    missing = [
        f"{module}.{name}"
        for module, name in imported_names(script)
        if not hasattr(importlib.import_module(module), name)
    ]
    assert not missing


def test_benchmarks_are_found() -> None:
    assert any(imported_names(script) for script in SCRIPTS)
