"""What this machine has and lacks, found out by looking and trying."""

from __future__ import annotations

import platform
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assembler.machine import firmware, shares
from assembler.machine.accelerator import try_kvm
from assembler.tools import TOOLS, Tool, find_program, install_command, program_version
from assembler.version import __version__

_PATIENCE = 5


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
        mend="" if sharing else install_command("virtiofsd"),
    )
    for architecture, places in firmware.PLACES.items():
        found = firmware.find(architecture)
        yield Finding(
            "firmware",
            f"UEFI for {architecture}",
            well=found is not None,
            seen=str(found.code) if found else "not found",
            purpose="run images that boot by UEFI",
            mend="" if found else install_command(places.package),
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
    path = find_program(tool.program)
    if path is None:
        return Finding("tools", tool.program, False, "not installed", tool.purpose, tool.install)
    version = program_version(tool.program, path, _PATIENCE)
    if version and not tool.accepts(version):
        seen = f"{version} is too old"
        wanted = f"{tool.package} {tool.minimum_text} or newer"
        return Finding("tools", tool.program, False, seen, tool.purpose, wanted)
    return Finding("tools", tool.program, True, f"{version or 'installed'} ({path})", tool.purpose)
