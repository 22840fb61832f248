"""Debian with systemd as the root filesystem, in each way to boot it."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from support.cli import Dolmen
from support.guest import free_port
from support.guests import HOME, REPOSITORY, needs_qemu

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.boot, pytest.mark.whole, needs_qemu]
EXAMPLE = REPOSITORY / "examples" / "debian.yml"
# Emulated, systemd takes its time.
PATIENCE = 420


def answered(port: int, process: subprocess.Popen[bytes], console: Path) -> str:
    """Return the page as soon as there is one."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
                return str(answer.read().decode())
        except (OSError, urllib.error.URLError):
            text = console.read_text(errors="replace")
            assert process.poll() is None, text[-3000:]
            assert time.monotonic() < end, text[-6000:]
            time.sleep(0.5)


def banner(port: int) -> bytes:
    """Return the first line of the SSH server, which makes its keys before it listens."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port), 60) as connection,
        ):
            connection.settimeout(60)
            if line := connection.recv(64):
                return line
        time.sleep(0.5)
    raise AssertionError("the SSH server does not answer")


@pytest.mark.parametrize(
    ("form", "options", "output"),
    [
        ("kernel+initrd", ("--mem", "1G"), "debian"),
        ("kernel+squashfs", ("--mem", "512M", "--squashfs"), "debian"),
        ("kernel+erofs", ("--mem", "512M"), "debian"),
        ("iso-bios", ("--mem", "1G"), "debian.iso"),
        ("raw-efi", ("--mem", "1G"), "debian-efi.img"),
    ],
)
@pytest.mark.timeout(1200)
def test_networkd_ssh_and_nginx_answer(
    tmp_path: Path, form: str, options: tuple[str, ...], output: str
) -> None:
    dolmen = Dolmen(HOME)
    HOME.mkdir(parents=True, exist_ok=True)
    done = dolmen.run("build", "--format", form, "--dir", tmp_path, EXAMPLE)
    assert done.returncode == 0, done.stderr
    web, ssh = free_port(), free_port()
    console = tmp_path / "console"
    published = ("--publish", f"{web}:80", "--publish", f"{ssh}:22")
    with (
        console.open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", "dolmen", "run", "qemu", *options, *published, output],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            page = answered(web, process, console)
            assert "<h1>Debian runs</h1>" in page
            assert banner(ssh).startswith(b"SSH-2.0-OpenSSH")
        finally:
            process.send_signal(signal.SIGTERM)
    text = console.read_text(errors="replace")
    # The power button: systemd stops everything, and the machine goes off.
    assert "Reached target" in text
    assert "powered off" in text or "Power down" in text, text[-3000:]
