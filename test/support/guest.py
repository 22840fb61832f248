"""A virtual machine that a test boots, with its console."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# What an emulated processor makes of correct programs now and then; such a boot is tried again.
_EMULATOR_CRASH = re.compile(
    rb"Oops: |general protection fault|BUG: unable to handle|kernel BUG at|rcu_sched self-detected"
)
LIMIT = 120.0
# For the command line of a kernel: its clock may seem broken to it, and its cryptography need not
# be tested, which takes a fifth of a boot.
EMULATED = "no_timer_check cryptomgr.notests initcall_blacklist=jent_mod_init,crypto_kdf108_init"
_MACHINES = {
    # Emulation of cmpxchg16b lets guests crash.
    # Without the controllers that nothing here is connected to, there is less to start.
    "amd64": ("qemu-system-x86_64", "-machine", "q35,sata=off,smbus=off", "-cpu", "max,cx16=off"),
    "arm64": ("qemu-system-aarch64", "-machine", "virt", "-cpu", "max,pauth-impdef=on"),
}


class EmulatorCrashError(Exception):
    """The kernel fell over something that the emulator did."""


@dataclass(frozen=True)
class Files:
    """What `dolmen build` has made for a machine."""

    directory: Path
    name: str
    architecture: str = "amd64"

    def path(self, part: str) -> Path:
        """Return the path of the kernel, the initrd or the command line."""
        return self.directory / f"{self.name}-{part}"


@dataclass
class Guest:
    """A machine that runs: its console is kept from the start."""

    process: subprocess.Popen[bytes]
    port: int
    monitor: Path
    console: bytearray = field(default_factory=bytearray)
    began: float = field(default_factory=time.monotonic)

    def text(self) -> str:
        """Return the console as far as it is there."""
        return self.console.decode("utf-8", "replace").replace("\r", "")

    def wait_for(self, pattern: str, seconds: float = LIMIT) -> re.Match[str]:
        """Wait until the console matches, and fail with the console if it does not."""
        end = time.monotonic() + seconds
        while True:
            ended = self.process.poll() is not None
            if ended:
                # What it said last may not have been read yet.
                time.sleep(1)
            if found := re.search(pattern, self.text()):
                return found
            if _EMULATOR_CRASH.search(self.console):
                raise EmulatorCrashError(self.text()[-3000:])
            if ended or time.monotonic() > end:
                why = "the machine ended" if ended else f"not within {seconds:.0f} s"
                raise AssertionError(f"{pattern!r}: {why}; the console:\n{self.text()[-6000:]}")
            time.sleep(0.05)

    def type(self, line: str) -> None:
        """Type a line at the console."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def press_power_button(self) -> None:
        """Press the power button of the machine."""
        self.order("system_powerdown")

    def order(self, command: str, **arguments: object) -> None:
        """Have the machine itself do something, by a command for QEMU's monitor."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(str(self.monitor))
            for name, words in (("qmp_capabilities", {}), (command, arguments)):
                monitor.recv(1 << 16)
                asked = {"execute": name, "arguments": words}
                monitor.sendall(json.dumps(asked).encode())
            answer = monitor.recv(1 << 16)
            assert b'"error"' not in answer, answer

    def wait_for_end(self, seconds: float = 60) -> None:
        """Wait until the machine is off."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the machine is still on:\n{self.text()[-6000:]}") from None
        time.sleep(0.2)


def free_port() -> int:
    """Return a port of this machine that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _media(disks: tuple[Path, ...], cd: Path | None) -> Iterator[str]:
    for number, path in enumerate(disks):
        yield from ("-drive", f"if=none,id=disk{number},format=raw,file={path}")
        yield from ("-device", f"virtio-blk-pci,drive=disk{number}")
    if cd:
        yield from ("-device", "virtio-scsi-pci")
        yield from ("-drive", f"if=none,id=cd,format=raw,media=cdrom,readonly=on,file={cd}")
        yield from ("-device", "scsi-cd,drive=cd")


@contextmanager
def booted(
    files: Files,
    *,
    memory: int = 256,
    processors: int = 1,
    append: str = "",
    guest_port: int = 80,
    disks: tuple[Path, ...] = (),
    cd: Path | None = None,
    devices: tuple[str, ...] = (),
    network: str = "",
    options: tuple[str, ...] = (),
) -> Iterator[Guest]:
    """Start a machine with user networking and one port forwarded; it ends with the block.

    Disks are /dev/vda and so on in their order, and the CD is /dev/sr0. `network` has further
    options of the user networking, `options` further words for QEMU.
    """
    line = f"{files.path('cmdline').read_text()} {EMULATED} quiet {append}"
    port = free_port()
    monitor = files.directory / f"{files.name}.qmp"
    command = [
        *(*_MACHINES[files.architecture], "-accel", "tcg", "-smp", str(processors)),
        *("-nodefaults", "-m", str(memory), "-display", "none", "-no-reboot", "-serial", "stdio"),
        *("-kernel", files.path("kernel"), "-initrd", files.path("initrd.img"), "-append", line),
        *("-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{port}-:{guest_port}{network}"),
        *("-device", "virtio-net-pci,netdev=net,romfile=", "-device", "virtio-rng-pci"),
        *("-qmp", f"unix:{monitor},server=on,wait=off"),
        *_media(disks, cd),
        *options,
        *(word for device in devices for word in ("-device", device)),
    ]
    with running(command, port, monitor) as guest:
        yield guest


@contextmanager
def running(
    command: Sequence[str | Path], port: int = 0, monitor: Path = Path()
) -> Iterator[Guest]:
    """Start an emulator whose console is its standard output; it ends with the block."""
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    guest = Guest(process, port, monitor)

    def read() -> None:
        assert process.stdout is not None
        while piece := os.read(process.stdout.fileno(), 1 << 16):
            guest.console.extend(piece)

    reading = Thread(target=read, daemon=True)
    reading.start()
    try:
        yield guest
    finally:
        process.kill()
        process.wait()
        reading.join(5)


def login(guest: Guest, key: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a guest by ssh, as root with a key; its port 22 is the forwarded one.

    A service that has started takes a moment to listen: until then QEMU ends connections.
    """
    options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes")
    options = (*options, "IdentitiesOnly=yes", "ConnectTimeout=30")
    words = ["ssh", "-F", "none", "-p", str(guest.port), "-i", str(key)]
    words += [word for option in options for word in ("-o", option)]
    words += ["root@127.0.0.1", command]
    end = time.monotonic() + LIMIT
    while True:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        ended = done.returncode == 255 and "kex_exchange_identification" in done.stderr
        if not ended or time.monotonic() > end:
            return done
        time.sleep(0.5)


def is_clean(disk: Path) -> bool:
    """Tell whether the ext4 in the first partition of a disk was unmounted."""
    with disk.open("rb") as file:
        file.seek((1 << 20) + 1024)
        superblock = file.read(1024)
    magic, state = struct.unpack_from("<HH", superblock, 0x38)
    needs_recovery = superblock[0x60] & 4
    assert magic == 0xEF53, "there is no ext4 in the first partition"
    return state == 1 and not needs_recovery
