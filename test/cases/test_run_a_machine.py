"""A user runs images in machines, uses their console, and ends them."""

from __future__ import annotations

import contextlib
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import termios
import time
import urllib.request
from typing import TYPE_CHECKING

import pytest

from assembler.machine import firmware
from support.booting import LIMIT, Run, System, left_behind, machines_of, read_soon

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen

pytestmark = [
    pytest.mark.slow,
    pytest.mark.boot,
    pytest.mark.timeout(int(3 * LIMIT)),
    pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed"),
]
UP = "the system is up"
SMALL = ("--mem", "256", "--stop-timeout", "1s")


def free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        port: int = tried.getsockname()[1]
        return port


def fetched(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer:
        text: str = answer.read().decode()
        return text


def test_a_yaml_file_is_built_and_runs_until_ctrl_c(dolmen: Dolmen, tiny_system: System) -> None:
    port = free_port()
    words = ["--cache", tiny_system.store, "run", "qemu", "--offline", *SMALL]
    words += ["--publish", f"{port}:80/tcp", "--wait-port", str(port), tiny_system.yaml]
    with Run.start(dolmen, *words) as run:
        run.expect(UP)
        run.type("echo $((6*7)) is it")
        run.expect("42 is it")
        deadline = time.monotonic() + LIMIT
        while "ready after" not in run.errors.read_text() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert fetched(port) == "Hello from the guest\n"
        assert len(machines_of(dolmen.home)) == 1
        run.process.send_signal(signal.SIGINT)
        assert run.end() == 130
    assert machines_of(dolmen.home) == []
    assert left_behind(dolmen.home) == []
    said = run.errors.read_text()
    assert "ready after" in said
    assert "shutting the machine down" in said


def test_a_machine_that_ends_by_itself_is_a_success(dolmen: Dolmen, tiny_system: System) -> None:
    with Run.start(dolmen, "run", tiny_system.prefix, *SMALL) as run:
        run.expect(UP)
        run.type("poweroff -f")
        assert run.end() == 0
    assert left_behind(dolmen.home) == []


def test_a_second_signal_ends_it_at_once(dolmen: Dolmen, tiny_system: System) -> None:
    words = ("run", "qemu", tiny_system.prefix, "--mem", "256", "--stop-timeout", "100s")
    with Run.start(dolmen, *words) as run:
        run.expect(UP)
        run.process.send_signal(signal.SIGTERM)
        time.sleep(1)
        assert run.process.poll() is None
        began = time.monotonic()
        run.process.send_signal(signal.SIGTERM)
        assert run.end() == 143
        assert time.monotonic() - began < 5
    assert machines_of(dolmen.home) == []
    assert left_behind(dolmen.home) == []


def test_the_machine_of_a_killed_run_ends(dolmen: Dolmen, tiny_system: System) -> None:
    with Run.start(dolmen, "run", "qemu", tiny_system.prefix, *SMALL) as run:
        run.expect(UP)
        run.process.kill()
        run.process.wait()
        deadline = time.monotonic() + 10
        while machines_of(dolmen.home) and time.monotonic() < deadline:
            time.sleep(0.1)
    assert machines_of(dolmen.home) == []
    # What could not be cleaned up then is cleaned up by the next.
    assert dolmen.run("run", "qemu", "nothing").returncode == 1
    assert left_behind(dolmen.home) == []


def test_disks_are_created_kept_and_reused(dolmen: Dolmen, tiny_system: System) -> None:
    disk = dolmen.home / "data.qcow2"
    words = ("run", "qemu", tiny_system.prefix, *SMALL, "--disk", f"{disk},size=64M")
    with Run.start(dolmen, *words) as run:
        run.expect(UP)
        run.type("echo kept for later > /dev/sda; sync; poweroff -f")
        assert run.end() == 0
    assert disk.read_bytes()[:4] == b"QFI\xfb"
    with Run.start(dolmen, *words, "--snapshot") as run:
        run.expect(UP)
        run.type("head -n 1 /dev/sda")
        run.expect("kept for later")
        run.type("echo forgotten > /dev/sda; sync; poweroff -f")
        assert run.end() == 0
    assert b"kept for later" in disk.read_bytes()
    assert left_behind(dolmen.home) == []


def test_metadata_reaches_the_guest(dolmen: Dolmen, tiny_system: System) -> None:
    words = ("run", "qemu", tiny_system.prefix, *SMALL, "--data", "it is me")
    with Run.start(dolmen, *words) as run:
        run.expect(UP)
        run.type("mount -t iso9660 /dev/sr0 /mnt; cat /mnt/config")
        run.expect("it is me")


def test_a_state_directory_is_kept(dolmen: Dolmen, tiny_system: System) -> None:
    state = dolmen.home / "kept"
    words = ("run", "qemu", tiny_system.prefix, *SMALL, "--disk", "size=64M,format=raw")
    with Run.start(dolmen, *words, "--state", state) as run:
        run.expect(UP)
        run.type("echo kept for later > /dev/sda; sync; poweroff -f")
        assert run.end() == 0
    assert (state / "disk.img").read_bytes().startswith(b"kept for later")
    assert left_behind(dolmen.home) == []


def test_a_kernel_is_started_with_uefi(dolmen: Dolmen, tiny_system: System) -> None:
    if firmware.find_firmware("amd64") is None:
        pytest.skip("there is no UEFI firmware on this machine")
    state = dolmen.home / "kept"
    words = ("run", "qemu", tiny_system.prefix, "--mem", "512", "--uefi", "--state", state)
    with Run.start(dolmen, *words) as run:
        run.expect("EFI stub")
        run.expect(UP)
        run.type("poweroff -f")
        assert run.end() == 0
    assert (state / "uefi-variables").stat().st_size > 100_000


def test_the_terminal_is_the_console_and_is_reset_afterwards(
    dolmen: Dolmen, tiny_system: System
) -> None:
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    words = ["run", "qemu", str(tiny_system.prefix), "--mem", "256", "--stop-timeout", "60s"]
    process = subprocess.Popen(
        [sys.executable, "-m", "dolmen", *words],
        cwd=dolmen.home,
        env=dolmen.environment({"TERM": "xterm"}),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    seen = b""

    def until(text: bytes) -> bytes:
        nonlocal seen
        deadline = time.monotonic() + LIMIT
        while text not in seen:
            assert time.monotonic() < deadline, seen[-2000:]
            seen += read_soon(master)
        found, _, seen = seen.partition(text)
        return found

    try:
        shown = until(UP.encode())
        assert b"Ctrl-C ends the machine" in shown
        # The firmware would clear the screen, and have long lines cut off.
        assert b"\x1bc" not in shown
        assert b"\x1b[?7l" not in shown
        assert not termios.tcgetattr(slave)[3] & termios.ICANON
        os.write(master, b"sleep 1000 || echo interrupted the sleep\r")
        until(b"sleep\r\n")
        time.sleep(1)
        os.write(master, b"\x1dc")
        os.write(master, b"\x03")
        until(b"a second request ends it at once\r\n")
        os.write(master, b"\x03")
        assert process.wait(20) == 130
        until(b"\x1b[?7h")
        assert termios.tcgetattr(slave) == before
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
        os.close(master)
        os.close(slave)
    assert machines_of(dolmen.home) == []
    assert left_behind(dolmen.home) == []


def test_a_machine_with_too_little_memory_is_not_started(
    dolmen: Dolmen, tiny_system: System, tmp_path: Path
) -> None:
    prefix = tiny_system.variant(tmp_path / "x", initrd=os.urandom(40 << 20))
    done = dolmen.run("run", "qemu", "--mem", "64", prefix)
    assert done.returncode == 1
    assert "DM1004" in done.stderr
    assert "--mem 256" in done.stderr


def test_a_port_in_use_is_an_error_before_the_start(dolmen: Dolmen, tiny_system: System) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = dolmen.run("run", "qemu", "--publish", f"{port}:80", tiny_system.prefix)
    assert done.returncode == 1
    assert "it is already in use" in done.stderr
    assert left_behind(dolmen.home) == []


def test_an_error_of_qemu_is_shown(dolmen: Dolmen, tiny_system: System) -> None:
    done = dolmen.run("run", "qemu", "--device", "no-such-thing", tiny_system.prefix)
    assert done.returncode == 1
    assert "no-such-thing" in done.stderr
    assert "DM1007" in done.stderr
    assert left_behind(dolmen.home) == []
