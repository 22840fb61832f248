"""The completion scripts, where the shells of a distribution look for them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from release.sources import reproducible_environment
from release.tree import File

if TYPE_CHECKING:
    from release.tree import Tree

_PLACES = {
    "bash": "usr/share/bash-completion/completions/dolmen",
    "zsh": "usr/share/zsh/vendor-completions/_dolmen",
    "fish": "usr/share/fish/vendor_completions.d/dolmen.fish",
}


def completion_scripts() -> Tree:
    """Return the scripts for bash, zsh and fish."""
    return {place: File(_script(shell)) for shell, place in _PLACES.items()}


def _script(shell: str) -> bytes:
    command = [sys.executable, "-m", "dolmen", "completion", shell]
    done = subprocess.run(command, env=reproducible_environment(), capture_output=True, check=True)
    return done.stdout
