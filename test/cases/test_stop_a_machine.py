"""A user stops machines whose services, or whose system, do not want to end."""

from __future__ import annotations

import shutil
import signal
import time
from typing import TYPE_CHECKING

import pytest

from support.booting import LIMIT, Run, System, left_behind, machines_of
from support.guest import EMULATED
from support.guests import assemble, needs_qemu, system

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen

pytestmark = [
    pytest.mark.slow,
    pytest.mark.boot,
    pytest.mark.timeout(int(4 * LIMIT)),
    pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed"),
]
SYSTEM = """
services:
  - name: stubborn
    image: SH "trap '' TERM; echo is up; while true; do busybox sleep 1; done"
"""
UP = "the system is up"


@pytest.fixture(scope="module")
def stubborn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a system with a service that ignores SIGTERM; return the prefix."""
    folder = tmp_path_factory.mktemp("stubborn")
    yaml = folder / "system.yml"
    yaml.write_text(system(SYSTEM).replace("dolmen.output", f"dolmen.output quiet {EMULATED}"))
    assemble(yaml, folder)
    return folder / "system"


@needs_qemu
def test_a_service_that_ignores_sigterm_loses_no_power(dolmen: Dolmen, stubborn: Path) -> None:
    with Run.start(dolmen, "run", "qemu", stubborn, "--mem", "256") as run:
        run.expect("stubborn: is up")
        run.process.send_signal(signal.SIGINT)
        assert run.end() == 130
    assert "stubborn did not end within 10s and is killed" in run.console
    assert "init: power off: all is stopped" in run.console
    said = run.errors.read_text()
    assert "the machine has powered off" in said
    assert "killed" not in said
    assert left_behind(dolmen.home) == []


@needs_qemu
def test_stop_waits_for_such_a_service(dolmen: Dolmen, stubborn: Path) -> None:
    words = ("--mem", "256", "--detached", "--wait-for", "stubborn: is up")
    dolmen.run("run", "qemu", stubborn, *words, check=True)
    done = dolmen.run("stop", check=True)
    assert done.stderr == "dolmen: system has shut down\n"


def test_a_machine_that_never_powers_off_is_killed(dolmen: Dolmen, tiny_system: System) -> None:
    words = ("run", "qemu", tiny_system.prefix, "--mem", "256", "--stop-timeout", "2s")
    with Run.start(dolmen, *words) as run:
        run.expect(UP)
        began = time.monotonic()
        run.process.send_signal(signal.SIGINT)
        assert run.end() == 130
        assert 2 <= time.monotonic() - began < 10
    assert "the machine did not power off within 2 s; killed" in run.errors.read_text()
    assert machines_of(dolmen.home) == []
    assert left_behind(dolmen.home) == []


def test_stop_kills_such_a_machine(dolmen: Dolmen, tiny_system: System) -> None:
    words = ("--mem", "256", "--detached", "--wait-for", UP)
    dolmen.run("run", "qemu", tiny_system.prefix, *words, check=True)
    done = dolmen.run("stop", "--timeout", "1.5s", check=True)
    assert done.stderr == "dolmen: image did not power off within 1.5 s; killed\n"
    assert machines_of(dolmen.home) == []
