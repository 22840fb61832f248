"""From what `dolmen run qemu` was asked for to the machine, and to all that is made for it."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from assembler.codes import machine as codes
from assembler.codes import usage
from assembler.errors import MachineError, UsageError, wrap_os_errors
from assembler.machine import (
    accelerator,
    disks,
    enrolling,
    firmware,
    memory,
    metadata,
    options,
    qemu,
    shares,
    tpm,
)
from assembler.machine.backend import EFI_FOLDER, VARIABLES
from assembler.machine.companions import Companion
from assembler.machine.description import (
    Boot,
    Bus,
    Disk,
    Firmware,
    FirmwareBoot,
    KernelBoot,
    Machine,
)
from assembler.machine.detecting import Image, Kind, detect
from assembler.machine.networks import NOTHING, Connected, Undo
from assembler.oci import host_platform
from dolmen.run import reaching
from dolmen.run.asked import RunOptions, memory_of, network, shared
from dolmen.run.ports import check_free

_MOST_SATA = 6
_TPM = "tpm"
_NAMESPACE = uuid.UUID("6d9cf5a8-8a25-5d0f-a7f1-3f1b6c2b1d7e")
# Where a firmware looks for something to boot on a disk that it does not know.
_REMOVABLE = {"amd64": "BOOTX64.EFI", "arm64": "BOOTAA64.EFI", "riscv64": "BOOTRISCV64.EFI"}


@dataclass(frozen=True, slots=True)
class Places:
    """Where a machine's own files are: in `folder`, or in `state` if they are to be kept."""

    folder: Path
    state: Path | None
    ephemeral: bool

    @property
    def lasting(self) -> Path:
        """Return where something is made that may outlive the machine."""
        return self.state if self.state is not None and not self.ephemeral else self.folder

    def kept(self, name: str) -> Path | None:
        """Return what an earlier machine has left, if there is such a thing."""
        path = self.state / name if self.state is not None else None
        return path if path is not None and path.exists() else None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A machine, all that has been made for it, and what its user has to know."""

    machine: Machine
    slow_because: str
    beside: tuple[Companion, ...] = ()
    ssh: reaching.Ssh | None = None
    notes: tuple[str, ...] = ()
    undo: Undo = NOTHING

    def with_network(self, ready: Connected) -> Prepared:
        """Return it with a network that is ready for it."""
        return replace(
            self,
            machine=replace(self.machine, network=ready.network),
            beside=(*self.beside, *ready.beside),
            notes=(*self.notes, *ready.notes),
            undo=ready.undo,
        )


def describe(asked: RunOptions, path: Path, folder: Path) -> Prepared:
    """Return the machine for the image at `path`.

    Whatever has to be made for it (disks, metadata, variables of the firmware) is made in `folder`,
    or in the state directory asked for.
    """
    image = detect(path, kind=asked.kind, squashfs=asked.squashfs)
    architecture = asked.target or image.architecture or host_platform().architecture
    _check_architecture(image, architecture)
    if asked.qemu is None:
        qemu.program_for(architecture)
    chosen = accelerator.choose(architecture, asked.accel)
    places = _places(asked, folder)
    boot = _boot(image)
    amount = memory_of(asked)
    if isinstance(boot, KernelBoot) and boot.initrd is not None:
        memory.check(boot.initrd, amount)
    ssh = reaching.prepare(folder) if asked.ssh else None
    network_asked = network(asked)
    if ssh is not None:
        network_asked = replace(network_asked, ports=(*network_asked.ports, ssh.port))
    machine = Machine(
        architecture,
        boot,
        cpus=asked.cpus,
        memory=amount,
        accelerator=chosen.kind,
        disks=_disks(asked, image, places, architecture),
        cds=_cds(asked, image, places.lasting, ssh),
        network=network_asked,
        firmware=_firmware(asked, image, architecture),
        gui=asked.gui,
        usb=asked.usb,
        shares=shared(asked),
        tpm=_tpm_state(places) if asked.trust.tpm else None,
        devices=asked.devices,
        uuid=str(uuid.uuid5(_NAMESPACE, str(places.state or folder))),
        name=folder.name,
    )
    _variables(asked, machine.firmware, places)
    for port in machine.network.ports:
        check_free(port)
    beside = [*shares.companions(machine.shares, asked.virtiofsd)]
    if machine.tpm is not None:
        beside.append(tpm.companion(machine.tpm))
    return Prepared(machine, chosen.slow_because, tuple(beside), ssh, tuple(_notes(machine)))


def _notes(machine: Machine) -> Iterator[str]:
    for share in machine.shares:
        yield f"{share.folder} is shared: mount -t virtiofs {share.tag} /mnt"


def _places(asked: RunOptions, folder: Path) -> Places:
    if asked.state is None:
        return Places(folder, None, asked.ephemeral)
    state = asked.state.expanduser().absolute()
    if not asked.ephemeral:
        with wrap_os_errors(state):
            state.mkdir(parents=True, exist_ok=True)
    return Places(folder, state, asked.ephemeral)


def _tpm_state(places: Places) -> Path:
    path = places.lasting / _TPM
    kept = places.kept(_TPM)
    if kept is not None and kept != path:
        with wrap_os_errors(kept, "read"):
            shutil.copytree(kept, path)
    return path


def _check_architecture(image: Image, architecture: str) -> None:
    if image.architecture and image.architecture != architecture:
        raise MachineError.of(
            codes.NOT_AN_IMAGE,
            f"the kernel of {image.path} is for {image.architecture}, not for {architecture}",
            f"--arch {image.architecture}, or build it for {architecture}",
        )


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


def _disks(asked: RunOptions, image: Image, places: Places, architecture: str) -> tuple[Disk, ...]:
    forget = asked.snapshot or asked.ephemeral
    found: list[Disk] = []
    if image.kind is Kind.DISK:
        found.append(Disk(image.path.absolute(), image.format, snapshot=forget))
    elif image.kind is Kind.EFI:
        found.append(_disk_of_program(image.path, places.folder, architecture))
    elif image.squashfs is not None:
        found.append(Disk(image.squashfs.absolute(), read_only=True))
    for number, text in enumerate(asked.disks):
        option = options.parse_disk(text)
        name = f"disk{number or ''}.img"
        if asked.ephemeral:
            there = option.path or places.kept(name)
            # What is not there yet is made where it is gone with the machine.
            option = replace(option, path=there if there is not None and there.exists() else None)
        found.append(disks.prepare(option, places.lasting / name, snapshot=forget))
    if sum(d.bus is Bus.SATA for d in found) > _MOST_SATA:
        raise MachineError.of(codes.BAD_DISK, f"at most {_MOST_SATA} disks fit on the bus sata")
    return tuple(found)


def _disk_of_program(path: Path, folder: Path, architecture: str) -> Disk:
    """Return a disk with nothing but the program, which QEMU makes of a directory as it is read."""
    place = folder / EFI_FOLDER / "EFI" / "BOOT"
    with wrap_os_errors(folder):
        place.mkdir(parents=True)
        (place / _REMOVABLE.get(architecture, "BOOT.EFI")).symlink_to(path.absolute())
    return Disk(Path(EFI_FOLDER), "vvfat", read_only=True)


def _cds(asked: RunOptions, image: Image, keep: Path, ssh: reaching.Ssh | None) -> tuple[Path, ...]:
    found = [image.path.absolute()] if image.kind is Kind.ISO else []
    content = asked.data.encode()
    if asked.data_file is not None:
        with wrap_os_errors(asked.data_file, "read"):
            content = asked.data_file.read_bytes()
    if ssh is not None:
        content = ssh.metadata(content)
    if content:
        path = keep / "metadata.iso"
        metadata.write_cd(path, {"config": content})
        found.append(path)
    return tuple(found)


def _firmware(asked: RunOptions, image: Image, architecture: str) -> Firmware | None:
    # Only the BIOS of amd64 comes with QEMU.
    by_firmware = image.kernel is None and (image.only_uefi or architecture != "amd64")
    secure = asked.trust.checks
    if secure and image.kernel is not None:
        raise UsageError.of(
            usage.BAD_OPTION,
            "--secure-boot: a kernel that the machine is given directly is not checked by its "
            "firmware",
            "boot something that the firmware loads: a signed disk, ISO or EFI program",
        )
    if not (asked.uefi or asked.fw or by_firmware or secure):
        return None
    return firmware.need(architecture, asked.fw, secure=secure)


def _variables(asked: RunOptions, chosen: Firmware | None, places: Places) -> None:
    """Put a copy of the firmware's variables where the machine can change them."""
    if chosen is None or chosen.variables is None:
        return
    path = places.lasting / VARIABLES
    kept = places.kept(VARIABLES)
    with wrap_os_errors(path):
        if kept is None:
            path.write_bytes(_template(asked, chosen, chosen.variables))
        elif kept != path:
            shutil.copyfile(kept, path)
        if path.parent != places.folder:
            (places.folder / VARIABLES).symlink_to(path)


def _template(asked: RunOptions, chosen: Firmware, variables: Path) -> bytes:
    with wrap_os_errors(variables, "read"):
        flash = variables.read_bytes()
    if asked.trust.keys is not None:
        return enrolling.enrolled(flash, enrolling.certificates(asked.trust.keys))
    if chosen.secure_boot and not enrolling.has_keys(flash):
        raise MachineError.of(
            codes.BAD_KEYS,
            f"there are no keys in {variables}: this firmware would refuse nothing",
            "name your own: --secure-boot-keys DIR",
        )
    return flash
