"""Disks for machines: made empty if there is no file yet, used as they are if there is one."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from typing import IO

from assembler import magics
from assembler.codes import host
from assembler.codes import machine as codes
from assembler.errors import HostError, MachineError, wrap_os_errors
from assembler.files import atomic_write
from assembler.machine.description import Disk
from assembler.machine.option_parsing import DiskOption
from assembler.tools import require_program

_CLUSTER_BITS = 16
_CLUSTER = 1 << _CLUSTER_BITS
# What one table of the second level reaches: a cluster of 8-byte entries.
_REACH = _CLUSTER * (_CLUSTER // 8)


def prepare_disk(option: DiskOption, fallback: Path, *, snapshot: bool = False) -> Disk:
    """Return the disk asked for, made if it is not there; `fallback` is its place if it has none.

    A new disk is qcow2 if nothing else is said, as in LinuxKit: it takes only the room it fills.
    """
    path = option.path or fallback
    if path.exists():
        found = content_format(path)
        if option.format and found not in ("raw", option.format):
            raise MachineError.of(
                codes.BAD_DISK,
                f"{path} is {found}, and not {option.format}",
                "leave format= out: it is seen from the content",
            )
        return Disk(path, option.format or found, option.bus, option.read_only, snapshot)
    if not option.size:
        raise MachineError.of(
            codes.BAD_DISK, f"there is no disk {path}", "give a size to have it made: size=4G"
        )
    kind = option.format or "qcow2"
    create_disk(path, kind, option.size)
    return Disk(path, kind, option.bus, option.read_only, snapshot)


def content_format(path: Path) -> str:
    """Return the format of a disk that is there."""
    with wrap_os_errors(path, "read"), path.open("rb") as file:
        head = file.read(32)
        size = file.seek(0, 2)
        file.seek(max(0, size - 512))
        tail = file.read(8)
    for magic, name in ((magics.QCOW2, "qcow2"), (magics.VMDK, "vmdk"), (magics.VHDX, "vhdx")):
        if head.startswith(magic):
            return name
    return "vpc" if magics.VHD in (head[:8], tail) else "raw"


def create_disk(path: Path, kind: str, size: int) -> None:
    """Make an empty disk that takes no room yet."""
    with wrap_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    if kind in ("raw", "qcow2"):
        with atomic_write(path, durable=False) as file:
            if kind == "raw":
                file.truncate(size)
            else:
                _write_qcow2(file, size)
        return
    made = subprocess.run(
        [require_program("qemu-img"), "create", "-q", "-f", kind, path, str(size)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise HostError.of(host.TOOL_FAILED, f"qemu-img cannot make {path}", made.stderr.strip())


def _write_qcow2(file: IO[bytes], size: int) -> None:
    """Write the tables of an empty qcow2, version 3: header, counts of references, first level."""
    entries = -(-size // _REACH)
    table_clusters = -(-entries * 8 // _CLUSTER)
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
        3 * _CLUSTER,  # where the first level is
        _CLUSTER,  # where the table of counts is
        1,
        0,  # no snapshots
        0,
        0,  # features: none
        0,
        0,
        4,  # counts have 16 bits
        104,
    )
    used = 3 + table_clusters
    file.write(header)
    file.seek(_CLUSTER)
    file.write(struct.pack(">Q", 2 * _CLUSTER))
    file.seek(2 * _CLUSTER)
    file.write(b"\0\1" * used)
    file.truncate(used * _CLUSTER)
