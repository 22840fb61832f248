"""Emulated machines: boots with the times of their parts, and the least memory that suffices."""

from __future__ import annotations

import os
import re
import select
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from boot_size import unpacked

# Emulation of cmpxchg16b lets guests crash. The rest is less for the kernel to start.
_MACHINE = ("qemu-system-x86_64", "-machine", "q35,sata=off,smbus=off", "-cpu", "max,cx16=off")
_EMULATED = "no_timer_check cryptomgr.notests initcall_blacklist=jent_mod_init,crypto_kdf108_init"
_USUAL_MEMORY = 256
_LIMIT = 180.0
_FAILED = re.compile(
    r"unpacking failed|Out of memory|deadlocked on memory|Kernel panic|cannot go on|page allocation"
    r"|: .* failed after|it is started again"
)
_UP = re.compile(r"init: started in [\d.]+ s")
_CRASH = re.compile(r"Oops: |general protection fault|rcu_sched self-detected|double fault")
# Steps of the search for the least memory, in MiB, and how far it goes from what is expected.
_STEP = 4
_BELOW, _ABOVE = 32, 48


@dataclass(frozen=True)
class Machine:
    """The files of a system that a build has made."""

    directory: Path
    name: str
    initrd: str
    # A disk with the root filesystem.
    root: str = ""
    # Whether it is up only when its web page comes.
    page: bool = False

    def path(self, part: str) -> Path:
        """Return the path of a file."""
        return self.directory / f"{self.name}-{part}"

    @property
    def initrd_path(self) -> Path | None:
        """Return the path of the initrd; a kernel that mounts its root needs none."""
        path = self.path(self.initrd)
        return path if path.exists() else None

    @property
    def loaded_bytes(self) -> int:
        """Return the size of the initrd, and of the disk with the root filesystem."""
        parts = [self.initrd_path, self.path(self.root) if self.root else None]
        return sum(path.stat().st_size for path in parts if path)

    @property
    def expected_memory(self) -> int:
        """Return the MiB that it should need: of the kernel, the initrd, and twice its content."""
        initrd = self.initrd_path.read_bytes() if self.initrd_path else b""
        return 49 + ((len(initrd) + 2 * len(unpacked(initrd))) >> 20)


@dataclass
class Boot:
    """What a boot has shown."""

    wall: float = 0.0
    cpu: float = 0.0
    console: str = ""
    failed: bool = False
    # Whether the emulator has let the kernel crash, which says nothing.
    crashed: bool = False
    log: str = field(default="", repr=False)

    @property
    def verdict(self) -> str:
        """Return how it ended, in a word."""
        return "failed" if self.failed else "up"

    def times(self) -> dict[str, float]:
        """Return the seconds of the whole and of its parts, by the kernel's log."""
        if self.failed:
            raise SystemExit(f"the machine did not come up:\n{self.console[-3000:]}")
        marks = [
            _seconds(self.log, pattern)
            for pattern in (
                r"Run /init as init",
                r"init: onboot ",
                r"init: onboot is done",
                r"init: started in",
            )
        ]
        kernel, setup, onboot, services = marks
        return {
            "wall": self.wall,
            "guest": services,
            "cpu": self.cpu,
            "kernel": kernel,
            "init": setup - kernel,
            "onboot": onboot - setup,
            "services": services - onboot,
        }


def _seconds(log: str, pattern: str) -> float:
    found = re.search(rf"\[\s*([\d.]+)\] [^\n]*{pattern}", log)
    if not found:
        raise SystemExit(f"no {pattern!r} in the kernel's log:\n{log[-3000:]}")
    return float(found[1])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _command(machine: Machine, memory: int, port: int, *, counts: bool) -> list[str]:
    line = f"{machine.path('cmdline').read_text()} {_EMULATED} quiet panic=-1"
    command = [
        *(*_MACHINE, "-accel", "tcg", "-smp", "1", "-nodefaults", "-m", str(memory)),
        *("-display", "none", "-no-reboot", "-serial", "stdio"),
        *("-kernel", str(machine.path("kernel"))),
        *(("-initrd", str(machine.initrd_path)) if machine.initrd_path else ()),
        *("-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{port}-:80"),
        *("-device", "virtio-net-pci,netdev=net,romfile=", "-device", "virtio-rng-pci"),
    ]
    if machine.root:
        disk = f"if=none,id=disk,format=raw,readonly=on,file={machine.path(machine.root)}"
        command += ["-drive", disk, "-device", "virtio-blk-pci,drive=disk"]
        if "root=" not in line:
            line += " root=/dev/vda"
    if counts:
        command += ["-icount", "shift=2,sleep=off"]
    return [*command, "-append", line]


def boot(
    machine: Machine, memory: int = _USUAL_MEMORY, attempts: int = 3, *, counts: bool = False
) -> Boot:
    """Boot until the services are up; again if the emulator has failed, and only then.

    `counts` makes the guest's clock one of its instructions, 4 ns each: so its times do not depend
    on what else the machine does.
    """
    while True:
        result = _boot_once(machine, memory, counts=counts)
        attempts -= 1
        if not result.crashed or not attempts:
            return result


def _boot_once(machine: Machine, memory: int, *, counts: bool) -> Boot:
    port = _free_port()
    result = Boot()
    start = time.perf_counter()
    process = subprocess.Popen(
        _command(machine, memory, port, counts=counts),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        up = _read_until(process, result, _UP, _LIMIT)
        result.wall = time.perf_counter() - start
        result.cpu = _processor_time(process.pid)
        result.failed = not up
        if up and machine.page:
            result.failed = not _page_comes(process, port)
        elif up:
            result.failed = not _shell_answers(process, result)
        result.failed = result.failed or bool(_FAILED.search(result.console))
        result.crashed = bool(_CRASH.search(result.console))
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()
    return result


def _read_until(
    process: subprocess.Popen[bytes], result: Boot, pattern: re.Pattern[str], limit: float
) -> bool:
    """Add to the console until it matches; stop early where it shows a failure."""
    assert process.stdout is not None
    handle = process.stdout.fileno()
    end = time.monotonic() + limit
    while not pattern.search(result.console):
        left = end - time.monotonic()
        if left <= 0 or _FAILED.search(result.console):
            return False
        if select.select([handle], [], [], min(left, 1))[0]:
            data = os.read(handle, 1 << 16)
            if not data:
                return False
            result.console += data.decode("utf-8", "replace").replace("\r", "")
    return True


def _shell_answers(process: subprocess.Popen[bytes], result: Boot) -> bool:
    """Fetch the kernel's log from the shell on the console."""
    assert process.stdin is not None
    if not _read_until(process, result, re.compile(r"~ # "), _LIMIT):
        return False
    process.stdin.write(b"dmesg | grep -E 'Run /init|init: '; echo end of lo''g\n")
    process.stdin.flush()
    before = len(result.console)
    answered = _read_until(process, result, re.compile(r"end of log\n"), _LIMIT)
    result.log = result.console[before:]
    return answered


def _page_comes(process: subprocess.Popen[bytes], port: int) -> bool:
    end = time.monotonic() + _LIMIT / 3
    while time.monotonic() < end and process.poll() is None:
        with (
            suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as page,
        ):
            return bool(page.read())
        time.sleep(0.2)
    return False


def _processor_time(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def least_memory(machine: Machine) -> int:
    """Return the least memory in MiB that the machine comes up with, by halving the range."""
    expected = machine.expected_memory
    low, high = (expected - _BELOW) // _STEP, (expected + _ABOVE) // _STEP
    while low < high:
        middle = (low + high) // 2
        result = boot(machine, middle * _STEP)
        sys.stderr.write(f"{machine.name}, {middle * _STEP} MiB: {result.verdict}\n")
        if result.failed:
            low = middle + 1
        else:
            high = middle
    return low * _STEP
