"""A tiny system to boot: Debian's kernel for clouds, busybox, and an init that is a script."""

from __future__ import annotations

import fcntl
import gzip
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from support.cli import Dolmen
from support.guest import EMULATED

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMIT = 120.0
KERNEL = """
image: kernel
org: test
arches: [amd64]
debs:
  suite: trixie
  packages: [linux-image-cloud-amd64]
  kernel: true
  modules: ["virtio_*", "net_failover", sr_mod, sd_mod, isofs]
"""
TOOLS = """
image: init
org: test
arches: [amd64]
debs:
  suite: trixie
  packages: [busybox-static]
  no-deps: true
  files: [{path: /init, source: init, mode: "0755"}]
"""
INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /mnt /www
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
ln -s usr/lib /lib 2>/dev/null
for m in virtio_pci virtio_net virtio_scsi virtio_blk sd_mod sr_mod isofs; do modprobe $m; done
ifconfig lo up; ifconfig eth0 10.0.2.15 up && route add default gw 10.0.2.2
echo "Hello from the guest" > /www/index.html
httpd -p 80 -h /www
echo "the system is up"
exec sh
"""
YAML = f"""
kernel: {{image: "test/kernel:latest", cmdline: "console=ttyS0 {EMULATED}"}}
init: ["test/init:latest"]
"""


@dataclass(frozen=True)
class System:
    """The system: the store its images are in, its YAML, and what that was built to."""

    store: Path
    yaml: Path
    prefix: Path

    @property
    def kernel(self) -> bytes:
        """Return the kernel."""
        return self.prefix.with_name("image-kernel").read_bytes()

    @property
    def initrd(self) -> bytes:
        """Return the initrd."""
        return self.prefix.with_name("image-initrd.img").read_bytes()

    def variant(
        self, folder: Path, *, initrd: bytes | None = None, cmdline: str = "console=ttyS0 panic=-1"
    ) -> Path:
        """Put the kernel with another initrd or command line into a folder; return the prefix."""
        folder.mkdir(parents=True, exist_ok=True)
        kernel = folder / "broken-kernel"
        kernel.hardlink_to(self.prefix.with_name("image-kernel"))
        (folder / "broken-initrd.img").write_bytes(self.initrd if initrd is None else initrd)
        (folder / "broken-cmdline").write_text(f"{cmdline} {EMULATED}")
        return folder / "broken"


def make_system(folder: Path) -> System:
    """Build the system, or take what an earlier run has built of the same."""
    said = folder / "made-of"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        system = System(folder / "store", folder / "image.yml", folder / "image")
        whole = KERNEL + TOOLS + INIT + YAML
        if said.exists() and said.read_text() == whole:
            return system
        system.yaml.write_text(YAML)
        home = folder / "home"
        home.mkdir(exist_ok=True)
        dolmen = Dolmen(home)
        store = ("--cache", system.store)
        # Outside of git packages need not be committed.
        with tempfile.TemporaryDirectory() as scratch:
            packages = [Path(scratch) / name for name in ("kernel", "init")]
            for package, recipe in zip(packages, (KERNEL, TOOLS), strict=True):
                package.mkdir()
                (package / "build.yml").write_text(recipe)
            (packages[1] / "init").write_text(INIT)
            built = dolmen.run(*store, "pkg", "build", "--tag", "latest", *packages)
        if built.returncode:
            pytest.skip(f"the packages for a system cannot be had: {built.stderr[-300:]}")
        dolmen.run(*store, "build", "--offline", "--dir", folder, system.yaml, check=True)
        said.write_text(whole)
        return system


def archive(files: Mapping[str, tuple[int, bytes]]) -> bytes:
    """Return an initrd with the files, by path: mode with type, and content."""
    out = bytearray()
    for number, (path, (mode, content)) in enumerate([*files.items(), ("TRAILER!!!", (0, b""))]):
        name = path.encode() + b"\0"
        values = (number + 1, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
        out += b"070701" + b"".join(b"%08X" % v for v in values) + name
        out += bytes(-len(out) % 4)
        out += content
        out += bytes(-len(out) % 4)
    return gzip.compress(bytes(out), 1, mtime=0)


@dataclass
class Run:
    """A `dolmen run` under way, whose console a test reads and writes."""

    process: subprocess.Popen[bytes]
    console: str = ""
    errors: Path = field(default_factory=Path)

    @classmethod
    def start(cls, dolmen: Dolmen, *words: str | Path, env: dict[str, str] | None = None) -> Self:
        """Start `dolmen WORDS`."""
        errors = dolmen.home / "errors"
        with errors.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "dolmen", *map(str, words)],
                cwd=dolmen.home,
                env=dolmen.environment(env),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
            )
        return cls(process, errors=errors)

    def __enter__(self) -> Self:
        """Give the run."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it, however the test came out."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    def expect(self, pattern: str, limit: float = LIMIT) -> re.Match[str]:
        """Read the console until it matches; forget what came up to there."""
        assert self.process.stdout is not None
        handle = self.process.stdout.fileno()
        deadline = time.monotonic() + limit
        while True:
            found = re.search(pattern, self.console)
            if found:
                self.console = self.console[found.end() :]
                return found
            left = deadline - time.monotonic()
            ready = select.select([handle], [], [], max(0, left))[0]
            data = os.read(handle, 65536) if ready else b""
            if not data:
                said = self.errors.read_text()
                pytest.fail(f"no {pattern!r} in:\n{self.console[-3000:]}\nand: {said[-2000:]}")
            self.console += data.decode(errors="replace").replace("\r", "")

    def type(self, text: str) -> None:
        """Type a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def end(self, limit: float = 60) -> int:
        """Wait for the end; return the exit code."""
        assert self.process.stdout is not None
        while data := self.process.stdout.read1():
            self.console += data.decode(errors="replace").replace("\r", "")
        return self.process.wait(limit)


# What QEMU's emulation does to guests now and then, on a loaded machine: no fault of the image.
EMULATOR_FAULT = re.compile(r"DM1031|PANIC: double fault|Oops: 0000|8254 timer not connected")


def run_soundly(
    dolmen: Dolmen, *words: str | Path, attempts: int = 3, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run a machine to its end; again if the emulator failed, which is reported."""
    done = dolmen.run(*words, timeout=timeout)
    while attempts > 1 and EMULATOR_FAULT.search(done.stdout + done.stderr):
        warnings.warn(f"the emulator failed: {done.stdout[-300:]}", stacklevel=2)
        attempts -= 1
        done = dolmen.run(*words, timeout=timeout)
    return done


def read_soon(handle: int) -> bytes:
    """Return what can be read within a second, or nothing."""
    return os.read(handle, 65536) if select.select([handle], [], [], 1)[0] else b""


def machines_of(home: Path) -> list[int]:
    """Return the numbers of the QEMU processes that were started below a home directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            program, folder = (path / "exe").readlink(), (path / "cwd").readlink()
            if "qemu" in program.name and folder.is_relative_to(home):
                found.append(int(path.name))
        except OSError:
            continue
    return found


def left_behind(home: Path) -> list[str]:
    """Return what is in the state directory besides directories."""
    state = home / ".local" / "state"
    return [str(p.relative_to(state)) for p in state.rglob("*") if not p.is_dir()]
