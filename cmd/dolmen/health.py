"""What this machine has and lacks, found out by looking and trying."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assembler.machine import firmware, shares
from assembler.machine.accelerator import try_kvm
from assembler.tools import TOOLS, Tool, find
from assembler.version import __version__

_PATIENCE = 5
_VERSION = re.compile(r"\d+(?:\.\d+)+")
_LEAST = {"mksquashfs": (4, 6), "mkfs.erofs": (1, 8)}
# How to ask a program that does not know `--version`.
_ASK = {"mksquashfs": "-version", "docker": "--version", "apt-get": "--version", "ssh": "-V"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: whether it is well, what was seen, and how to mend it."""

    group: str
    name: str
    well: bool
    seen: str
    purpose: str = ""
    mend: str = ""


def findings(cache: Path) -> Iterator[Finding]:
    """Yield everything worth knowing about this machine."""
    yield Finding(
        "dolmen",
        "version",
        True,
        f"{__version__}, Python {platform.python_version()} on {platform.machine()}",
    )
    yield _store(cache)
    yield _kvm()
    for tool in TOOLS.values():
        yield _tool(tool)
    sharing = shares.find()
    yield Finding(
        "tools",
        "virtiofsd",
        well=sharing is not None,
        seen=f"installed ({sharing})" if sharing else "not installed",
        purpose="directories that machines share (dolmen run qemu --virtiofs)",
        mend="" if sharing else "sudo apt-get install virtiofsd",
    )
    for architecture, places in firmware.PLACES.items():
        found = firmware.find(architecture)
        yield Finding(
            "firmware",
            f"UEFI for {architecture}",
            well=found is not None,
            seen=str(found.code) if found else "not found",
            purpose="run images that boot by UEFI",
            mend="" if found else f"sudo apt-get install {places.package}",
        )


def _store(cache: Path) -> Finding:
    place = cache
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError:
        return Finding(
            "dolmen",
            "store",
            well=False,
            seen=f"{cache} cannot be written",
            mend="choose another place: --cache DIR or DOLMEN_CACHE",
        )
    free = shutil.disk_usage(place).free
    return Finding("dolmen", "store", well=True, seen=f"{cache}, {free // 10**9} GB free")


def _kvm() -> Finding:
    trial = try_kvm()
    return Finding("host", "KVM", trial.works, trial.seen, "run images at full speed")


def _tool(tool: Tool) -> Finding:
    path = find(tool.program)
    if path is None:
        return Finding("tools", tool.program, False, "not installed", tool.purpose, tool.install)
    version = _version(path, _ASK.get(tool.program, "--version"))
    least = _LEAST.get(tool.program)
    if least and version and tuple(map(int, version.split(".")[:2])) < least:
        seen = f"{version} is too old"
        wanted = f"{tool.package} {'.'.join(map(str, least))} or newer"
        return Finding("tools", tool.program, False, seen, tool.purpose, wanted)
    return Finding("tools", tool.program, True, f"{version or 'installed'} ({path})", tool.purpose)


def _version(path: Path, ask: str) -> str:
    try:
        asked = subprocess.run(
            [path, ask],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = _VERSION.search(asked.stdout + asked.stderr)
    return found.group() if found else ""
