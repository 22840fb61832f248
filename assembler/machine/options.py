"""The options of a run: the VM's hardware, the wait conditions and the timeouts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.machine.records import default_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from assembler.machine.description import Port
    from assembler.machine.image_detection import ImageKind
    from assembler.machine.option_parsing import DiskOption

# Dolmen's init kills services after 10 s, and then unmounts: a machine needs longer than that.
STOP_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The options of a run."""

    # The machine's name; by default, one made from the image's name.
    name: str = ""
    # The directory of run records and of the machines' own files.
    state: Path = field(default_factory=default_state)

    # The kind of the image instead of detection, and squashfs instead of an initrd.
    kind: ImageKind | None = None
    squashfs: bool = False

    # By default, the architecture of the kernel, or this host's.
    architecture: str = ""
    cpus: int = 1
    # In MB, or as text: 2G.
    memory: int | str = 1024
    # Disks as text: [file=]PATH[,size=1G][,format=qcow2][,bus=scsi][,readonly=on].
    disks: tuple[str | DiskOption, ...] = ()
    # Discard writes to disks at the end.
    snapshot: bool = False
    # Discard all state at the end: disks, UEFI variables and the TPM.
    ephemeral: bool = False
    # The directory of disks without a path, UEFI variables and the TPM's state; by default they are
    # removed with the machine.
    machine_state: Path | None = None
    # Shared directories as text: [NAME=]DIR.
    shares: tuple[str, ...] = ()
    virtiofsd: Path | None = None
    # Metadata for the guest: a text, or a file with it.
    metadata: str = ""
    metadata_file: Path | None = None

    # user, none, tap[,DEVICE][,nat] or bridge,DEVICE[,nat].
    networking: str = "user"
    # Published ports as text: [ADDRESS:]HOST:GUEST[/udp].
    publish: tuple[str | Port, ...] = ()
    # Private segments, each with its own network card.
    segments: tuple[str, ...] = ()
    # Forward a port to the guest's ssh, and give the guest a new key as metadata.
    ssh: bool = False

    uefi: bool = False
    firmware: Path | None = None
    # Boot only programs signed with the firmware's keys: Microsoft's, or the certificates PK, KEK
    # and db of a directory.
    secure_boot: bool = False
    secure_boot_keys: Path | None = None
    tpm: bool = False

    # kvm, hvf or tcg, or several with colons; by default, the fastest that works.
    accelerator: str = ""
    # The path of QEMU; by default, the program for the architecture.
    qemu: Path | None = None
    gui: bool = False
    usb: bool = False
    # Further devices, as QEMU's -device takes them.
    devices: tuple[str, ...] = ()

    # Leave the machine running.
    detached: bool = False
    # Wait for a line of the console that matches a regular expression, or with `log:SERVICE:` in
    # front of it for a line of a service, and for published ports of this host.
    wait_for: str = ""
    wait_ports: tuple[int, ...] = ()
    # Seconds to wait for them; None waits forever.
    timeout: float | None = 300.0
    # End the machine as soon as it is ready.
    once: bool = False
    # Seconds that the guest has to shut down.
    stop_timeout: float = STOP_TIMEOUT

    @property
    def checks_signatures(self) -> bool:
        """Tell whether the firmware refuses unsigned programs."""
        return self.secure_boot or self.secure_boot_keys is not None


@dataclass(frozen=True, slots=True)
class ImageToBuild:
    """YAML files that are built into an image in the machine's directory, and removed with it."""

    files: tuple[str, ...]
    # Builds the image in a directory, and returns its path or prefix.
    build: Callable[[Path], Path]


ImageArgument = str | Path | ImageToBuild


def image_label(image: ImageArgument) -> str:
    """Return the path that messages and records show for an image."""
    return image.files[-1] if isinstance(image, ImageToBuild) else str(image)
