"""The subordinate ids of a user, which builders without root map into their user namespaces."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

_FILES = (Path("/etc/subuid"), Path("/etc/subgid"))
_FIRST = 100_000
_COUNT = 65_536
_TIMEOUT = 5


def has_subordinate_ids(user: int | None = None, files: tuple[Path, ...] = _FILES) -> bool:
    """Tell whether a user has subordinate user and group ids; root needs none."""
    user = os.geteuid() if user is None else user
    if user == 0:
        return True
    name = user_name(user)
    return all(_has_range(file, user, name) for file in files) or _known_elsewhere(name)


def subordinate_ids_command(user: int | None = None, files: tuple[Path, ...] = _FILES) -> str:
    """Return the command that gives a user subordinate ids that no other user has."""
    user = os.geteuid() if user is None else user
    ends = [int(s) + int(n) for file in files for _, s, n in _ranges(file)]
    first = max([_FIRST, *ends])
    span = f"{first}-{first + _COUNT - 1}"
    return f"sudo usermod --add-subuids {span} --add-subgids {span} {user_name(user)}"


def user_name(user: int | None = None) -> str:
    """Return the name of a user, or the number of one that has none."""
    user = os.geteuid() if user is None else user
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def _ranges(file: Path) -> list[tuple[str, str, str]]:
    try:
        lines = file.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    found = [line.strip().split(":") for line in lines]
    return [(f[0], f[1], f[2]) for f in found if len(f) == 3 and f[1].isdigit() and f[2].isdigit()]


def _has_range(file: Path, user: int, name: str) -> bool:
    return any(owner in (name, str(user)) and int(n) > 0 for owner, _, n in _ranges(file))


def _known_elsewhere(name: str) -> bool:
    """Ask the system, which may know them from a directory service."""
    program = shutil.which("getsubids")
    if program is None:
        return False
    try:
        outcomes = [
            subprocess.run(
                [program, *option, name], capture_output=True, timeout=_TIMEOUT, check=False
            )
            for option in ((), ("-g",))
        ]
    except (OSError, subprocess.TimeoutExpired):
        return False
    return all(outcome.returncode == 0 and outcome.stdout.strip() for outcome in outcomes)
