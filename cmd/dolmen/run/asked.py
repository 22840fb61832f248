"""What `dolmen run qemu` was asked for, and the machine it comes to."""

from __future__ import annotations

import errno
import socket
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from assembler.codes import machine as codes
from assembler.codes import usage
from assembler.errors import MachineError, UsageError, told
from assembler.machine import accelerator, disks, firmware, memory, metadata, options, qemu
from assembler.machine.backend import VARIABLES
from assembler.machine.description import (
    Boot,
    Bus,
    Disk,
    Firmware,
    FirmwareBoot,
    KernelBoot,
    Machine,
    Network,
    Port,
)
from assembler.machine.detecting import Image, Kind, detect
from assembler.oci.platform import host_platform, normal_architecture

_MOST_SATA = 6
_NAMESPACE = uuid.UUID("6d9cf5a8-8a25-5d0f-a7f1-3f1b6c2b1d7e")


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of `dolmen run qemu` that say what the machine is."""

    paths: tuple[str, ...]
    name: str
    cpus: int
    memory: str
    disks: tuple[str, ...]
    gui: bool
    uefi: bool
    kind: Kind | None
    squashfs: bool
    state: Path | None
    data: str
    data_file: Path | None
    fw: Path | None
    accel: str
    architecture: str
    qemu: Path | None
    networking: str
    publish: tuple[str, ...]
    segments: tuple[str, ...]
    usb: bool
    devices: tuple[str, ...]
    snapshot: bool

    @property
    def yaml_files(self) -> tuple[str, ...]:
        """Return the files that have to be built first."""
        found = tuple(p for p in self.paths if p.lower().endswith((".yml", ".yaml")))
        if found and len(found) != len(self.paths):
            raise UsageError.of(usage.BAD_OPTION, "YAML files and an image cannot be run together")
        if not found and len(self.paths) != 1:
            raise UsageError.of(
                usage.BAD_OPTION,
                "which image is to be run?" if not self.paths else "only one image can be run",
                "dolmen run qemu image.yml, or the prefix or path of an image",
            )
        return found

    @property
    def target(self) -> str:
        """Return the architecture asked for, or nothing."""
        return normal_architecture(self.architecture) if self.architecture else ""

    @property
    def called(self) -> str:
        """Return a name for the machine."""
        return self.name or Path(self.paths[-1]).stem or "machine"


def check(asked: Asked) -> None:
    """Find what is wrong with the options before anything is built."""
    _ = asked.yaml_files
    _memory(asked)
    network(asked)
    for text in asked.disks:
        options.parse_disk(text)
    accelerator.choose(asked.target or host_platform().architecture, asked.accel)
    problem = ""
    if asked.cpus < 1:
        problem = "--cpus: a machine has at least one"
    elif asked.data and asked.data_file:
        problem = "--data and --data-file contradict each other"
    elif asked.target and asked.target not in qemu.architectures():
        problem = f"--arch: {asked.architecture} cannot be run"
    if problem:
        raise UsageError.of(usage.BAD_OPTION, problem)


def network(asked: Asked) -> Network:
    """Return the network asked for."""
    mode, _, device = (asked.networking or "user").partition(",")
    mode = "user" if mode == "default" else mode
    if mode not in ("user", "none", "tap", "bridge"):
        raise UsageError.of(
            usage.BAD_OPTION,
            f"--networking {mode} is not supported",
            "choose user, none, tap,DEVICE or bridge,DEVICE",
        )
    if bool(device) != (mode in ("tap", "bridge")):
        raise UsageError.of(usage.BAD_OPTION, f"--networking {mode}: write it as tap,tap0 or user")
    ports = tuple(options.parse_port(text) for text in asked.publish)
    if ports and mode != "user":
        raise UsageError.of(
            codes.BAD_PORT,
            f"--publish has no part in --networking {mode}",
            "leave --networking out" if mode == "none" else "the guest has an address of its own",
        )
    return Network(mode, device, ports, asked.segments)


def _check_device(chosen: Network) -> None:
    """See whether the device is there that the machine is to be connected to."""
    # Not by looking below /sys, which may show another network namespace.
    if not chosen.device or chosen.device in (name for _, name in socket.if_nameindex()):
        return
    how = {
        "tap": f"sudo ip tuntap add {chosen.device} mode tap user $USER; "
        f"sudo ip link set {chosen.device} up",
        "bridge": f"sudo ip link add {chosen.device} type bridge; "
        f"sudo ip link set {chosen.device} up",
    }
    raise MachineError.of(
        codes.NO_DEVICE,
        f"there is no network device {chosen.device} on this machine",
        how[chosen.mode],
    )


def describe(asked: Asked, path: Path, folder: Path) -> tuple[Machine, str]:
    """Return the machine for the image at `path`, and why it will be slow.

    Whatever has to be made for it (disks, metadata, variables of the firmware) is made in `folder`,
    or in the state directory asked for.
    """
    image = detect(path, kind=asked.kind, squashfs=asked.squashfs)
    architecture = asked.target or image.architecture or host_platform().architecture
    _check_architecture(image, architecture)
    if asked.qemu is None:
        qemu.program_for(architecture)
    chosen = accelerator.choose(architecture, asked.accel)
    keep = _keep(asked, folder)
    boot = _boot(image)
    amount = _memory(asked)
    if isinstance(boot, KernelBoot) and boot.initrd is not None:
        memory.check(boot.initrd, amount)
    machine = Machine(
        architecture,
        boot,
        cpus=asked.cpus,
        memory=amount,
        accelerator=chosen.kind,
        disks=_disks(asked, image, keep),
        cds=_cds(asked, image, keep),
        network=network(asked),
        firmware=_firmware(asked, image, architecture),
        gui=asked.gui,
        usb=asked.usb,
        devices=asked.devices,
        uuid=str(uuid.uuid5(_NAMESPACE, str(keep))),
        name=folder.name,
    )
    _variables(machine.firmware, keep, folder)
    _check_device(machine.network)
    for port in machine.network.ports:
        _check_free(port)
    return machine, chosen.slow_because


def _check_architecture(image: Image, architecture: str) -> None:
    if image.architecture and image.architecture != architecture:
        raise MachineError.of(
            codes.NOT_AN_IMAGE,
            f"the kernel of {image.path} is for {image.architecture}, not for {architecture}",
            f"--arch {image.architecture}, or build it for {architecture}",
        )


def _memory(asked: Asked) -> int:
    return max(1, options.parse_size(asked.memory, "--mem") >> 20)


def _keep(asked: Asked, folder: Path) -> Path:
    """Return where disks and variables are that may outlive the machine."""
    if asked.state is None:
        return folder
    state = asked.state.expanduser().absolute()
    with told(state):
        state.mkdir(parents=True, exist_ok=True)
    return state


def _boot(image: Image) -> Boot:
    if image.kernel is None:
        return FirmwareBoot(from_cd=image.kind is Kind.ISO)
    kernel = image.kernel
    paths = replace(
        kernel,
        kernel=kernel.kernel.absolute(),
        initrd=kernel.initrd.absolute() if kernel.initrd else None,
    )
    if image.squashfs is None or "root=" in kernel.cmdline:
        return paths
    return replace(paths, cmdline=f"{kernel.cmdline} root=/dev/sda ro".strip())


def _disks(asked: Asked, image: Image, keep: Path) -> tuple[Disk, ...]:
    found: list[Disk] = []
    if image.kind is Kind.DISK:
        found.append(Disk(image.path.absolute(), image.format, snapshot=asked.snapshot))
    elif image.squashfs is not None:
        found.append(Disk(image.squashfs.absolute(), read_only=True))
    for number, text in enumerate(asked.disks):
        option = options.parse_disk(text)
        fallback = keep / f"disk{number or ''}.img"
        found.append(disks.prepare(option, fallback, snapshot=asked.snapshot))
    if sum(d.bus is Bus.SATA for d in found) > _MOST_SATA:
        raise MachineError.of(codes.BAD_DISK, f"at most {_MOST_SATA} disks fit on the bus sata")
    return tuple(found)


def _cds(asked: Asked, image: Image, keep: Path) -> tuple[Path, ...]:
    found = [image.path.absolute()] if image.kind is Kind.ISO else []
    content = asked.data.encode()
    if asked.data_file is not None:
        with told(asked.data_file, "read"):
            content = asked.data_file.read_bytes()
    if content:
        path = keep / "metadata.iso"
        metadata.write_cd(path, {"config": content})
        found.append(path)
    return tuple(found)


def _firmware(asked: Asked, image: Image, architecture: str) -> Firmware | None:
    # Only the BIOS of amd64 comes with QEMU.
    by_firmware = image.kernel is None and (image.only_uefi or architecture != "amd64")
    if not (asked.uefi or asked.fw or by_firmware):
        return None
    return firmware.need(architecture, asked.fw)


def _variables(chosen: Firmware | None, keep: Path, folder: Path) -> None:
    """Put a copy of the firmware's variables where the machine can change them."""
    if chosen is None or chosen.variables is None:
        return
    path = keep / VARIABLES
    with told(path):
        if not path.exists():
            path.write_bytes(chosen.variables.read_bytes())
        if keep != folder:
            (folder / VARIABLES).symlink_to(path)


def _check_free(port: Port) -> None:
    kind = socket.SOCK_STREAM if port.protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as tried:
        if port.protocol == "tcp":
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((port.address, port.host))
        except OSError as error:
            raise _not_free(port, error) from error


def _not_free(port: Port, error: OSError) -> MachineError:
    hints: Sequence[str] = (f"choose another: --publish {port.host + 10000}:{port.guest}",)
    what = error.strerror or "no"
    if error.errno == errno.EADDRINUSE:
        what = "something else listens to it"
    elif error.errno == errno.EADDRNOTAVAIL:
        what, hints = f"{port.address} is not an address of this machine", ()
    return MachineError.of(
        codes.BAD_PORT, f"port {port.host}/{port.protocol} cannot be published: {what}", *hints
    )
