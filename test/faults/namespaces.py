"""Namespaces: a network of its own for each worker, and small filesystems for full disks."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_SIOCSIFADDR, _SIOCSIFNETMASK = 0x8916, 0x891C
# An address that is not of the loopback network, though only this worker can reach it.
ELSEWHERE = "192.0.2.7"


class NoNamespacesError(Exception):
    """This machine does not allow the namespaces that rounds need."""


def enter_own_network() -> None:
    """Move this process, with one thread, to a network of its own that has only loopback."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    flags = _CLONE_NEWNET | (_CLONE_NEWUSER if user else 0)
    if libc.unshare(flags):
        number = ctypes.get_errno()
        raise NoNamespacesError(f"no network namespace can be made: {os.strerror(number)}")
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        _bring_up(control, b"lo")
        _add_address(control, b"lo:1", ELSEWHERE)


def _bring_up(control: socket.socket, name: bytes) -> None:
    answer = fcntl.ioctl(control, _SIOCGIFFLAGS, struct.pack("16sh14x", name, 0))
    flags = struct.unpack("16sh14x", answer)[1]
    fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", name, flags | _IFF_UP))


def _add_address(control: socket.socket, name: bytes, address: str) -> None:
    for request, value in ((_SIOCSIFADDR, address), (_SIOCSIFNETMASK, "255.255.255.255")):
        packed = struct.pack("16sHH4s8x", name, socket.AF_INET, 0, socket.inet_aton(value))
        fcntl.ioctl(control, request, packed)


@dataclass(frozen=True)
class SmallDisk:
    """A tmpfs in a mount namespace, where commands find it; from here it is at `seen`."""

    holder: subprocess.Popen[bytes]
    place: Path

    @property
    def seen(self) -> Path:
        """Return the path below which this process sees the files."""
        return Path(f"/proc/{self.holder.pid}/root{self.place}")

    @property
    def entry(self) -> tuple[str, ...]:
        """Return the words that run a command in the namespace."""
        user = () if os.geteuid() == 0 else ("--user", "--preserve-credentials")
        return ("nsenter", f"--target={self.holder.pid}", *user, "--mount")

    def resize(self, size: int) -> None:
        """Give it another size in bytes."""
        words = (*self.entry, "mount", "-o", f"remount,size={size}", str(self.place))
        subprocess.run(words, check=True, capture_output=True)


@contextlib.contextmanager
def small_disk(place: Path, size: int) -> Iterator[SmallDisk]:
    """Give a filesystem of so many bytes at a directory, visible in a namespace alone."""
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    script = f'mount -t tmpfs -o size={size},mode=755 small "{place}" && echo && exec cat'
    holder = subprocess.Popen(
        ["unshare", *user, "--mount", "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        if holder.stdout.readline() != b"\n":
            raise NoNamespacesError("no filesystem can be mounted in a namespace")
        yield SmallDisk(holder, place)
    finally:
        holder.stdin.close()
        holder.wait()
        holder.stdout.close()
        if holder.stderr is not None:
            holder.stderr.close()
