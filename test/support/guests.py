"""Systems that tests boot: made of the packages of this repository, with the real commands."""

from __future__ import annotations

import re
import shutil
import socket
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.cli import Dolmen
from support.guest import LIMIT, EmulatorCrashError, Files, Guest, booted

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parents[2]
# Kept between runs, so that Debian's archive is asked once.
HOME = REPOSITORY / "build" / "boot-tests"

needs_qemu = pytest.mark.skipif(
    not all(map(shutil.which, ("qemu-system-x86_64", "buildah", "apt-get"))),
    reason="qemu-system-x86_64, buildah or apt-get is not installed",
)

needs_arm = pytest.mark.skipif(
    not shutil.which("qemu-system-aarch64"), reason="qemu-system-aarch64 is not installed"
)


def assemble(
    yaml: Path,
    out: Path,
    architecture: str = "amd64",
    more: tuple[Path, ...] = (),
    keys: Path | None = None,
) -> Files:
    """Build the packages that a file refers to, and then the system."""
    HOME.mkdir(parents=True, exist_ok=True)
    dolmen = Dolmen(HOME)
    found = re.findall(r'@pkg:([^"\s]+)', yaml.read_text())
    packages = sorted({(yaml.parent / name).resolve() for name in found})
    done = dolmen.run("pkg", "build", "--platforms", f"linux/{architecture}", *packages)
    assert done.returncode == 0, done.stderr
    # To an emulator, unpacking the kernel is much of the work of a boot.
    options = ("--decompress-kernel",) if architecture == "amd64" else ()
    # Of a verified system; firmware starts it, which takes kernels as they are.
    signing = () if keys is None else ("--keys", keys)
    done = dolmen.run(
        *("build", "--arch", architecture, *(signing or options)),
        *("--dir", out, "--name", yaml.stem, yaml, *more),
    )
    assert done.returncode == 0, done.stderr
    return Files(out, yaml.stem, architecture)


def boot_and(
    files: Files,
    check: Callable[[Guest], None],
    *,
    memory: int = 256,
    append: str = "",
    guest_port: int = 80,
    disks: tuple[Path, ...] = (),
    cd: Path | None = None,
    devices: tuple[str, ...] = (),
    network: str = "",
    options: tuple[str, ...] = (),
) -> None:
    """Boot and check; once more if the emulator has crashed the guest, and only then."""
    for last in (False, True):
        machine = booted(
            files,
            memory=memory,
            append=append,
            guest_port=guest_port,
            disks=disks,
            cd=cd,
            devices=devices,
            network=network,
            options=options,
        )
        try:
            with machine as guest:
                check(guest)
                return
        except EmulatorCrashError:
            if last:
                raise


def page(guest: Guest, path: str = "") -> str:
    """Fetch the page; a service that has started takes a moment to listen."""
    end = time.monotonic() + LIMIT
    while True:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{guest.port}/{path}", timeout=30
            ) as answer:
                return str(answer.read().decode())
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def redis(guest: Guest, *words: str) -> str:
    """Say something to redis and return its answer; it takes a moment to listen and to load."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", guest.port), 30) as connection:
                connection.sendall(" ".join(words).encode() + b"\r\n")
                answer = connection.recv(1 << 16).decode()
                if answer and not answer.startswith("-LOADING "):
                    return answer
        except ConnectionError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"redis does not answer; the console:\n{guest.text()[-3000:]}")


def system(text: str) -> str:
    """Return the text of a YAML file for a system with our kernel and init."""
    head = """
kernel: {image: "@pkg:ROOT/kernel/virtual", cmdline: "console=ttyS0 dolmen.output"}
init: ["@pkg:ROOT/pkg/init", "@pkg:ROOT/pkg/crun"]
"""
    # dummy: a container of busybox that runs one line of shell.
    made = re.sub(
        r"SH (?P<line>.*)",
        lambda m: f'"@pkg:ROOT/pkg/dummy"\n    command: [/usr/bin/sh, -c, {m["line"]}]',
        text,
    )
    return (head + made).replace("ROOT", str(REPOSITORY))
