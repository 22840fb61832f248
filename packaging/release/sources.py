"""The checkout that is released: its folders, its version and its time."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from assembler.version import __version__

REPOSITORY = Path(__file__).resolve().parents[2]
DIST = REPOSITORY / "dist"
VERSION = __version__
# The time of a checkout without git and without SOURCE_DATE_EPOCH: 2020-02-02, as hatchling's.
_FALLBACK_TIME = 1580601600


def source_time() -> int:
    """Return SOURCE_DATE_EPOCH, or the time of the last commit: the time of every file."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given:
        return int(given)
    command = ["git", "-C", str(REPOSITORY), "log", "-1", "--format=%ct"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return _FALLBACK_TIME
    return int(done.stdout) if done.returncode == 0 and done.stdout.strip() else _FALLBACK_TIME


def reproducible_environment() -> dict[str, str]:
    """Return the environment for programs whose output becomes part of a release."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LC_")}
    fixed = {"LC_ALL": "C.UTF-8", "TZ": "UTC", "SOURCE_DATE_EPOCH": str(source_time())}
    return {**kept, **fixed, "COLUMNS": "100", "NO_COLOR": "1"}
