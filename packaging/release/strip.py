"""Removes debug information from compiled modules."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_TRIPLETS = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}


def strip_debug_information(modules: Sequence[Path], architecture: str) -> None:
    """Strip shared objects of an architecture, by its binutils."""
    program = f"{_TRIPLETS[architecture]}-strip"
    if shutil.which(program) is None:
        package = "binutils-" + _TRIPLETS[architecture].replace("_", "-")
        sys.exit(f"{program} is not installed: apt-get install {package}")
    subprocess.run([program, "--strip-unneeded", *modules], check=True)
