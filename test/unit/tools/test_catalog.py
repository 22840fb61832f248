"""The catalog of programs finds them, knows their versions, and says how to install them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assembler.errors import HostError
from assembler.tools import TOOLS, find_program, program_version, require_program

if TYPE_CHECKING:
    from pathlib import Path


def install(directory: Path, program: str, script: str) -> Path:
    path = directory / program
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_program_in_the_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program("mksquashfs") is None
    path = install(tmp_path, "mksquashfs", "exit 0")
    assert find_program("mksquashfs") == require_program("mksquashfs") == path


def test_a_missing_program_is_an_error_with_the_command_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError) as caught:
        require_program("mksquashfs")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.message.endswith("needed for squashfs outputs (4.6 or newer)")
    assert diagnostic.hints == ("sudo apt-get install squashfs-tools",)


def test_the_version_is_the_first_one_that_the_program_prints(tmp_path: Path) -> None:
    script = '[ "$1" = -version ] && echo "mksquashfs version 4.6.1 (2023.03)" >&2; exit 1'
    path = install(tmp_path, "mksquashfs", script)
    assert program_version("mksquashfs", path) == "4.6.1"
    assert not program_version("mksquashfs", install(tmp_path, "other", "echo none"))
    assert not program_version("mksquashfs", tmp_path / "missing")
    assert not program_version("mksquashfs", install(tmp_path, "slow", "sleep 5"), timeout=0.2)


@pytest.mark.parametrize(
    ("version", "accepted"), [("4.5", False), ("4.6", True), ("4.6.1", True), ("5.0", True)]
)
def test_a_version_is_compared_with_the_minimum(version: str, accepted: bool) -> None:  # noqa: FBT001
    assert TOOLS["mksquashfs"].accepts(version) is accepted
