"""What this machine has and lacks, found out by looking and trying."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assembler.tools import TOOLS, Tool, find
from assembler.version import __version__

_KVM_CREATE_VM = 0xAE01
_KVM_CREATE_VCPU = 0xAE41
_KVM_RUN = 0xAE80
_PATIENCE = 5
_VERSION = re.compile(r"\d+(?:\.\d+)+")
_LEAST = {"mksquashfs": (4, 6), "mkfs.erofs": (1, 8)}
# How to ask a program that does not know `--version`.
_ASK = {"mksquashfs": "-version", "docker": "--version", "apt-get": "--version"}
_FIRMWARE = {
    "UEFI for amd64": (
        "ovmf",
        (
            "/usr/share/OVMF/OVMF_CODE_4M.fd",
            "/usr/share/OVMF/OVMF_CODE.fd",
            "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
            "/usr/share/edk2/ovmf/OVMF_CODE.fd",
            "/usr/share/qemu/edk2-x86_64-code.fd",
        ),
    ),
    "UEFI for arm64": (
        "qemu-efi-aarch64",
        (
            "/usr/share/AAVMF/AAVMF_CODE.fd",
            "/usr/share/edk2/aarch64/QEMU_EFI.fd",
            "/usr/share/qemu/edk2-aarch64-code.fd",
        ),
    ),
}


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
    for name, (package, places) in _FIRMWARE.items():
        path = next((p for p in places if Path(p).exists()), "")
        yield Finding(
            "firmware",
            name,
            well=bool(path),
            seen=path or "not found",
            purpose="run images that boot by UEFI",
            mend="" if path else f"sudo apt-get install {package}",
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
    """Start a virtual machine, as the device may be there and refuse to run one."""
    purpose = "run images at full speed"
    try:
        device = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return Finding("host", "KVM", False, error.strerror or "no", purpose)
    with contextlib.ExitStack() as opened:
        opened.callback(os.close, device)
        try:
            machine = fcntl.ioctl(device, _KVM_CREATE_VM, 0)
            opened.callback(os.close, machine)
            cpu = fcntl.ioctl(machine, _KVM_CREATE_VCPU, 0)
            opened.callback(os.close, cpu)
            if platform.machine() == "x86_64":
                # With no memory at all the first instruction ends the run at once, in good order.
                fcntl.ioctl(cpu, _KVM_RUN, 0)
        except OSError as error:
            seen = f"/dev/kvm is there but does not work: {error.strerror}"
            return Finding("host", "KVM", False, seen, purpose)
    return Finding("host", "KVM", True, "works", purpose)


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
