"""Turn the description of a VM into QEMU's command line."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import machine as codes
from assembler.errors import MachineError
from assembler.machine.backend import (
    AGENT_PORT_NAME,
    AGENT_PORTS,
    AGENT_SOCKET,
    CONSOLE_LOG,
    CONSOLE_SOCKET,
    CONTROL_SOCKET,
    SHARE_SOCKET,
    TPM_SOCKET,
    VARIABLES,
    Command,
)
from assembler.machine.description import (
    Bus,
    Disk,
    FirmwareBoot,
    KernelBoot,
    Machine,
    Network,
    Port,
)
from assembler.tools import TOOLS, require_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class _Target:
    """The differences between architectures."""

    program: str
    machine: str
    tpm: str = ""
    # The bus of virtio devices.
    bus: str = "pci"


_TARGETS = {
    "amd64": _Target("qemu-system-x86_64", "q35", "tpm-crb"),
    "arm64": _Target("qemu-system-aarch64", "virt", "tpm-tis-device"),
    "riscv64": _Target("qemu-system-riscv64", "virt"),
    "s390x": _Target("qemu-system-s390x", "s390-ccw-virtio", bus="ccw"),
}
# TCG sometimes emulates cmpxchg16b wrongly, which crashes kernels.
_TCG_CPU = {"amd64": "max,cx16=off", "arm64": "max", "riscv64": "rv64", "s390x": "max"}


@dataclass(frozen=True, slots=True)
class Qemu:
    """The backend `qemu`; `program` is used instead of the one for the architecture."""

    program: Path | None = None
    name: str = "qemu"

    def command(self, machine: Machine) -> Command:
        """Return the command that starts the machine."""
        target = _target(machine.architecture)
        program = self.program or require_program(target.program)
        return Command(program, tuple(_arguments(machine, target)))


def supported_architectures() -> tuple[str, ...]:
    """Return the architectures that can be run."""
    return tuple(_TARGETS)


def program_for(architecture: str) -> Path:
    """Return the program for an architecture, or raise an error with the package to install."""
    return require_program(_target(architecture).program)


def _target(architecture: str) -> _Target:
    target = _TARGETS.get(architecture)
    if target is None or target.program not in TOOLS:
        raise MachineError.of(
            codes.CANNOT_START,
            f"the architecture {architecture} is not supported",
            f"supported: {', '.join(_TARGETS)}",
        )
    return target


def _arguments(machine: Machine, target: _Target) -> Iterator[str]:
    yield from ("-name", escape_commas(machine.name))
    yield from ("-machine", _board(machine, target))
    yield from ("-accel", machine.accelerator)
    tcg = machine.accelerator == "tcg"
    yield from ("-cpu", _TCG_CPU[machine.architecture] if tcg else "host")
    yield from ("-smp", str(machine.cpus), "-m", f"{machine.memory}M")
    if machine.uuid:
        yield from ("-uuid", machine.uuid)
    yield from ("-nodefaults", "-no-user-config", "-S")
    yield from _console()
    yield from _agent(target)
    if machine.gui:
        yield from (
            "-device",
            "VGA" if machine.architecture == "amd64" else f"virtio-gpu-{target.bus}",
        )
    else:
        yield from ("-display", "none")
    yield from ("-device", f"virtio-rng-{target.bus}")
    yield from _firmware(machine)
    yield from _boot(machine)
    yield from _drives(machine, target)
    yield from _network(machine, target)
    if machine.usb or machine.gui:
        yield from ("-device", "qemu-xhci", "-device", "usb-tablet", "-device", "usb-kbd")
    yield from _shares(machine, target)
    yield from _tpm(machine, target)
    for device in machine.devices:
        yield from ("-device", device)


def _board(machine: Machine, target: _Target) -> str:
    options = [target.machine]
    if not machine.gui and machine.architecture == "amd64":
        # Without graphics the BIOS uses the serial console.
        options.append("graphics=off")
    if _protects_variables(machine):
        options.append("smm=on")
    if machine.shares:
        options.append("memory-backend=memory")
    return ",".join(options)


def _protects_variables(machine: Machine) -> bool:
    """Tell whether SMM protects the firmware's variables from the guest."""
    firmware = machine.firmware
    return firmware is not None and firmware.secure_boot and machine.architecture == "amd64"


def _console() -> Iterator[str]:
    console = f"path={CONSOLE_SOCKET},server=on,wait=off,logfile={CONSOLE_LOG},logappend=off"
    yield from ("-chardev", f"socket,id=console,{console}", "-serial", "chardev:console")
    yield from ("-chardev", f"socket,id=control,path={CONTROL_SOCKET},server=on,wait=off")
    yield from ("-mon", "chardev=control,mode=control")


def _agent(target: _Target) -> Iterator[str]:
    """Yield the ports for the agent; the guest opens them only if its image allows it."""
    # The first port of the device is for consoles.
    yield from ("-device", f"virtio-serial-{target.bus},max_ports={AGENT_PORTS + 1}")
    for number in range(AGENT_PORTS):
        path = AGENT_SOCKET.format(number)
        yield from ("-chardev", f"socket,id=agent{number},path={path},server=on,wait=off")
        name = AGENT_PORT_NAME.format(number)
        yield from ("-device", f"virtserialport,chardev=agent{number},name={name}")


def _firmware(machine: Machine) -> Iterator[str]:
    firmware = machine.firmware
    if firmware is None:
        return
    code = f"if=pflash,unit=0,format={firmware.code_format},readonly=on"
    yield from ("-drive", f"{code},file={escape_commas(firmware.code)}")
    if firmware.variables is not None:
        kept = f"if=pflash,unit=1,format={firmware.variables_format}"
        yield from ("-drive", f"{kept},file={VARIABLES}")
    if _protects_variables(machine):
        yield from ("-global", "driver=cfi.pflash01,property=secure,value=on")
        # Resume from S3 would bypass the protection.
        yield from ("-global", "ICH9-LPC.disable_s3=1")


def _boot(machine: Machine) -> Iterator[str]:
    boot = machine.boot
    if not isinstance(boot, KernelBoot):
        return
    yield from ("-kernel", os.fspath(boot.kernel))
    if boot.initrd is not None:
        yield from ("-initrd", os.fspath(boot.initrd))
    if boot.cmdline:
        yield from ("-append", boot.cmdline)


def _shares(machine: Machine, target: _Target) -> Iterator[str]:
    if machine.shares:
        # virtiofsd reads and writes the guest's memory.
        memory = f"memory-backend-memfd,id=memory,size={machine.memory}M,share=on"
        yield from ("-object", memory)
    for number, share in enumerate(machine.shares):
        path = SHARE_SOCKET.format(number)
        yield from ("-chardev", f"socket,id=share{number},path={path}")
        tag = escape_commas(share.tag)
        yield from ("-device", f"vhost-user-fs-{target.bus},chardev=share{number},tag={tag}")


def _tpm(machine: Machine, target: _Target) -> Iterator[str]:
    if machine.tpm is None:
        return
    if not target.tpm:
        raise MachineError.of(
            codes.CANNOT_START, f"{machine.architecture} machines cannot have a TPM"
        )
    yield from ("-chardev", f"socket,id=tpm,path={TPM_SOCKET}")
    yield from ("-tpmdev", "emulator,id=tpm0,chardev=tpm")
    yield from ("-device", f"{target.tpm},tpmdev=tpm0")


def _drives(machine: Machine, target: _Target) -> Iterator[str]:
    """Yield disks and CDs.

    The default bus is virtio-scsi: disks are /dev/sda and CDs /dev/sr0, as with LinuxKit. Cloud
    kernels without drivers for real hardware have virtio-scsi too.
    """
    if machine.cds or any(d.bus is Bus.SCSI for d in machine.disks):
        yield from ("-device", f"virtio-scsi-{target.bus},id=scsi")
    if machine.architecture != "amd64" and any(d.bus is Bus.SATA for d in machine.disks):
        yield from ("-device", "ahci,id=ide")
    sata = 0
    # With a direct kernel boot no disk needs a boot index.
    direct = isinstance(machine.boot, KernelBoot)
    from_cd = isinstance(machine.boot, FirmwareBoot) and machine.boot.from_cd
    first = len(machine.cds) if from_cd else 0
    for number, disk in enumerate(machine.disks):
        yield from ("-drive", _drive(disk, f"disk{number}"))
        yield from (
            "-device",
            _disk_device(disk.bus, target.bus, number, sata)
            + ("" if direct else f",bootindex={first + number}"),
        )
        sata += disk.bus is Bus.SATA
    for number, path in enumerate(machine.cds):
        options = f"if=none,id=cd{number},format=raw,media=cdrom,readonly=on"
        yield from ("-drive", f"{options},file={escape_commas(path)}")
        place = number if from_cd else len(machine.disks) + number
        index = "" if direct else f",bootindex={place}"
        yield from ("-device", f"scsi-cd,drive=cd{number}{index}")


def _drive(disk: Disk, name: str) -> str:
    if disk.format == "vvfat":
        return (
            f"if=none,id={name},driver=vvfat,dir={escape_commas(disk.path)},fat-type=16,readonly=on"
        )
    options = f"if=none,id={name},format={disk.format}"
    options += ",readonly=on" if disk.read_only else ""
    options += ",snapshot=on" if disk.snapshot else ""
    return f"{options},discard=unmap,file={escape_commas(disk.path)}"


def _disk_device(bus: Bus, virtio: str, number: int, sata: int) -> str:
    drive = f"drive=disk{number}"
    match bus:
        case Bus.SCSI:
            return f"scsi-hd,{drive}"
        case Bus.VIRTIO:
            return f"virtio-blk-{virtio},{drive}"
        case Bus.NVME:
            return f"nvme,{drive},serial=disk{number}"
        case Bus.SATA:
            return f"ide-hd,{drive},bus=ide.{sata}"


def _network(machine: Machine, target: _Target) -> Iterator[str]:
    network = machine.network
    card = f"virtio-net-{target.bus}"
    # Without the card's option ROM, which only delays the boot.
    rom = ",romfile=" if target.bus == "pci" else ""
    if network.mode == "none" and not network.segments:
        yield from ("-nic", "none")
    if network.mode != "none":
        yield from ("-netdev", _host_netdev(network))
        mac = "" if network.mode == "user" else f",mac={_mac(machine.uuid)}"
        yield from ("-device", f"{card},netdev=net0{rom}{mac}")
    for number, name in enumerate(network.segments):
        yield from ("-netdev", f"socket,id=segment{number},{_segment(name)},localaddr=127.0.0.1")
        mac = _mac(f"{machine.uuid}/{number}")
        yield from ("-device", f"{card},netdev=segment{number},mac={mac}{rom}")


def _host_netdev(network: Network) -> str:
    if network.handle is not None:
        return f"tap,id=net0,fd={network.handle}"
    device = escape_commas(network.device)
    match network.mode:
        case "tap":
            return f"tap,id=net0,ifname={device},script=no,downscript=no"
        case "bridge":
            return f"bridge,id=net0,br={device}"
        case _:
            return "user,id=net0" + "".join(f",hostfwd={_forward(p)}" for p in network.ports)


def _segment(name: str) -> str:
    """Return the multicast group of a segment, derived from its name."""
    number = hashlib.sha256(name.encode()).digest()
    port = 20000 + int.from_bytes(number[3:5], "big") % 20000
    return f"mcast=239.{number[0]}.{number[1]}.{number[2]}:{port}"


def _mac(text: str) -> str:
    """Return a MAC address of QEMU's prefix, derived from a text."""
    number = hashlib.sha256(text.encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0x52, 0x54, 0x00, *number[:3]))


def _forward(port: Port) -> str:
    return f"{port.protocol}:{port.address}:{port.host}-:{port.guest}"


def escape_commas(value: str | os.PathLike[str]) -> str:
    """Return a value for QEMU's option lists, where commas are doubled."""
    return os.fspath(value).replace(",", ",,")
