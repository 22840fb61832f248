"""The backends of LinuxKit's `run` and `push` that Dolmen lacks, and what to use instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import usage
from assembler.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Backend:
    """A backend of LinuxKit: its usual name, the format that it takes, and the vendor's tool."""

    title: str
    # Of `dolmen build --format`.
    format: str
    # What to do with the output, instead of `run` and of `push`.
    run: str
    push: str = ""


_EQUINIX = Backend(
    "Equinix Metal",
    "kernel+initrd",
    "boot it by iPXE: `dolmen serve` serves kernel and initrd over HTTP",
    "boot it by iPXE: `dolmen serve` serves kernel and initrd over HTTP",
)
_APPLE = Backend(
    "macOS's hypervisor",
    "kernel+initrd",
    "`dolmen run qemu` runs it, also on macOS; or start it with vfkit or UTM",
)
_VMWARE = Backend(
    "VMware", "vmdk", "make a virtual machine with this disk in VMware, and start it with vmrun"
)

BACKENDS = {
    "aws": Backend(
        "AWS",
        "aws",
        "start it with `aws ec2 run-instances`",
        "`aws s3 cp`, `aws ec2 import-snapshot` and `aws ec2 register-image` make an AMI of it",
    ),
    "azure": Backend(
        "Azure",
        "azure",
        "start it with `az vm create`",
        "`az storage blob upload --type page` and `az image create` make an image of it",
    ),
    "equinixmetal": _EQUINIX,
    "packet": _EQUINIX,
    "gcp": Backend(
        "Google Cloud",
        "gcp",
        "start it with `gcloud compute instances create`",
        "`gcloud storage cp` and `gcloud compute images create --source-uri` make an image of it",
    ),
    "hyperkit": _APPLE,
    "vz": _APPLE,
    "virtualization": _APPLE,
    "virtualization.framework": _APPLE,
    "hyperv": Backend(
        "Hyper-V", "iso-efi", "make a virtual machine with PowerShell's New-VM, and start it"
    ),
    "openstack": Backend(
        "OpenStack",
        "qcow2-bios",
        "start it with `openstack server create`",
        "`openstack image create --disk-format qcow2 --file` uploads it",
    ),
    "scaleway": Backend(
        "Scaleway",
        "iso-efi",
        "start it with `scw instance server create`",
        "write it to a volume of a server, then `scw instance snapshot create` "
        "and `scw instance image create`",
    ),
    "vbox": Backend(
        "VirtualBox",
        "vmdk",
        "`VBoxManage createvm` makes a virtual machine, `VBoxManage storageattach` adds the disk",
    ),
    "vcenter": Backend(
        "vCenter",
        "iso-bios",
        "`govc vm.create -iso` makes a virtual machine that boots it",
        "`govc datastore.upload` uploads it",
    ),
    "vmware": _VMWARE,
    "fusion": _VMWARE,
}


def run_error(name: str) -> UsageError:
    """Return the error for `dolmen run NAME` of a backend that Dolmen lacks."""
    backend = BACKENDS[name]
    return UsageError.of(
        usage.BACKEND_NOT_SUPPORTED,
        f"the backend {name} ({backend.title}) is not supported; Dolmen runs images in QEMU only",
        f"`dolmen build --format {backend.format} image.yml`, then {backend.run}",
        "`dolmen run qemu image.yml` tries the image on this machine",
    )


def push_error(words: Sequence[str]) -> UsageError:
    """Return the error for `dolmen push`, which only LinuxKit has."""
    backend = BACKENDS.get(words[0]) if words else None
    if backend is not None and backend.push:
        return UsageError.of(
            usage.BACKEND_NOT_SUPPORTED,
            f"pushing to {backend.title} is not supported",
            f"`dolmen build --format {backend.format} image.yml`, then: {backend.push}",
        )
    names = ", ".join(name for name, b in BACKENDS.items() if b.push)
    return UsageError.of(
        usage.BACKEND_NOT_SUPPORTED,
        "`push` is not supported: Dolmen uploads no images to clouds",
        "to a registry of OCI images: `dolmen cache push NAME`, `dolmen pkg push DIRECTORY`",
        f"`dolmen push NAME` says what to do instead for {names}",
    )
