"""The description of a virtual machine: frozen data that every backend understands."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class KernelBoot:
    """Boot a kernel directly, with or without an initrd."""

    kernel: Path
    initrd: Path | None = None
    cmdline: str = ""


@dataclass(frozen=True, slots=True)
class FirmwareBoot:
    """Boot by the firmware, from a boot loader on a disk or CD."""

    from_cd: bool = False


BootMethod = KernelBoot | FirmwareBoot


class Bus(StrEnum):
    """The bus that a disk is connected to."""

    SCSI = "scsi"
    VIRTIO = "virtio"
    SATA = "sata"
    NVME = "nvme"


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk of the machine, backed by a file."""

    path: Path
    format: str = "raw"
    bus: Bus = Bus.SCSI
    read_only: bool = False
    # Discard writes at the end.
    snapshot: bool = False


@dataclass(frozen=True, slots=True)
class Port:
    """A port of this host that is forwarded to a port of the guest."""

    host: int
    guest: int
    protocol: str = "tcp"
    address: str = "127.0.0.1"

    @property
    def reachable_address(self) -> str:
        """Return an address of this host at which the port is reachable."""
        return "127.0.0.1" if self.address == "0.0.0.0" else self.address  # noqa: S104

    def __str__(self) -> str:
        """Return the port as `--publish` takes it."""
        front = "" if self.address == "127.0.0.1" else f"{self.address}:"
        return f"{front}{self.host}:{self.guest}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Network:
    """The network of a machine: user-mode, a device of this host or none, and private segments."""

    # user, none, tap or bridge; tap and bridge use a device of this host.
    mode: str = "user"
    device: str = ""
    # The file descriptor of a tap device that ends with the machine.
    handle: int | None = None
    # Masquerade the guest's addresses with those of this host.
    nat: bool = False
    ports: tuple[Port, ...] = ()
    # The names of private segments, each with its own network card.
    segments: tuple[str, ...] = ()

    @property
    def handles(self) -> tuple[int, ...]:
        """Return the file descriptors that QEMU inherits."""
        return () if self.handle is None else (self.handle,)


@dataclass(frozen=True, slots=True)
class Firmware:
    """UEFI firmware: the code and, if it is separate, the template of the variables."""

    code: Path
    variables: Path | None = None
    code_format: str = "raw"
    variables_format: str = "raw"
    # Whether it refuses unsigned programs, and protects its variables from the guest.
    secure_boot: bool = False


@dataclass(frozen=True, slots=True)
class Share:
    """A directory of this host that the guest mounts by its tag."""

    tag: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Machine:
    """The complete description of a virtual machine."""

    architecture: str
    boot: BootMethod
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
    # The directory with the state of the TPM, or None without a TPM.
    tpm: Path | None = None
    # Further devices, as the backend writes them.
    devices: tuple[str, ...] = ()
    uuid: str = ""
    name: str = "dolmen"
