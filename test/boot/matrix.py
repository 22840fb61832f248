"""Every format that boots by itself, on every architecture and firmware that it is for.

A row is a boot: a test is made of each. To have a new format tested, add its rows.
"""

from __future__ import annotations

from dataclasses import dataclass

# How a machine starts: `uefi` finds the program on a disk by itself, `secure` accepts only what is
# signed with our key, `bios` reads boot sectors, `kernel` is the emulator loading a kernel.
FIRMWARES = ("uefi", "secure", "bios", "kernel")
# How the file is given to the machine: as a hard disk, a CD, a USB stick, a file on a volume that
# the emulator makes, or as kernel and disk.
MEDIA = ("disk", "cd", "usb", "file", "root")


@dataclass(frozen=True)
class Row:
    """A boot: what is built, and the machine that it is given to."""

    format: str
    architecture: str
    firmware: str
    medium: str = "disk"
    # The file's suffix and, if it is not raw, what QEMU calls its form.
    suffix: str = ""
    form: str = "raw"
    options: tuple[str, ...] = ()
    # What the console says; what a service prints if nothing is said here.
    expected: str = ""
    # Booted by `make test` as well, not by `make test-boot` alone.
    quick: bool = False
    memory: int = 512

    @property
    def name(self) -> str:
        """Return what the test is called."""
        parts = [self.format, self.architecture, self.firmware]
        parts += [self.medium] if self.medium != "disk" else []
        parts += ["refused"] if self.expected else []
        return "-".join(parts)


SIGNED = ("--secure-boot-key", "KEYS/db.key", "--secure-boot-cert", "KEYS/db.crt")
_DENIED = "Access Denied|Security Violation"

ROWS = (
    Row("uki", "amd64", "uefi", "file", ".efi"),
    Row("uki", "arm64", "uefi", "file", ".efi"),
    Row("uki", "amd64", "secure", "file", ".efi", options=SIGNED),
    Row("raw-efi", "amd64", "uefi", suffix="-efi.img"),
    Row("raw-efi", "amd64", "uefi", "usb", suffix="-efi.img"),
    Row("raw-efi", "arm64", "uefi", suffix="-efi.img"),
    Row("raw-efi", "riscv64", "uefi", suffix="-efi.img"),
    Row("raw-efi", "amd64", "secure", suffix="-efi.img", options=SIGNED, quick=True),
    Row("raw-efi", "amd64", "secure", suffix="-efi.img", expected=_DENIED, quick=True),
    Row("raw-efi", "arm64", "secure", suffix="-efi.img", options=SIGNED),
    Row("raw-efi", "arm64", "secure", suffix="-efi.img", expected=_DENIED),
)
