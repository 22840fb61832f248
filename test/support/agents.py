"""Machines with services whose logs and commands a user wants from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.guests import REPOSITORY, assemble, system

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from support.cli import Dolmen

SERVICES = """
onboot:
  - name: first
    image: SH "echo once"
services:
  - name: talker
    image: SH "echo talker is ready; printf '\\\\033[31mred\\\\n'; while sleep 1; do echo tick;done"
  - name: quiet
    image: SH "sleep 10000"
"""


def talking_system(folder: Path, cmdline: str, *, init: str = "") -> Path:
    """Assemble a system with two services; return its prefix."""
    path = folder / "talking.yml"
    text = system(SERVICES).replace("dolmen.output", cmdline)
    path.write_text(text.replace(f'"@pkg:{REPOSITORY}/pkg/crun"', init) if init else text)
    files = assemble(path, folder)
    return files.directory / files.name


def start_machine(dolmen: Dolmen, prefix: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Start the machine `m`, and leave it running."""
    options = ("--mem", "384", "--detached", "--name", "m", "--timeout", "110s")
    return dolmen.run("run", prefix, *options, *words)
