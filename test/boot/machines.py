"""The machines of the boot matrix: QEMU with a firmware and a medium, by emulation."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.enclaves import CMDLINE, KERNEL, RAMDISK, read_enclave

if TYPE_CHECKING:
    from boot.matrix import Row

_PROGRAMS = {
    "amd64": "qemu-system-x86_64",
    "arm64": "qemu-system-aarch64",
    "riscv64": "qemu-system-riscv64",
}
# Emulation of cmpxchg16b lets guests crash.
_MACHINES = {
    "amd64": ("-machine", "q35", "-cpu", "max,cx16=off"),
    "arm64": ("-machine", "virt", "-cpu", "max,pauth-impdef=on"),
    "riscv64": ("-machine", "virt", "-cpu", "rv64"),
}
# Without ACPI it has timers that need no KVM.
_MICROVM = ("-machine", "microvm,acpi=off,pit=on,pic=on,rtc=on", "-cpu", "max,cx16=off")
_SECURE = (
    *("-machine", "q35,smm=on", "-cpu", "max,cx16=off"),
    *("-global", "driver=cfi.pflash01,property=secure,value=on"),
    *("-global", "ICH9-LPC.disable_s3=1"),
)
# Code, variables, and the variables to enrol keys in.
_FLASH = {
    ("amd64", "uefi"): ("OVMF/OVMF_CODE_4M.fd", "OVMF/OVMF_VARS_4M.fd"),
    ("amd64", "secure"): ("OVMF/OVMF_CODE_4M.secboot.fd", "OVMF/OVMF_VARS_4M.fd"),
    ("arm64", "uefi"): ("AAVMF/AAVMF_CODE.fd", "AAVMF/AAVMF_VARS.fd"),
    # The tool cannot read the variables that are not enrolled: others are taken out again.
    ("arm64", "secure"): ("AAVMF/AAVMF_CODE.fd", "AAVMF/AAVMF_VARS.snakeoil.fd"),
}
_SHARE = Path("/usr/share")
_U_BOOT = Path("/usr/lib/u-boot/qemu-riscv64_smode/u-boot.bin")


@dataclass(frozen=True)
class Outputs:
    """What was built for a row."""

    directory: Path
    name: str
    keys: Path

    def path(self, suffix: str) -> Path:
        """Return an output."""
        return self.directory / (self.name + suffix)


def lacking(row: Row) -> str:
    """Return what this machine lacks for a row, or nothing."""
    program = _PROGRAMS[row.architecture]
    if not shutil.which(program):
        return f"{program} is not installed"
    needed = [_SHARE / name for name in _FLASH.get((row.architecture, row.firmware), ())]
    if row.firmware == "uefi" and row.architecture == "riscv64":
        needed = [_U_BOOT]
    missing = [str(p) for p in needed if not p.is_file()]
    return f"{missing[0]} is not there" if missing else ""


def command(row: Row, outputs: Outputs, scratch: Path) -> list[str | Path]:
    """Return the command that starts the machine, its console on standard output."""
    machine, entropy = _MACHINES[row.architecture], "virtio-rng-pci"
    if _is_secure_pc(row):
        machine = _SECURE
    elif row.medium in ("microvm", "enclave") and row.architecture == "amd64":
        machine, entropy = _MICROVM, "virtio-rng-device"
    return [
        *(_PROGRAMS[row.architecture], *machine, "-accel", "tcg", "-smp", "2"),
        *("-m", str(row.memory), "-display", "none", "-no-reboot", "-serial", "stdio"),
        *("-net", "none", "-device", entropy),
        *_firmware(row, outputs, scratch),
        *_medium(row, outputs, scratch),
    ]


def _is_secure_pc(row: Row) -> bool:
    return row.firmware == "secure" and row.architecture == "amd64"


def _firmware(row: Row, outputs: Outputs, scratch: Path) -> list[str | Path]:
    if row.firmware in ("bios", "kernel"):
        return []
    if row.architecture == "riscv64":
        return ["-kernel", _U_BOOT]
    code, variables = (_SHARE / name for name in _FLASH[row.architecture, row.firmware])
    ours = scratch / "variables.fd"
    if row.firmware == "secure":
        _enrol(variables, ours, outputs.keys, row.architecture)
    else:
        shutil.copy(variables, ours)
    return [
        *("-drive", f"if=pflash,format=raw,readonly=on,file={code}"),
        *("-drive", f"if=pflash,format=raw,file={ours}"),
    ]


def _enrol(variables: Path, ours: Path, keys: Path, architecture: str) -> None:
    beside = Path(sys.executable).with_name("virt-fw-vars")
    program = beside if beside.exists() else shutil.which("virt-fw-vars")
    if program is None:
        pytest.skip("virt-fw-vars is not installed (Debian package python3-virt-firmware)")
    owner = (keys / "GUID").read_text().strip()
    old = ("--delete", "PK", "--delete", "KEK", "--delete", "db")
    subprocess.run(
        [
            *(program, "-i", variables, "-o", ours),
            *(old if architecture == "arm64" else ()),
            *("--set-pk", owner, keys / "PK.crt", "--add-kek", owner, keys / "KEK.crt"),
            *("--add-db", owner, keys / "db.crt", "--secure-boot"),
        ],
        check=True,
        capture_output=True,
    )


def _medium(row: Row, outputs: Outputs, scratch: Path) -> list[str | Path]:
    path = outputs.path(row.suffix)
    if row.medium in ("vmlinux", "microvm", "enclave"):
        return _kernel(row, path, outputs, scratch)
    if path.name.endswith(".tar.gz"):
        subprocess.run(["tar", "xzf", path, "-C", scratch], check=True)
        path = scratch / "disk.raw"
    drive = f"if=none,id=boot,format={row.form},file={path}"
    match row.medium:
        case "disk":
            return ["-drive", f"{drive},snapshot=on", "-device", "virtio-blk-pci,drive=boot"]
        case "usb":
            usb = ("-device", "qemu-xhci", "-device", "usb-storage,drive=boot")
            return ["-drive", f"{drive},snapshot=on", *usb]
        case "cd":
            cd = ("-device", "virtio-scsi-pci", "-device", "scsi-cd,drive=boot")
            return ["-drive", f"{drive},media=cdrom,readonly=on", *cd]
        case "file":
            names = {"amd64": "BOOTX64.EFI", "arm64": "BOOTAA64.EFI"}
            folder = scratch / "volume" / "EFI" / "BOOT"
            folder.mkdir(parents=True)
            shutil.copy(path, folder / names[row.architecture])
            volume = f"if=none,id=boot,format=raw,readonly=on,file=fat:{scratch / 'volume'}"
            return ["-drive", volume, "-device", "virtio-blk-pci,drive=boot"]
        case "root":
            line = outputs.path("-cmdline").read_text()
            kernel = ("-kernel", outputs.path("-kernel"), "-append", line)
            initrds = sorted(outputs.directory.glob("*-initrd.img"))
            early = ("-initrd", *initrds)[:2] if initrds else ()
            disk = ("-drive", f"{drive},readonly=on", "-device", "virtio-blk-pci,drive=boot")
            return [*kernel, *early, *disk]
    raise ValueError(row.medium)


def _kernel(row: Row, path: Path, outputs: Outputs, scratch: Path) -> list[str | Path]:
    """Return the options for a kernel with its initrd."""
    if row.medium != "enclave":
        line = outputs.path("-cmdline").read_text()
        return ["-kernel", path, "-initrd", outputs.path("-initrd.img"), "-append", line]
    enclave = read_enclave(path.read_bytes())
    (kernel,), (line_of_enclave,) = enclave.all_of(KERNEL), enclave.all_of(CMDLINE)
    (scratch / "kernel").write_bytes(kernel)
    (scratch / "initrd").write_bytes(b"".join(enclave.all_of(RAMDISK)))
    files = ("-kernel", scratch / "kernel", "-initrd", scratch / "initrd")
    return [*files, "-append", line_of_enclave.decode()]
