"""The suffixes of output files after NAME, by format and role."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# A kernel and the files beside it, which `dolmen run` and `dolmen serve` find by their suffixes.
KERNEL, INITRD, CMDLINE = "-kernel", "-initrd.img", "-cmdline"
SQUASHFS, SQUASHFS_INITRD = "-squashfs.img", "-squashfs-initrd.img"
EROFS, EROFS_INITRD = "-erofs.img", "-erofs-initrd.img"

SUFFIXES: Mapping[str, Mapping[str, str]] = {
    "tar": {"tar": ".tar"},
    "docker": {"docker": ".docker"},
    "kernel+initrd": {"kernel": KERNEL, "initrd": INITRD, "cmdline": CMDLINE},
    "tar-kernel-initrd": {"tar": "-initrd.tar"},
    "kernel+squashfs": {
        "root": SQUASHFS,
        "kernel": KERNEL,
        "initrd": SQUASHFS_INITRD,
        "cmdline": CMDLINE,
    },
    "kernel+erofs": {
        "root": EROFS,
        "kernel": KERNEL,
        "initrd": EROFS_INITRD,
        "cmdline": CMDLINE,
    },
    "kernel+iso": {
        "root": ".iso",
        "kernel": KERNEL,
        "initrd": "-iso-initrd.img",
        "cmdline": CMDLINE,
    },
    "uki": {"program": ".efi"},
    "raw-efi": {"disk": "-efi.img"},
    # The other files of the update set have the version in their names.
    "verified": {"disk": "-verified.img", "index": "-update/index.json"},
    "raw-bios": {"disk": "-bios.img"},
    "raw": {"disk": ".img"},
    "iso": {"iso": "-hybrid.iso"},
    "iso-bios": {"iso": ".iso"},
    "iso-efi": {"iso": "-efi.iso"},
    "iso-efi-initrd": {"iso": "-efi-initrd.iso"},
    "qcow2-bios": {"disk": ".qcow2"},
    "qcow2-efi": {"disk": "-efi.qcow2"},
    "vhd": {"disk": ".vhd"},
    "dynamic-vhd": {"disk": ".vhd"},
    "vmdk": {"disk": ".vmdk"},
    "gcp": {"disk": ".img.tar.gz"},
    "aws": {"disk": ".raw"},
    "azure": {"disk": "-azure.vhd"},
    "rpi3": {"tar": ".tar"},
    "eif": {"image": ".eif", "measurements": "-eif.json"},
    "microvm": {
        "kernel": KERNEL,
        "vmlinux": "-vmlinux",
        "initrd": INITRD,
        "cmdline": CMDLINE,
        "firecracker": "-firecracker.json",
        "cloud-hypervisor": "-cloud-hypervisor.json",
    },
    # An image in the store is not a file.
    "oci": {},
}
