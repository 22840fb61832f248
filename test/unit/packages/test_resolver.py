"""`@pkg:` resolves to the image of a package, with LinuxKit's name."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from assembler.errors import DolmenError
from assembler.packages.directory_tree import hash_directory
from assembler.packages.local_packages import LocalPackages

if TYPE_CHECKING:
    from pathlib import Path


def test_the_tag_outside_of_git_is_the_hash_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "build.yml").write_text("image: tool\ntag: v1\n")
    tree = hash_directory(tmp_path)
    assert LocalPackages().reference(tmp_path) == f"docker.io/linuxkit/tool:{tree}"
    assert LocalPackages(org="o").reference(tmp_path) == f"docker.io/o/tool:{tree}"


def test_the_tag_is_the_tree_hash_and_ignores_build_yml(tmp_path: Path) -> None:
    (tmp_path / "build.yml").write_text("image: tool\norg: reg.example.com/o\ntag: v1\n")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *words], check=True)
    tree = subprocess.run(
        [*git, "rev-parse", "HEAD^{tree}"], check=True, capture_output=True, text=True
    ).stdout.strip()
    assert LocalPackages().reference(tmp_path) == f"reg.example.com/o/tool:{tree}"


def test_an_unreadable_package_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DolmenError, match=r"no build\.yml"):
        LocalPackages().reference(tmp_path)
    (tmp_path / "build.yml").write_text("image: [x]\n")
    with pytest.raises(DolmenError, match=r"build\.yml:1:8"):
        LocalPackages().reference(tmp_path)
