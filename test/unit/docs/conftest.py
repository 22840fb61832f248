"""Small trees of documents and code, and what is found wrong in them."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest

from checks import check
from checks.known import Command, Known

if TYPE_CHECKING:
    from pathlib import Path

KNOWN = Known(
    Command(
        {"--help": False, "-h": False, "--cache": True, "-v": False, "--verbose": False},
        {
            "build": Command({"--output": True, "-o": True, "--offline": False}),
            "cache": Command({}, {"ls": Command(), "push": Command({"--all": False})}),
            "run": Command({}, {"qemu": Command({"--mem": True})}, default="qemu"),
            "ssh": Command({}, is_open=True),
        },
    ),
    frozenset({"DM0104", "DM0201"}),
)


class Sandbox:
    """A small tree."""

    def __init__(self, root: Path) -> None:
        """Begin with one document and one module."""
        self.root = root
        self.write("docs/store.md", "# The store\n\n## Where it is\n")
        self.write(
            "assembler/oci/store.py", '"""Keeps images."""\n\n\nclass Store:\n    size = 1\n'
        )

    def write(self, path: str, text: str) -> None:
        """Write a file; text that is indented as the test is loses that."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(textwrap.dedent(text), "utf-8")

    def found(self) -> list[str]:
        """Return what is wrong."""
        return [str(finding) for finding in check(self.root, KNOWN)]

    def found_in(self, path: str, text: str) -> list[str]:
        """Write a file; return what is wrong in it, without its path."""
        self.write(path, text)
        return [line.removeprefix(f"{path}:") for line in self.found() if line.startswith(path)]


@pytest.fixture
def tree(tmp_path: Path) -> Sandbox:
    """Give a tree with nothing wrong in it."""
    return Sandbox(tmp_path)
