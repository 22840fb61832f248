"""The examples on other architectures than amd64, in machines of `dolmen run`."""

from __future__ import annotations

import shutil
import time
import urllib.request
from typing import TYPE_CHECKING

import pytest

from support.guest import free_port
from support.guests import REPOSITORY, assemble

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen

_LIMIT = 300
pytestmark = [
    pytest.mark.usefixtures("no_machine_left"),
    pytest.mark.slow,
    pytest.mark.boot,
    pytest.mark.whole,
    pytest.mark.timeout(5 * _LIMIT),
    pytest.mark.skipif(
        not all(map(shutil.which, ("buildah", "apt-get"))),
        reason="buildah or apt-get is not installed",
    ),
]
EXAMPLES = REPOSITORY / "examples"
# Beside what the example has: the agent, and the console of s390x.
CONSOLES = {"arm64": "ttyAMA0", "riscv64": "ttyS0", "s390x": "ttysclp0"}


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not shutil.which(program), reason=f"{program} is not installed")


ARCHITECTURES = [
    pytest.param("arm64", marks=needs("qemu-system-aarch64")),
    pytest.param("riscv64", marks=needs("qemu-system-riscv64")),
]
# The cloud kernel of arm64 and that of riscv64 have no driver for the power button.
MACHINE = ("--detached", "--name", "m", "--mem", "768", "--timeout", f"{_LIMIT}s")


def start(dolmen: Dolmen, example: str, out: Path, architecture: str, *words: str) -> None:
    """Assemble an example with the agent, and start it."""
    more = out / "more.yml"
    line = f"console={CONSOLES[architecture]} dolmen.output dolmen.agent no_timer_check"
    more.write_text(f'kernel: {{cmdline: "{line}"}}\n')
    files = assemble(EXAMPLES / f"{example}.yml", out, architecture, more=(more,))
    done = dolmen.run("run", out / files.name, *MACHINE, *words)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr


def console(dolmen: Dolmen) -> str:
    return dolmen.run("logs", "m").stdout


def page(port: int) -> str:
    end = time.monotonic() + _LIMIT
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
                return str(answer.read().decode())
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(1)


@pytest.mark.parametrize(
    "architecture",
    [*ARCHITECTURES[1:], pytest.param("s390x", marks=needs("qemu-system-s390x"))],
)
def test_minimal(dolmen: Dolmen, tmp_path: Path, architecture: str) -> None:
    start(dolmen, "minimal", tmp_path, architecture, "--wait-for", "init: started in")
    ran = dolmen.run("exec", "--timeout", "60s", "m", "getty", "busybox", "uname", "-m")
    assert ran.stdout.strip() == architecture, ran.stderr
    address = dolmen.run("exec", "m", "getty", "busybox", "ip", "-4", "addr", "show", "dev", "eth0")
    assert "inet 10.0.2.15/24" in address.stdout + console(dolmen)
    assert " failed after " not in console(dolmen)


@pytest.mark.parametrize("architecture", ARCHITECTURES[1:])
def test_nginx(dolmen: Dolmen, tmp_path: Path, architecture: str) -> None:
    port = free_port()
    start(dolmen, "nginx", tmp_path, architecture, "--publish", f"{port}:80")
    assert "<h1>It runs</h1>" in page(port)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_volumes(dolmen: Dolmen, tmp_path: Path, architecture: str) -> None:
    start(dolmen, "volumes", tmp_path, architecture, "--wait-for", "init: started in")
    text = console(dolmen)
    assert "init: second: hello from the first\n" in text
    assert "touch: /tools/x: Read-only file system\n" in text
    assert "init: second: busybox\n" in text


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_containerd(dolmen: Dolmen, tmp_path: Path, architecture: str) -> None:
    port = free_port()
    start(dolmen, "containerd", tmp_path, architecture, "--publish", f"{port}:80")
    assert "<h1>" in page(port)
    listed = dolmen.run(
        *("exec", "--timeout", "60s", "m", "getty", "chroot", "/proc/1/root"),
        *("ctr", "-n", "web", "tasks", "ls"),
    )
    assert "nginx" in listed.stdout, listed.stderr
    assert "RUNNING" in listed.stdout
