"""What monitors of small machines accept, recorded from the documents of their interfaces.

Firecracker 1.17: FullVmConfiguration in src/firecracker/swagger/firecracker.yaml. Cloud Hypervisor:
VmConfig in vmm/src/api/openapi/cloud-hypervisor.yaml. Only objects that Dolmen writes are here, but
those with all their properties, and no others are allowed.
"""

from __future__ import annotations

from typing import Any

_TEXT, _NUMBER, _YES_OR_NO = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
_POSITIVE = {"type": "integer", "minimum": 1}


def _object(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "properties": {name.replace("__", "-"): what for name, what in properties.items()},
        "additionalProperties": False,
    }


_LIST = {"type": "array"}
_ANY: dict[str, Any] = {"type": "object"}

FIRECRACKER = _object(
    balloon=_ANY,
    drives={"type": "array", "items": _ANY},
    boot__source=_object(
        ("kernel_image_path",), boot_args=_TEXT, initrd_path=_TEXT, kernel_image_path=_TEXT
    ),
    cpu__config=_ANY,
    logger=_ANY,
    machine__config=_object(
        ("mem_size_mib", "vcpu_count"),
        cpu_template=_TEXT,
        smt=_YES_OR_NO,
        mem_size_mib=_POSITIVE,
        track_dirty_pages=_YES_OR_NO,
        vcpu_count={"type": "integer", "minimum": 1, "maximum": 32},
        huge_pages={"enum": ["None", "Transparent", "2M"]},
    ),
    metrics=_ANY,
    memory__hotplug=_ANY,
    mmds__config=_ANY,
    network__interfaces=_LIST,
    pmem=_LIST,
    vsock=_ANY,
    entropy=_ANY,
)

_MODE = {"enum": ["Off", "Pty", "Tty", "File", "Socket", "Null"]}

CLOUD_HYPERVISOR = _object(
    ("payload",),
    cpus=_object(
        ("boot_vcpus", "max_vcpus"),
        boot_vcpus=_POSITIVE,
        max_vcpus=_POSITIVE,
        topology=_ANY,
        kvm_hyperv=_YES_OR_NO,
        max_phys_bits=_NUMBER,
        nested=_YES_OR_NO,
        affinity=_LIST,
        features=_ANY,
        core_scheduling={"enum": ["Vm", "Vcpu", "Off"]},
    ),
    memory=_object(
        ("size",),
        size=_POSITIVE,
        hotplug_size=_NUMBER,
        hotplugged_size=_NUMBER,
        mergeable=_YES_OR_NO,
        hotplug_method=_TEXT,
        shared=_YES_OR_NO,
        hugepages=_YES_OR_NO,
        hugepage_size=_NUMBER,
        prefault=_YES_OR_NO,
        reserve=_YES_OR_NO,
        thp=_YES_OR_NO,
        zones=_LIST,
    ),
    payload=_object(
        firmware=_TEXT,
        kernel=_TEXT,
        cmdline=_TEXT,
        initramfs=_TEXT,
        igvm=_TEXT,
        host_data=_TEXT,
    ),
    rate_limit_groups=_LIST,
    disks=_LIST,
    net=_LIST,
    rng=_ANY,
    balloon=_ANY,
    fs=_LIST,
    generic_vhost_user=_LIST,
    pmem=_LIST,
    serial=_object(("mode",), file=_TEXT, socket=_TEXT, mode=_MODE),
    console=_object(
        ("mode",),
        file=_TEXT,
        socket=_TEXT,
        mode=_MODE,
        iommu=_YES_OR_NO,
        id=_TEXT,
        pci_segment=_NUMBER,
        pci_device_id=_NUMBER,
    ),
    debug_console=_ANY,
    devices=_LIST,
    user_devices=_LIST,
    vdpa=_LIST,
    vsock=_ANY,
    numa=_LIST,
    iommu=_YES_OR_NO,
    watchdog=_YES_OR_NO,
    rtc=_ANY,
    pvpanic=_YES_OR_NO,
    pci_segments=_LIST,
    platform=_ANY,
    tpm=_ANY,
    landlock_enable=_YES_OR_NO,
    landlock_rules=_LIST,
)
