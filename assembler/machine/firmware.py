"""Find UEFI firmware and its variable templates where distributions install them."""

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
    """The firmware of an architecture: Debian's package, QEMU's name, code and variables."""

    package: str
    target: str
    pairs: tuple[tuple[str, str], ...]
    # Pairs with Secure Boot, whose variables have Microsoft's keys if the distribution has them.
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
# Firmware descriptors of distributions: https://qemu.org/docs/master/interop/firmware.json
_DESCRIPTOR_DIRECTORIES = ("/etc/qemu/firmware", "/usr/share/qemu/firmware")
_UNSUPPORTED_FEATURES = {
    "secure-boot",
    "enrolled-keys",
    "requires-smm",
    "amd-sev",
    "amd-sev-es",
    "intel-tdx",
}
# The part of the name of the code that differs from the variables.
_CODE = re.compile(r"CODE|code")


def find_firmware(
    architecture: str, root: Path = Path("/"), *, secure: bool = False
) -> Firmware | None:
    """Return the firmware for an architecture, if this host has one."""
    files = FIRMWARE_FILES.get(architecture)
    if files is None:
        return None
    for code, variables in files.secure if secure else files.pairs:
        found = _firmware_of_pair(
            _in_root(root, code), _in_root(root, variables) if variables else None
        )
        if found:
            return replace(found, secure_boot=secure)
    if secure:
        return None
    return next(
        (
            f
            for directory in _DESCRIPTOR_DIRECTORIES
            for f in _firmware_of_descriptors(_in_root(root, directory), files.target, root)
        ),
        None,
    )


def require_firmware(
    architecture: str, chosen: Path | None = None, *, secure: bool = False
) -> Firmware:
    """Return the chosen or found firmware, or raise an error with the package to install."""
    if chosen is not None:
        return replace(_with_variables(chosen), secure_boot=secure)
    found = find_firmware(architecture, secure=secure)
    if found is None:
        files = FIRMWARE_FILES.get(architecture)
        hint = install_command(files.package) if files else "choose another architecture"
        kind = " with Secure Boot" if secure else ""
        if secure and files is not None and not files.secure:
            hint = "choose another architecture"
        raise MachineError.of(
            codes.NO_FIRMWARE,
            f"UEFI firmware{kind} for {architecture} not found",
            hint,
            "or give its file: --fw FILE",
        )
    return found


def _with_variables(chosen: Path) -> Firmware:
    """Return the chosen firmware, with the variables in the same directory."""
    if not chosen.is_file():
        raise MachineError.of(codes.NO_FIRMWARE, f"--fw: {chosen} not found")
    names = [
        _CODE.sub(lambda m: "VARS" if m[0] == "CODE" else "vars", chosen.name),
        # Firmware for Secure Boot may share the variables of the plain one.
        re.sub(r"CODE(.*?)\.secboot", r"VARS\1", chosen.name),
    ]
    variables = (chosen.with_name(n) for n in names if n != chosen.name)
    return Firmware(chosen.absolute(), next((v.absolute() for v in variables if v.is_file()), None))


def _firmware_of_pair(code: Path, variables: Path | None) -> Firmware | None:
    if not code.is_file() or (variables is not None and not variables.is_file()):
        return None
    return Firmware(code, variables)


def _firmware_of_descriptors(folder: Path, target: str, root: Path) -> list[Firmware]:
    found = []
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        try:
            descriptor: dict[str, Any] = json.loads(path.read_bytes())
            firmware = _firmware_of_descriptor(descriptor, target, root)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        if firmware is not None:
            found.append(firmware)
    return found


def _firmware_of_descriptor(descriptor: dict[str, Any], target: str, root: Path) -> Firmware | None:
    mapping = descriptor["mapping"]
    fits = (
        "uefi" in descriptor["interface-types"]
        and mapping["device"] == "flash"
        and any(t["architecture"] == target for t in descriptor["targets"])
        and not _UNSUPPORTED_FEATURES & set(descriptor["features"])
    )
    if not fits:
        return None
    code, variables = mapping["executable"], mapping.get("nvram-template")
    pair = _firmware_of_pair(
        _in_root(root, code["filename"]),
        _in_root(root, variables["filename"]) if variables else None,
    )
    if pair is None:
        return None
    return Firmware(
        pair.code,
        pair.variables,
        code["format"],
        variables["format"] if variables else "raw",
    )


def _in_root(root: Path, path: str) -> Path:
    return root / path.lstrip("/")
