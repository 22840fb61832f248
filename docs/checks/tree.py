"""The files, folders and Python modules that a tree holds."""

from __future__ import annotations

import ast
import os
import re
from fnmatch import fnmatch
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

# Where the packages are that documents name with dots.
PACKAGES = {"assembler": "assembler", "dolmen": "cmd/dolmen"}
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
_SETTING = re.compile(r"""["'` ](dolmen\.[a-z][\w-]*)""")


class Tree:
    """A source tree."""

    def __init__(self, root: Path) -> None:
        """Look at all files once."""
        self.root = root
        ignore = root / ".gitignore"
        text = ignore.read_text("utf-8") if ignore.is_file() else ""
        self._ignored = [line.strip() for line in text.splitlines() if line.strip()]
        self.files: set[str] = set()
        self.folders: set[str] = set()
        for folder, names, files in os.walk(root):
            at = os.path.relpath(folder, root)
            prefix = "" if at == "." else f"{at}/"
            names[:] = [n for n in names if n != ".git" and not self.is_ignored(prefix + n)]
            self.folders.update(prefix + name for name in names)
            self.files.update(prefix + name for name in files)

    def is_ignored(self, path: str) -> bool:
        """Tell whether git ignores a path: such files come and go."""
        for pattern in self._ignored:
            name = pattern.strip("/")
            if "/" in pattern.rstrip("/"):
                if path == name or path.startswith(f"{name}/"):
                    return True
            elif any(fnmatch(part, name) for part in path.split("/")):
                return True
        return False

    def read(self, path: str) -> str:
        """Return the text of a file."""
        return (self.root / path).read_text("utf-8", errors="replace")

    def matching(self, patterns: Iterable[str]) -> list[str]:
        """Return the files that fit one of the patterns, sorted."""
        expressions = [re.compile(_expression(pattern)) for pattern in patterns]
        return sorted(f for f in self.files if any(e.fullmatch(f) for e in expressions))

    def has(self, pattern: str) -> bool:
        """Tell whether there is a file or a folder of a name, in which `*` is part of a name."""
        if "*" not in pattern:
            return pattern in self.files or pattern in self.folders or self.is_ignored(pattern)
        expression = re.compile(_expression(pattern))
        return any(expression.fullmatch(path) for path in (*self.files, *self.folders))

    def has_ending(self, pattern: str) -> bool:
        """Tell whether a file's path ends with a name and, perhaps, some of its folders."""
        expression = re.compile(f"(?:.*/)?{_expression(pattern)}")
        return any(expression.fullmatch(path) for path in self.files)

    def has_module(self, dotted: str) -> bool:
        """Tell whether a module, or something that it defines, has this name."""
        package, *rest = dotted.split(".")
        path = PACKAGES[package]
        while rest and (
            f"{path}/{rest[0]}" in self.folders or f"{path}/{rest[0]}.py" in self.files
        ):
            path = f"{path}/{rest.pop(0)}"
        if not rest:
            return path in self.folders or f"{path}.py" in self.files
        module = f"{path}.py" if f"{path}.py" in self.files else f"{path}/__init__.py"
        return module in self.files and _defines(ast.parse(self.read(module)).body, rest)

    @cached_property
    def options(self) -> set[str]:
        """Options that the programs of packages have."""
        programs = (path for path in self.matching(("pkg/**",)) if not path.endswith(".md"))
        return {option for path in programs for option in _OPTION.findall(self.read(path))}

    @cached_property
    def settings(self) -> set[str]:
        """Names that look like modules and are words of the kernel's command line and labels."""
        found: set[str] = set()
        for path in self.matching(("pkg/**", "assembler/**/*.py")):
            found.update(_SETTING.findall(self.read(path)))
        return found


def _defines(body: list[ast.stmt], names: list[str]) -> bool:
    for statement in body:
        if isinstance(statement, ast.If | ast.Try) and _defines(statement.body, names):
            return True
        if names[0] not in _targets(statement):
            continue
        if len(names) == 1 or not isinstance(statement, ast.ClassDef):
            return True
        # What a class has of its bases is not looked for.
        return bool(statement.bases) or _defines(statement.body, names[1:])
    return False


def _targets(statement: ast.stmt) -> Iterator[str]:
    match statement:
        case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
            yield statement.name
        case ast.Import() | ast.ImportFrom():
            yield from (alias.asname or alias.name for alias in statement.names)
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield name
        case ast.Assign():
            yield from (t.id for t in statement.targets if isinstance(t, ast.Name))
        case _:
            pass


def _expression(pattern: str) -> str:
    """Return a regular expression: `*` stays in a folder, `**` goes through any of them."""
    found = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?")
    return found.replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
