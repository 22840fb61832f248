"""Check a host: programs, firmware, KVM and the store."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.debian import DebianOptions, find_host_sources
from assembler.errors import ImageError
from assembler.machine.accelerator import probe_kvm
from assembler.machine.firmware import FIRMWARE_FILES, find_firmware
from assembler.machine.virtiofs import find_virtiofsd
from assembler.oci import ImageSources, ping_daemon
from assembler.tools import (
    EXTRAS,
    TOOLS,
    Tool,
    find_program,
    has_new_enough,
    has_subordinate_ids,
    host_distribution,
    install_command,
    program_version,
    subordinate_ids_command,
    user_name,
)
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


def check_host(store: Path | None = None, debian: DebianOptions | None = None) -> list[HostFinding]:
    """Return the findings about this host: `store` is the store's directory."""
    return list(_findings(store or ImageSources().store, debian or DebianOptions()))


def _findings(store: Path, debian: DebianOptions) -> Iterator[HostFinding]:
    yield HostFinding(
        "dolmen",
        "version",
        True,
        f"{__version__}, Python {platform.python_version()} on {platform.machine()}",
    )
    yield _check_store(store)
    yield _check_kvm()
    yield from _check_debian(debian)
    for tool in TOOLS.values():
        yield _check_tool(tool)
        if tool.program == "buildah":
            yield from _check_subordinate_ids()
        if tool.program == "docker":
            yield _check_docker_daemon()
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


def _check_debian(options: DebianOptions) -> Iterator[HostFinding]:
    found = find_host_sources(options)
    yield HostFinding(
        "dolmen",
        "Debian archive",
        well=bool(found.urls),
        seen=", ".join(found.urls) or "the apt of this host names none",
        purpose="build packages from recipes",
        mend=""
        if found.urls
        else 'write debian.mirror = "URL of a Debian mirror" into the configuration file '
        "(`dolmen config --path` prints its path), or set DOLMEN_DEBIAN_MIRROR",
    )
    exists = found.keyring.is_file()
    yield HostFinding(
        "dolmen",
        "Debian keys",
        well=exists,
        seen="those of Dolmen, for bookworm and trixie"
        if found.shipped
        else f"{found.keyring}{'' if exists else ' is missing'}",
        purpose="verify Debian archives",
        mend="" if exists else "correct --debian-keyring, DOLMEN_DEBIAN_KEYRING or debian.keyring",
    )


def _check_kvm() -> HostFinding:
    probe = probe_kvm()
    return HostFinding("host", "KVM", probe.works, probe.seen, "run images at full speed")


def _mend(tool: Tool) -> str:
    """Return how to get a program that is missing or too old, if this distribution has it."""
    if has_new_enough(tool.package):
        return tool.install
    wanted = f"{tool.package} {tool.minimum_text} or newer"
    return f"{host_distribution().title} has no {wanted}; Dolmen then uses its package imagetools"


def _check_docker_daemon() -> HostFinding:
    extra = EXTRAS["docker"]
    if not extra.installed:
        seen = f"the Python library {extra.module} is not installed"
        return HostFinding(
            "tools", "docker daemon", False, seen, TOOLS["docker"].use, extra.install
        )
    try:
        ping_daemon()
    except ImageError as error:
        (diagnostic,) = error.diagnostics
        seen = "does not respond: " + diagnostic.message.partition(": ")[2]
        mend = _docker_mend(diagnostic.message)
        return HostFinding("tools", "docker daemon", False, seen, TOOLS["docker"].use, mend)
    return HostFinding("tools", "docker daemon", True, "responds", TOOLS["docker"].use)


def _docker_mend(reason: str) -> str:
    if find_program("docker") is None:
        return TOOLS["docker"].install
    if "Permission denied" in reason:
        return f"sudo usermod --append --groups docker {user_name()}, and log in again"
    if host_distribution().family == "macos":
        return "start Docker Desktop"
    return "sudo systemctl start docker"


def _check_subordinate_ids() -> Iterator[HostFinding]:
    """Check what only buildah needs, and only without root."""
    if find_program("buildah") is None or os.geteuid() == 0:
        return
    well = has_subordinate_ids()
    yield HostFinding(
        "tools",
        "subordinate ids",
        well=well,
        seen="set up" if well else f"{user_name()} has none in /etc/subuid and /etc/subgid",
        purpose=TOOLS["buildah"].use,
        mend="" if well else subordinate_ids_command(),
    )


def _check_tool(tool: Tool) -> HostFinding:
    path = find_program(tool.program)
    if path is None:
        return HostFinding("tools", tool.program, False, "not installed", tool.purpose, _mend(tool))
    version = program_version(tool.program, path, _VERSION_TIMEOUT)
    if version and not tool.accepts(version):
        seen = f"{version} is too old"
        return HostFinding("tools", tool.program, False, seen, tool.purpose, _mend(tool))
    return HostFinding(
        "tools", tool.program, True, f"{version or 'installed'} ({path})", tool.purpose
    )
