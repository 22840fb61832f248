"""Check a host: programs, firmware, KVM and the store."""

from __future__ import annotations

import platform
import shutil
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.machine.accelerator import probe_kvm
from assembler.machine.firmware import FIRMWARE_FILES, find_firmware
from assembler.machine.virtiofs import find_virtiofsd
from assembler.oci import ImageSources
from assembler.tools import TOOLS, Tool, find_program, install_command, program_version
from assembler.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_VERSION_TIMEOUT = 5


@dataclass(frozen=True, slots=True)
class HostFinding:
    """One check of a host: whether it passed (`well`), the result (`seen`), the fix (`mend`)."""

    group: str
    name: str
    well: bool
    seen: str
    purpose: str = ""
    mend: str = ""


def check_host(store: Path | None = None) -> list[HostFinding]:
    """Return the findings about this host; `store` is the store's directory."""
    return list(_findings(store or ImageSources().store))


def _findings(store: Path) -> Iterator[HostFinding]:
    yield HostFinding(
        "dolmen",
        "version",
        True,
        f"{__version__}, Python {platform.python_version()} on {platform.machine()}",
    )
    yield _check_store(store)
    yield _check_kvm()
    for tool in TOOLS.values():
        yield _check_tool(tool)
    virtiofsd = find_virtiofsd()
    yield HostFinding(
        "tools",
        "virtiofsd",
        well=virtiofsd is not None,
        seen=f"installed ({virtiofsd})" if virtiofsd else "not installed",
        purpose="share directories with machines (dolmen run qemu --virtiofs)",
        mend="" if virtiofsd else install_command("virtiofsd"),
    )
    for architecture, files in FIRMWARE_FILES.items():
        found = find_firmware(architecture)
        yield HostFinding(
            "firmware",
            f"UEFI for {architecture}",
            well=found is not None,
            seen=str(found.code) if found else "not found",
            purpose="run images that boot by UEFI",
            mend="" if found else install_command(files.package),
        )


def _check_store(store: Path) -> HostFinding:
    directory = store
    while not directory.exists() and directory != directory.parent:
        directory = directory.parent
    try:
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError:
        return HostFinding(
            "dolmen",
            "store",
            well=False,
            seen=f"{store} is not writable",
            mend="choose another directory: --cache DIR or DOLMEN_CACHE",
        )
    free = shutil.disk_usage(directory).free
    return HostFinding("dolmen", "store", well=True, seen=f"{store}, {free // 10**9} GB free")


def _check_kvm() -> HostFinding:
    probe = probe_kvm()
    return HostFinding("host", "KVM", probe.works, probe.seen, "run images at full speed")


def _check_tool(tool: Tool) -> HostFinding:
    path = find_program(tool.program)
    if path is None:
        return HostFinding(
            "tools", tool.program, False, "not installed", tool.purpose, tool.install
        )
    version = program_version(tool.program, path, _VERSION_TIMEOUT)
    if version and not tool.accepts(version):
        seen = f"{version} is too old"
        wanted = f"{tool.package} {tool.minimum_text} or newer"
        return HostFinding("tools", tool.program, False, seen, tool.purpose, wanted)
    return HostFinding(
        "tools", tool.program, True, f"{version or 'installed'} ({path})", tool.purpose
    )
