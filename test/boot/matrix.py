"""Every format that boots by itself, on every architecture and firmware that it is for.

A row is a boot: a test is made of each. To have a new format tested, add its rows.
"""

from __future__ import annotations

from dataclasses import dataclass

# How a machine starts: `uefi` finds the program on a disk by itself, `secure` accepts only what is
# signed with our key, `bios` reads boot sectors, `kernel` is the emulator loading a kernel.
FIRMWARES = ("uefi", "secure", "bios", "kernel")
# How the file is given to the machine: as a hard disk, a CD, a USB stick, a file on a volume that
# the emulator makes, as kernel and disk; as a plain kernel with an initrd, the same to a machine
# without firmware and PCI, and to such a machine what is in an enclave image.
MEDIA = ("disk", "cd", "usb", "file", "root", *("vmlinux", "microvm", "enclave"))


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
    # What the kernel's command line has besides.
    cmdline: str = ""
    # Whether there is noise in it that makes it larger than 32 MiB, however it is compressed.
    large: bool = False
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
        parts += ["sized"] if "--size" in self.options else []
        parts += ["large"] if self.large else []
        # The root filesystem lies on the volume that is booted from.
        parts += ["rooted"] if self.cmdline and self.medium != "root" else []
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
    Row("raw-bios", "amd64", "bios", suffix="-bios.img"),
    Row("raw-bios", "amd64", "bios", "usb", suffix="-bios.img"),
    Row("raw-bios", "amd64", "bios", suffix="-bios.img", options=("--size", "600M")),
    Row("raw", "amd64", "bios", suffix=".img"),
    Row("raw", "amd64", "uefi", suffix=".img"),
    Row("raw", "amd64", "secure", suffix=".img", options=SIGNED),
    Row("iso-bios", "amd64", "bios", "cd", ".iso"),
    Row("iso-bios", "amd64", "bios", "disk", ".iso"),
    Row("iso-bios", "amd64", "bios", "usb", ".iso"),
    *(
        Row(f"iso-efi{more}", architecture, "uefi", medium, f"-efi{more}.iso")
        for more in ("", "-initrd")
        for architecture in ("amd64", "arm64")
        for medium in ("cd", "disk")
    ),
    Row("iso-efi", "amd64", "secure", "cd", "-efi.iso", options=SIGNED),
    Row("iso", "amd64", "bios", "cd", "-hybrid.iso", quick=True),
    Row("iso", "amd64", "bios", "usb", "-hybrid.iso"),
    Row("iso", "amd64", "uefi", "cd", "-hybrid.iso"),
    *(
        Row(name, architecture, firmware, medium, suffix, cmdline="root=LABEL=DOLMEN")
        for name, architecture, firmware, medium, suffix in (
            ("iso-bios", "amd64", "bios", "cd", ".iso"),
            ("iso-bios", "amd64", "bios", "disk", ".iso"),
            ("iso-efi", "arm64", "uefi", "cd", "-efi.iso"),
            ("iso", "amd64", "uefi", "disk", "-hybrid.iso"),
        )
    ),
    # A volume on a CD whose size El Torito cannot say.
    Row("iso", "amd64", "uefi", "cd", "-hybrid.iso", large=True),
    Row("iso-efi", "arm64", "uefi", "cd", "-efi.iso", large=True),
    Row("iso", "amd64", "uefi", "usb", "-hybrid.iso", quick=True),
    Row("iso", "amd64", "secure", "usb", "-hybrid.iso", options=SIGNED),
    Row("qcow2-bios", "amd64", "bios", suffix=".qcow2", form="qcow2"),
    Row("qcow2-efi", "amd64", "uefi", suffix="-efi.qcow2", form="qcow2"),
    Row("qcow2-efi", "arm64", "uefi", suffix="-efi.qcow2", form="qcow2"),
    Row("vhd", "amd64", "bios", suffix=".vhd", form="vpc"),
    Row("vhd", "arm64", "uefi", suffix=".vhd", form="vpc"),
    Row("dynamic-vhd", "amd64", "bios", suffix=".vhd", form="vpc"),
    Row("dynamic-vhd", "arm64", "uefi", suffix=".vhd", form="vpc"),
    Row("vmdk", "amd64", "bios", suffix=".vmdk", form="vmdk"),
    Row("vmdk", "arm64", "uefi", suffix=".vmdk", form="vmdk"),
    Row("gcp", "amd64", "bios", suffix=".img.tar.gz"),
    Row("gcp", "arm64", "uefi", suffix=".img.tar.gz"),
    Row("aws", "amd64", "bios", suffix=".raw"),
    Row("aws", "arm64", "uefi", suffix=".raw"),
    Row("azure", "amd64", "bios", suffix="-azure.vhd", form="vpc"),
    Row("azure", "amd64", "uefi", suffix="-azure.vhd", form="vpc"),
    Row("azure", "arm64", "uefi", suffix="-azure.vhd", form="vpc"),
    Row("microvm", "amd64", "kernel", "microvm", "-vmlinux", quick=True),
    Row("microvm", "amd64", "kernel", "vmlinux", "-vmlinux"),
    Row("microvm", "arm64", "kernel", "vmlinux", "-vmlinux"),
    Row("eif", "amd64", "kernel", "enclave", ".eif"),
    Row("eif", "arm64", "kernel", "enclave", ".eif"),
    Row("kernel+iso", "amd64", "kernel", "root", ".iso", cmdline="root=LABEL=DOLMEN"),
    Row("kernel+iso", "arm64", "kernel", "root", ".iso", cmdline="root=/dev/vda"),
    *(
        Row(
            f"kernel+{filesystem}",
            architecture,
            "kernel",
            "root",
            f"-{filesystem}.img",
            cmdline="root=/dev/vda",
            quick=architecture == "amd64" and filesystem == "squashfs",
        )
        for filesystem in ("squashfs", "erofs")
        for architecture in ("amd64", "arm64")
    ),
)
