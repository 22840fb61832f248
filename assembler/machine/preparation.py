"""Prepare a VM: turn the options of a run into the machine's description and its files."""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.codes import machine as codes
from assembler.codes import usage
from assembler.data_files import read_data_stream
from assembler.errors import MachineError, UsageError, wrap_os_errors
from assembler.machine.accelerator import choose_accelerator
from assembler.machine.backend import EFI_FOLDER, VARIABLES
from assembler.machine.description import (
    BootMethod,
    Bus,
    Disk,
    Firmware,
    FirmwareBoot,
    KernelBoot,
    Machine,
)
from assembler.machine.disks import prepare_disk
from assembler.machine.firmware import require_firmware
from assembler.machine.host_network import NO_CLEANUP, ConnectedNetwork, NetworkCleanup
from assembler.machine.host_ports import check_port_free
from assembler.machine.image_detection import BootImage, ImageKind, detect_image
from assembler.machine.initrd_memory import check_initrd_memory
from assembler.machine.metadata_cd import write_cd
from assembler.machine.option_checks import (
    memory_megabytes,
    requested_disks,
    requested_network,
    target_architecture,
)
from assembler.machine.qemu import program_for
from assembler.machine.secure_boot_keys import (
    enroll_keys,
    has_keys,
    lists_of_certificate,
    read_key_lists,
)
from assembler.machine.ssh import SshAccess, prepare_ssh
from assembler.machine.tpm import swtpm_process
from assembler.machine.verified_disks import (
    OwnCertificate,
    options_for_verified,
    own_certificate,
)
from assembler.machine.virtiofs import parse_shares, virtiofsd_processes
from assembler.oci import host_platform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.diagnostics import Diagnostic
    from assembler.machine.helper_processes import HelperProcess
    from assembler.machine.options import RunOptions

_MAX_SATA_DISKS = 6
_TPM = "tpm"
_NAMESPACE = uuid.UUID("6d9cf5a8-8a25-5d0f-a7f1-3f1b6c2b1d7e")
# The names in EFI/BOOT that firmware boots from a removable disk.
_REMOVABLE_PATHS = {"amd64": "BOOTX64.EFI", "arm64": "BOOTAA64.EFI", "riscv64": "BOOTRISCV64.EFI"}


@dataclass(frozen=True, slots=True)
class MachineFiles:
    """The directories of a machine's files: `state` for persistent ones, `folder` for others."""

    folder: Path
    state: Path | None
    ephemeral: bool

    @property
    def persistent(self) -> Path:
        """Return the directory of files that outlive the machine, if any do."""
        return self.state if self.state is not None and not self.ephemeral else self.folder

    def saved(self, name: str) -> Path | None:
        """Return a file of an earlier run, or None."""
        path = self.state / name if self.state is not None else None
        return path if path is not None and path.exists() else None


@dataclass(frozen=True, slots=True)
class PreparedMachine:
    """A machine, its helper processes, and notes for its user."""

    machine: Machine
    # The reason for slow emulation, or empty.
    slow_because: str
    helper_processes: tuple[HelperProcess, ...] = ()
    ssh: SshAccess | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[Diagnostic, ...] = ()
    cleanup: NetworkCleanup = NO_CLEANUP

    def with_network(self, connected: ConnectedNetwork) -> PreparedMachine:
        """Return the machine with a network that is ready."""
        return replace(
            self,
            machine=replace(self.machine, network=connected.network),
            helper_processes=(*self.helper_processes, *connected.helper_processes),
            notes=(*self.notes, *connected.notes),
            cleanup=connected.cleanup,
        )


def prepare_machine(path: Path, options: RunOptions, folder: Path) -> PreparedMachine:
    """Return the machine for the image at `path`.

    Its files (disks, metadata, variables of the firmware) are made in `folder`, or in the
    directory `machine_state` of the options.
    """
    image = detect_image(path, kind=options.kind, squashfs=options.squashfs)
    architecture = (
        target_architecture(options) or image.architecture or host_platform().architecture
    )
    _check_architecture(image, architecture)
    own: OwnCertificate | None = None
    if image.verified:
        options = options_for_verified(options, architecture)
        if options.secure_boot and options.secure_boot_keys is None:
            own = own_certificate(path)
    if options.qemu is None:
        program_for(architecture)
    accelerator = choose_accelerator(architecture, options.accelerator)
    files = _machine_files(options, folder)
    boot = _boot_method(image)
    memory = memory_megabytes(options)
    doubt = None
    if isinstance(boot, KernelBoot) and boot.initrd is not None:
        doubt = check_initrd_memory(boot.initrd, memory, boot.kernel, boot.cmdline)
    ssh = prepare_ssh(folder) if options.ssh else None
    network = requested_network(options)
    if ssh is not None:
        network = replace(network, ports=(*network.ports, ssh.port))
    machine = Machine(
        architecture,
        boot,
        cpus=options.cpus,
        memory=memory,
        accelerator=accelerator.kind,
        disks=_disks(options, image, files, architecture),
        cds=_cds(options, image, files.persistent, ssh),
        network=network,
        firmware=_firmware(options, image, architecture),
        gui=options.gui,
        usb=options.usb,
        shares=parse_shares(options.shares),
        tpm=_tpm_state(files) if options.tpm else None,
        devices=options.devices,
        uuid=str(uuid.uuid5(_NAMESPACE, str(files.state or folder))),
        name=folder.name,
    )
    _prepare_variables(options, machine.firmware, files, own)
    for port in machine.network.ports:
        check_port_free(port)
    helper_processes = [*virtiofsd_processes(machine.shares, options.virtiofsd)]
    if machine.tpm is not None:
        helper_processes.append(swtpm_process(machine.tpm))
    return PreparedMachine(
        machine,
        accelerator.slow_because,
        tuple(helper_processes),
        ssh,
        tuple(_notes(machine, own)),
        () if doubt is None else (doubt,),
    )


def _notes(machine: Machine, own: OwnCertificate | None) -> Iterator[str]:
    if own is not None:
        yield (
            f"Secure Boot trusts the disk's own certificate, {own.subject}; --keys DIR trusts "
            "those of a directory"
        )
    for share in machine.shares:
        yield f"{share.folder} is shared: mount -t virtiofs {share.tag} /mnt"


def _machine_files(options: RunOptions, folder: Path) -> MachineFiles:
    if options.machine_state is None:
        return MachineFiles(folder, None, options.ephemeral)
    state = options.machine_state.expanduser().absolute()
    if not options.ephemeral:
        with wrap_os_errors(state):
            state.mkdir(parents=True, exist_ok=True)
    return MachineFiles(folder, state, options.ephemeral)


def _tpm_state(files: MachineFiles) -> Path:
    path = files.persistent / _TPM
    saved = files.saved(_TPM)
    if saved is not None and saved != path:
        with wrap_os_errors(saved, "read"):
            shutil.copytree(saved, path)
    return path


def _check_architecture(image: BootImage, architecture: str) -> None:
    if image.architecture and image.architecture != architecture:
        raise MachineError.of(
            codes.NOT_AN_IMAGE,
            f"the kernel of {image.path} is for {image.architecture}, not for {architecture}",
            f"use --arch {image.architecture}, or build the image for {architecture}",
        )


def _boot_method(image: BootImage) -> BootMethod:
    if image.kernel is None:
        return FirmwareBoot(from_cd=image.kind is ImageKind.ISO)
    kernel = image.kernel
    paths = replace(
        kernel,
        kernel=kernel.kernel.absolute(),
        initrd=kernel.initrd.absolute() if kernel.initrd else None,
    )
    if image.root is None or "root=" in kernel.cmdline:
        return paths
    return replace(paths, cmdline=f"{kernel.cmdline} root=/dev/sda ro".strip())


def _disks(
    options: RunOptions, image: BootImage, files: MachineFiles, architecture: str
) -> tuple[Disk, ...]:
    discard = options.snapshot or options.ephemeral
    disks: list[Disk] = []
    if image.kind is ImageKind.DISK:
        disks.append(Disk(image.path.absolute(), image.format, snapshot=discard))
    elif image.kind is ImageKind.EFI:
        disks.append(_efi_program_disk(image.path, files.folder, architecture))
    elif image.root is not None:
        disks.append(Disk(image.root.absolute(), read_only=True))
    for number, requested in enumerate(requested_disks(options)):
        option = requested
        name = f"disk{number or ''}.img"
        if options.ephemeral:
            path = option.path or files.saved(name)
            # A new disk is made in the machine's directory, and removed with it.
            option = replace(option, path=path if path is not None and path.exists() else None)
        disks.append(prepare_disk(option, files.persistent / name, snapshot=discard))
    if sum(d.bus is Bus.SATA for d in disks) > _MAX_SATA_DISKS:
        raise MachineError.of(
            codes.BAD_DISK, f"at most {_MAX_SATA_DISKS} disks fit on the bus sata"
        )
    return tuple(disks)


def _efi_program_disk(path: Path, folder: Path, architecture: str) -> Disk:
    """Return a disk with only the EFI program: a directory that QEMU presents as a FAT volume."""
    directory = folder / EFI_FOLDER / "EFI" / "BOOT"
    with wrap_os_errors(folder):
        directory.mkdir(parents=True)
        (directory / _REMOVABLE_PATHS.get(architecture, "BOOT.EFI")).symlink_to(path.absolute())
    return Disk(Path(EFI_FOLDER), "vvfat", read_only=True)


def _cds(
    options: RunOptions, image: BootImage, folder: Path, ssh: SshAccess | None
) -> tuple[Path, ...]:
    cds = [image.path.absolute()] if image.kind is ImageKind.ISO else []
    content = options.metadata.encode()
    if options.metadata_file is not None:
        with wrap_os_errors(options.metadata_file, "read"):
            content = read_data_stream(options.metadata_file)
    if ssh is not None:
        content = ssh.metadata(content)
    if content:
        path = folder / "metadata.iso"
        write_cd(path, {"config": content})
        cds.append(path)
    return tuple(cds)


def _firmware(options: RunOptions, image: BootImage, architecture: str) -> Firmware | None:
    # Only the BIOS of amd64 comes with QEMU.
    needs_uefi = image.kernel is None and (image.only_uefi or architecture != "amd64")
    secure = options.checks_signatures
    if secure and image.kernel is not None:
        raise UsageError.of(
            usage.BAD_OPTION,
            "--secure-boot: the firmware does not check a kernel that QEMU loads directly",
            "boot an image that the firmware loads: a signed disk, ISO or EFI program",
        )
    if not (options.uefi or options.firmware or needs_uefi or secure):
        return None
    return require_firmware(architecture, options.firmware, secure=secure)


def _prepare_variables(
    options: RunOptions,
    firmware: Firmware | None,
    files: MachineFiles,
    own: OwnCertificate | None,
) -> None:
    """Copy the firmware's variables to a file that the machine may write."""
    if firmware is None or firmware.variables is None:
        return
    path = files.persistent / VARIABLES
    saved = files.saved(VARIABLES)
    with wrap_os_errors(path):
        if saved is None:
            path.write_bytes(_new_variables(options, firmware, firmware.variables, own))
        elif saved != path:
            shutil.copyfile(saved, path)
        if path.parent != files.folder:
            (files.folder / VARIABLES).symlink_to(path)


def _new_variables(
    options: RunOptions, firmware: Firmware, template: Path, own: OwnCertificate | None
) -> bytes:
    with wrap_os_errors(template, "read"):
        flash = template.read_bytes()
    if options.secure_boot_keys is not None:
        return enroll_keys(flash, read_key_lists(options.secure_boot_keys))
    if own is not None:
        return enroll_keys(flash, lists_of_certificate(own.encoded))
    if firmware.secure_boot and not has_keys(flash):
        raise MachineError.of(
            codes.BAD_KEYS,
            f"{template} has no keys: this firmware would boot unsigned programs",
            "use your own keys: --secure-boot-keys DIR",
        )
    return flash
