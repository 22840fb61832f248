"""UEFI firmware: where distributions put it, and which file belongs to which."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from assembler.codes import machine as codes
from assembler.errors import MachineError
from assembler.machine.description import Firmware
from assembler.tools import install_command


@dataclass(frozen=True, slots=True)
class FirmwareFiles:
    """For an architecture: Debian's package, QEMU's name of it, and pairs of code and variables."""

    package: str
    target: str
    pairs: tuple[tuple[str, str], ...]
    # Those that know Secure Boot, with variables that have Microsoft's keys where there are such.
    secure: tuple[tuple[str, str], ...] = ()


FIRMWARE_FILES = {
    "amd64": FirmwareFiles(
        "ovmf",
        "x86_64",
        (
            ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
            ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
            ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
            ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
            ("/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"),
            ("/usr/share/qemu/edk2-x86_64-code.fd", "/usr/share/qemu/edk2-i386-vars.fd"),
            (
                "/opt/homebrew/share/qemu/edk2-x86_64-code.fd",
                "/opt/homebrew/share/qemu/edk2-i386-vars.fd",
            ),
            ("/usr/share/ovmf/bios.bin", ""),
        ),
        (
            ("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"),
            ("/usr/share/OVMF/OVMF_CODE.secboot.fd", "/usr/share/OVMF/OVMF_VARS.ms.fd"),
            (
                "/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd",
                "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd",
            ),
            ("/usr/share/edk2/x64/OVMF_CODE.secboot.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
            (
                "/usr/share/qemu/ovmf-x86_64-smm-ms-code.bin",
                "/usr/share/qemu/ovmf-x86_64-smm-ms-vars.bin",
            ),
            ("/usr/share/qemu/edk2-x86_64-secure-code.fd", "/usr/share/qemu/edk2-i386-vars.fd"),
            (
                "/opt/homebrew/share/qemu/edk2-x86_64-secure-code.fd",
                "/opt/homebrew/share/qemu/edk2-i386-vars.fd",
            ),
        ),
    ),
    "arm64": FirmwareFiles(
        "qemu-efi-aarch64",
        "aarch64",
        (
            ("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
            ("/usr/share/edk2/aarch64/QEMU_CODE.fd", "/usr/share/edk2/aarch64/QEMU_VARS.fd"),
            ("/usr/share/qemu/edk2-aarch64-code.fd", "/usr/share/qemu/edk2-arm-vars.fd"),
            (
                "/opt/homebrew/share/qemu/edk2-aarch64-code.fd",
                "/opt/homebrew/share/qemu/edk2-arm-vars.fd",
            ),
        ),
        (("/usr/share/AAVMF/AAVMF_CODE.ms.fd", "/usr/share/AAVMF/AAVMF_VARS.ms.fd"),),
    ),
    "riscv64": FirmwareFiles(
        "qemu-efi-riscv64",
        "riscv64",
        (
            (
                "/usr/share/qemu-efi-riscv64/RISCV_VIRT_CODE.fd",
                "/usr/share/qemu-efi-riscv64/RISCV_VIRT_VARS.fd",
            ),
            (
                "/usr/share/edk2/riscv/RISCV_VIRT_CODE.fd",
                "/usr/share/edk2/riscv/RISCV_VIRT_VARS.fd",
            ),
        ),
    ),
}
# QEMU's own list, which distributions fill: https://qemu.org/docs/master/interop/firmware.json
_LISTS = ("/etc/qemu/firmware", "/usr/share/qemu/firmware")
_SPECIAL = {"secure-boot", "enrolled-keys", "requires-smm", "amd-sev", "amd-sev-es", "intel-tdx"}
# How the names of code and variables differ.
_CODE = re.compile(r"CODE|code")


def find_firmware(
    architecture: str, root: Path = Path("/"), *, secure: bool = False
) -> Firmware | None:
    """Return the firmware for an architecture, if this machine has one."""
    places = FIRMWARE_FILES.get(architecture)
    if places is None:
        return None
    for code, variables in places.secure if secure else places.pairs:
        found = _pair(_below(root, code), _below(root, variables) if variables else None)
        if found:
            return replace(found, secure_boot=secure)
    if secure:
        return None
    return next(
        (f for place in _LISTS for f in _listed(_below(root, place), places.target, root)), None
    )


def require_firmware(
    architecture: str, chosen: Path | None = None, *, secure: bool = False
) -> Firmware:
    """Return the firmware chosen or found, or raise an error that says how to get one."""
    if chosen is not None:
        return replace(_beside(chosen), secure_boot=secure)
    found = find_firmware(architecture, secure=secure)
    if found is None:
        places = FIRMWARE_FILES.get(architecture)
        hint = install_command(places.package) if places else "choose another architecture"
        what = " with Secure Boot" if secure else ""
        if secure and places is not None and not places.secure:
            hint = "choose another architecture"
        raise MachineError.of(
            codes.NO_FIRMWARE,
            f"there is no UEFI firmware{what} for {architecture} on this machine",
            hint,
            "or name the file: --fw FILE",
        )
    return found


def _beside(chosen: Path) -> Firmware:
    """Return the firmware of the user's choice, with the variables that lie beside it."""
    if not chosen.is_file():
        raise MachineError.of(codes.NO_FIRMWARE, f"--fw: there is no file {chosen}")
    names = [
        _CODE.sub(lambda m: "VARS" if m[0] == "CODE" else "vars", chosen.name),
        # A firmware for Secure Boot has the variables of the plain one.
        re.sub(r"CODE(.*?)\.secboot", r"VARS\1", chosen.name),
    ]
    variables = (chosen.with_name(n) for n in names if n != chosen.name)
    return Firmware(chosen.absolute(), next((v.absolute() for v in variables if v.is_file()), None))


def _pair(code: Path, variables: Path | None) -> Firmware | None:
    if not code.is_file() or (variables is not None and not variables.is_file()):
        return None
    return Firmware(code, variables)


def _listed(folder: Path, target: str, root: Path) -> list[Firmware]:
    found = []
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        try:
            said: dict[str, Any] = json.loads(path.read_bytes())
            firmware = _described(said, target, root)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        if firmware is not None:
            found.append(firmware)
    return found


def _described(said: dict[str, Any], target: str, root: Path) -> Firmware | None:
    mapping = said["mapping"]
    fits = (
        "uefi" in said["interface-types"]
        and mapping["device"] == "flash"
        and any(t["architecture"] == target for t in said["targets"])
        and not _SPECIAL & set(said["features"])
    )
    if not fits:
        return None
    code, variables = mapping["executable"], mapping.get("nvram-template")
    pair = _pair(
        _below(root, code["filename"]), _below(root, variables["filename"]) if variables else None
    )
    if pair is None:
        return None
    return Firmware(
        pair.code,
        pair.variables,
        code["format"],
        variables["format"] if variables else "raw",
    )


def _below(root: Path, path: str) -> Path:
    return root / path.lstrip("/")
