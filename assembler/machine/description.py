"""What a virtual machine is made of, as frozen data that every backend understands."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


@dataclass(frozen=True, slots=True)
class KernelBoot:
    """A kernel that is started directly, perhaps with an initrd."""

    kernel: Path
    initrd: Path | None = None
    cmdline: str = ""


@dataclass(frozen=True, slots=True)
class FirmwareBoot:
    """A boot loader on a disk or CD that the firmware finds."""

    from_cd: bool = False


Boot = KernelBoot | FirmwareBoot


class Bus(StrEnum):
    """What a disk is connected to."""

    SCSI = "scsi"
    VIRTIO = "virtio"
    SATA = "sata"
    NVME = "nvme"


@dataclass(frozen=True, slots=True)
class Disk:
    """A file that is a disk of the machine."""

    path: Path
    format: str = "raw"
    bus: Bus = Bus.SCSI
    read_only: bool = False
    # What is written is forgotten at the end.
    snapshot: bool = False


@dataclass(frozen=True, slots=True)
class Port:
    """A port of this machine that leads to one of the guest."""

    host: int
    guest: int
    protocol: str = "tcp"
    address: str = "127.0.0.1"

    def __str__(self) -> str:
        """Return it as `--publish` takes it."""
        front = "" if self.address == "127.0.0.1" else f"{self.address}:"
        return f"{front}{self.host}:{self.guest}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Network:
    """How it is connected: by QEMU's own network, a device or not at all, and to others."""

    # user, none, tap or bridge; the last two by a device of this machine.
    mode: str = "user"
    device: str = ""
    # The device's open file, for one that ends with the machine.
    handle: int | None = None
    # Let the guest reach out with this machine's addresses, on a device of this machine.
    nat: bool = False
    ports: tuple[Port, ...] = ()
    # The names of private segments, each with a card of its own.
    segments: tuple[str, ...] = ()

    @property
    def handles(self) -> tuple[int, ...]:
        """Return the open files that the machine's program is to have."""
        return () if self.handle is None else (self.handle,)


@dataclass(frozen=True, slots=True)
class Firmware:
    """UEFI: its code and, if it is kept apart, the template of its variables."""

    code: Path
    variables: Path | None = None
    code_format: str = "raw"
    variables_format: str = "raw"
    # It refuses what is not signed; only it may write to the variables.
    secure_boot: bool = False


@dataclass(frozen=True, slots=True)
class Share:
    """A directory of this machine, which the guest mounts by its tag."""

    tag: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Machine:
    """A virtual machine, complete."""

    architecture: str
    boot: Boot
    cpus: int = 1
    # In MB.
    memory: int = 1024
    accelerator: str = "tcg"
    disks: tuple[Disk, ...] = ()
    cds: tuple[Path, ...] = ()
    network: Network = field(default_factory=Network)
    firmware: Firmware | None = None
    gui: bool = False
    usb: bool = False
    shares: tuple[Share, ...] = ()
    # The directory with the state of its TPM, if it has one.
    tpm: Path | None = None
    # Further devices, as the backend writes them.
    devices: tuple[str, ...] = ()
    uuid: str = ""
    name: str = "dolmen"
