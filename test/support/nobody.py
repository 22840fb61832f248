"""Another user of this machine, for tests that it does not matter who runs Dolmen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534
LAUNCHER = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")


@cache
def why_not() -> str:
    """Return why nobody cannot run Dolmen from here, or nothing if nobody can."""
    if os.geteuid() or not shutil.which("setpriv"):
        return "only root can become somebody else, with setpriv"
    tried = subprocess.run(
        [*LAUNCHER, sys.executable, "-B", "-c", "import dolmen.app, assembler.build"],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode:
        return f"another user cannot read this checkout: {tried.stderr.strip()[-100:]}"
    return ""


@contextmanager
def home_of_nobody() -> Iterator[Path]:
    """Give a home directory that belongs to nobody; others cannot look into pytest's."""
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, NOBODY, NOBODY)
        yield Path(folder)
