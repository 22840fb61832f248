"""Create the disks of a VM, or use existing ones."""

from __future__ import annotations

import os
import struct
from typing import IO, TYPE_CHECKING

from assembler import magics
from assembler.codes import host
from assembler.codes import machine as codes
from assembler.data_files import open_data_file
from assembler.errors import HostError, MachineError, wrap_os_errors
from assembler.files import atomic_write
from assembler.machine.description import Disk
from assembler.scratch_directories import scratch_directory
from assembler.tools import require_program, run_program

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.machine.option_parsing import DiskOption

_CLUSTER_BITS = 16
_CLUSTER_SIZE = 1 << _CLUSTER_BITS
# The bytes that one L2 table maps: a cluster of 8-byte entries.
_L2_COVERAGE = _CLUSTER_SIZE * (_CLUSTER_SIZE // 8)


def prepare_disk(option: DiskOption, default_path: Path, *, snapshot: bool = False) -> Disk:
    """Return the disk of an option; create it if it does not exist.

    `default_path` is used if the option has no path. A new disk is qcow2 by default, as in
    LinuxKit: it uses only the space that the guest has written.
    """
    path = option.path or default_path
    if path.exists():
        detected = content_format(path)
        if option.format and detected not in ("raw", option.format):
            raise MachineError.of(
                codes.BAD_DISK,
                f"{path} is {detected}, not {option.format}",
                "omit format=: it is detected from the content",
            )
        return Disk(path, option.format or detected, option.bus, option.read_only, snapshot)
    if not option.size:
        raise MachineError.of(
            codes.BAD_DISK, f"disk {path} not found", "give a size to create it: size=4G"
        )
    kind = option.format or "qcow2"
    create_disk(path, kind, option.size)
    return Disk(path, kind, option.bus, option.read_only, snapshot)


def content_format(path: Path) -> str:
    """Return the format of an existing disk."""
    with wrap_os_errors(path, "read"), open_data_file(path) as file:
        head = file.read(32)
        size = file.seek(0, 2)
        file.seek(max(0, size - 512))
        tail = file.read(8)
    for magic, name in ((magics.QCOW2, "qcow2"), (magics.VMDK, "vmdk"), (magics.VHDX, "vhdx")):
        if head.startswith(magic):
            return name
    return "vpc" if magics.VHD in (head[:8], tail) else "raw"


def create_disk(path: Path, kind: str, size: int) -> None:
    """Create an empty disk that uses no space yet."""
    with wrap_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    if kind in ("raw", "qcow2"):
        with atomic_write(path, durable=False) as file:
            if kind == "raw":
                file.truncate(size)
            else:
                _write_qcow2(file, size)
        return
    program = require_program("qemu-img")
    # Some formats contain the name of the file.
    with wrap_os_errors(path), scratch_directory(path.parent) as directory:
        disk = directory / path.name
        command = (program, "create", "-q", "-f", kind, disk, str(size))
        result = run_program(command, os.environ, writes=(path.parent,))
        if result.status:
            raise HostError.of(
                host.TOOL_FAILED, f"qemu-img cannot create {path}", result.errors.strip()
            )
        disk.replace(path)


def _write_qcow2(file: IO[bytes], size: int) -> None:
    """Write an empty qcow2, version 3: header, refcount table and block, L1 table."""
    entries = -(-size // _L2_COVERAGE)
    table_clusters = -(-entries * 8 // _CLUSTER_SIZE)
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII",
        magics.QCOW2,
        3,
        0,  # no backing file
        0,
        _CLUSTER_BITS,
        size,
        0,  # not encrypted
        entries,
        3 * _CLUSTER_SIZE,  # offset of the L1 table
        _CLUSTER_SIZE,  # offset of the refcount table
        1,
        0,  # no snapshots
        0,
        0,  # features: none
        0,
        0,
        4,  # refcounts have 16 bits
        104,
    )
    used = 3 + table_clusters
    file.write(header)
    file.seek(_CLUSTER_SIZE)
    file.write(struct.pack(">Q", 2 * _CLUSTER_SIZE))
    file.seek(2 * _CLUSTER_SIZE)
    file.write(b"\0\1" * used)
    file.truncate(used * _CLUSTER_SIZE)
