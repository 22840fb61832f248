"""Kernel, initrd and command line for monitors of small machines, and what starts these."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from assembler.codes import output as codes
from assembler.content import content_size, write_content
from assembler.errors import OutputError
from assembler.formats.kernel_initrd import write_kernel_and_initrd
from assembler.formats.outputs import output_file
from assembler.formats.plain_kernel import has_pvh_entry, plain_kernel
from assembler.formats.protocol import Format, FormatOptions, Needs, Target
from assembler.formats.written_output import Output
from assembler.suffixes import SUFFIXES

if TYPE_CHECKING:
    from typing import Any

    from assembler.content import Content
    from assembler.encode import Assembly

_MB = 1 << 20
# A packed initrd and twice its content fit into this many times its size, and the kernel besides.
_RATIO, _KERNEL_MEMORY = 8, 64 * _MB
_LEAST_MEMORY, _MEMORY_UNIT = 512 * _MB, 128 * _MB


def _write(assembly: Assembly, target: Target, options: FormatOptions) -> list[Output]:
    written = write_kernel_and_initrd(assembly, target, FORMAT.name)
    kernel = plain_kernel(assembly, options)
    path = target.path(SUFFIXES[FORMAT.name]["vmlinux"])
    with output_file(path) as file:
        write_content(file, kernel)
    written.append(Output(FORMAT.name, "vmlinux", content_size(kernel), path))
    (initrd,) = (output for output in written if output.role == "initrd")
    memory = max(_LEAST_MEMORY, initrd.size * _RATIO + _KERNEL_MEMORY)
    memory = -(-memory // _MEMORY_UNIT) * _MEMORY_UNIT
    for role, document in (
        ("firecracker", _firecracker(assembly, target, memory)),
        ("cloud-hypervisor", _cloud_hypervisor(assembly, target, memory)),
    ):
        data = (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
        path = target.path(SUFFIXES[FORMAT.name][role])
        with output_file(path) as file:
            file.write(data)
        written.append(Output(FORMAT.name, role, len(data), path))
    return written


def _firecracker(assembly: Assembly, target: Target, memory: int) -> dict[str, Any]:
    """Return what `firecracker --config-file` reads; the files are beside it."""
    suffixes = SUFFIXES[FORMAT.name]
    words = assembly.cmdline.split()
    # Without it a reset goes on instead of ending the machine.
    resets = assembly.plan.architecture == "amd64"
    if resets and not any(word.startswith("reboot=") for word in words):
        words.append("reboot=k")
    return {
        "boot-source": {
            "kernel_image_path": target.name + suffixes["vmlinux"],
            "initrd_path": target.name + suffixes["initrd"],
            "boot_args": " ".join(words),
        },
        "drives": [],
        "machine-config": {"vcpu_count": 1, "mem_size_mib": memory // _MB},
    }


def _cloud_hypervisor(assembly: Assembly, target: Target, memory: int) -> dict[str, Any]:
    """Return what `ch-remote create` reads: a VmConfig."""
    suffixes = SUFFIXES[FORMAT.name]
    return {
        "cpus": {"boot_vcpus": 1, "max_vcpus": 1},
        "memory": {"size": memory},
        "payload": {
            "kernel": target.name + suffixes["vmlinux"],
            "initramfs": target.name + suffixes["initrd"],
            "cmdline": assembly.cmdline,
        },
        "serial": {"mode": "Tty"},
        "console": {"mode": "Off"},
    }


def _check(assembly: Assembly, options: FormatOptions) -> Content:
    kernel = plain_kernel(assembly, options)
    if assembly.plan.architecture == "amd64" and not has_pvh_entry(kernel):
        boot = assembly.plan.boot
        raise OutputError.of(
            codes.BAD_KERNEL,
            "monitors of small machines cannot start the kernel: it has no entry point for PVH",
            "take a kernel with CONFIG_PVH",
            place=boot.kernel.place if boot else None,
        )
    return kernel


FORMAT = Format(
    name="microvm",
    write=_write,
    needs=Needs(initrd=True, boot=True),
    architectures=frozenset({"amd64", "arm64"}),
    needs_kernel=True,
    check=_check,
)
