"""A user leaves machines running, lists them, reads and uses their consoles, and stops them."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from support.booting import LIMIT, Run, System, left_behind, machines_of, read_soon

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen

pytestmark = [
    pytest.mark.usefixtures("no_machine_left"),
    pytest.mark.slow,
    pytest.mark.boot,
    pytest.mark.timeout(int(3 * LIMIT)),
    pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed"),
]
UP = "the system is up"


def detach(dolmen: Dolmen, system: System, *words: str) -> str:
    done = dolmen.run("run", system.prefix, "--detached", "--mem", "256", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def listed(dolmen: Dolmen) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(dolmen.run("ps", "--json").stdout)
    return found


def test_a_detached_machine_keeps_running(dolmen: Dolmen, tiny_system: System) -> None:
    name = detach(dolmen, tiny_system, "--wait-for", UP, "--timeout", "110s")
    assert name == "image"
    (machine,) = listed(dolmen)
    assert machine["running"]
    assert len(machines_of(dolmen.home)) == 1
    table = dolmen.run("ps").stdout.splitlines()
    assert table[0].split()[:2] == ["NAME", "STATE"]
    assert table[1].split()[:2] == ["image", "running"]
    said = dolmen.run("logs").stdout
    assert UP in said
    assert "\x1b" not in said

    with Run.start(dolmen, "logs", "-f", name) as follower:
        follower.expect(UP)
        with Run.start(dolmen, "console") as run:
            run.expect("#")
            run.type("echo $((6*7)) is it")
            run.expect("42 is it")
            busy = dolmen.run("console", name)
            assert busy.returncode == 1
            assert "DM1009" in busy.stderr
            run.process.send_signal(signal.SIGINT)
            assert run.end() == 130
        follower.expect("42 is it")
        assert machines_of(dolmen.home)
        with Run.start(dolmen, "console") as run:
            run.type("poweroff -f")
            assert run.end() == 0
        assert follower.end() == 0

    (machine,) = listed(dolmen)
    assert not machine["running"]
    assert "Power down" in dolmen.run("logs", name).stdout
    assert "has ended" in dolmen.run("console", name).stderr
    assert dolmen.run("stop").returncode == 0
    assert listed(dolmen) == []
    assert left_behind(dolmen.home) == []


def test_several_machines_have_different_names(dolmen: Dolmen, tiny_system: System) -> None:
    assert detach(dolmen, tiny_system) == "image"
    assert detach(dolmen, tiny_system) == "image-2"
    assert detach(dolmen, tiny_system, "--name", "web") == "web"
    again = dolmen.run("run", tiny_system.prefix, "--name", "web")
    assert again.returncode == 1
    assert "machine web already exists" in again.stderr
    several = dolmen.run("logs")
    assert several.returncode == 1
    assert "image, image-2, web" in several.stderr
    assert dolmen.run("ps", "--names").stdout.split() == ["image", "image-2", "web"]
    done = dolmen.run("stop", "web", "image", "--timeout", "0")
    assert done.returncode == 0, done.stderr
    assert dolmen.run("ps", "--names").stdout.split() == ["image-2"]
    assert dolmen.run("stop", "--all", "--timeout", "0").returncode == 0
    assert left_behind(dolmen.home) == []


def test_a_machine_that_is_not_ready_is_ended(dolmen: Dolmen, tiny_system: System) -> None:
    done = dolmen.run(
        *("run", tiny_system.prefix, "--detached", "--mem", "256"),
        *("--wait-for", "never seen", "--timeout", "2s"),
    )
    assert done.returncode == 3
    assert done.stdout == ""
    assert machines_of(dolmen.home) == []
    assert left_behind(dolmen.home) == []


def test_a_killed_machine_is_listed_as_ended(dolmen: Dolmen, tiny_system: System) -> None:
    detach(dolmen, tiny_system)
    (number,) = machines_of(dolmen.home)
    os.kill(number, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while listed(dolmen)[0]["running"] and time.monotonic() < deadline:
        time.sleep(0.1)
    assert dolmen.run("ps").stdout.splitlines()[1].split()[1] == "ended"
    assert "had already ended" in dolmen.run("stop").stderr
    assert left_behind(dolmen.home) == []


def test_a_reused_pid_is_another_process(dolmen: Dolmen, tiny_system: System) -> None:
    detach(dolmen, tiny_system)
    (record,) = (dolmen.home / ".local/state/dolmen/machines").glob("*/record.json")
    (number,) = machines_of(dolmen.home)
    changed = json.loads(record.read_text())
    with subprocess.Popen(["sleep", "1000"]) as other:
        try:
            changed["process"]["number"] = other.pid
            record.write_text(json.dumps(changed))
            assert not listed(dolmen)[0]["running"]
            assert dolmen.run("stop", "--timeout", "0").returncode == 0
            assert other.poll() is None
        finally:
            other.kill()
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while machines_of(dolmen.home) and time.monotonic() < deadline:
        time.sleep(0.1)


def test_a_key_detaches_from_the_console(dolmen: Dolmen, tiny_system: System) -> None:
    detach(dolmen, tiny_system, "--wait-for", UP, "--timeout", "110s")
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "dolmen", "console"],
        cwd=dolmen.home,
        env=dolmen.environment({"TERM": "xterm"}),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    seen = b""
    try:
        deadline = time.monotonic() + 30
        while b"the machine keeps running" not in seen and time.monotonic() < deadline:
            seen += read_soon(master)
        os.write(master, b"\x03\x1dq")
        assert process.wait(20) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
        os.close(master)
        os.close(slave)
    assert listed(dolmen)[0]["running"]


def test_an_unknown_machine_is_an_error(dolmen: Dolmen) -> None:
    for words in (("logs",), ("console", "x"), ("stop", "x"), ("stop",)):
        done = dolmen.run(*words)
        assert done.returncode == 1
        assert "DM1008" in done.stderr
    assert dolmen.run("ps").stdout == ""
    assert dolmen.run("ps", "--json").stdout == "[]\n"
    assert dolmen.run("stop", "--all").returncode == 0
    bad = dolmen.run("run", "x", "--name", "../x")
    assert bad.returncode == 2


def test_a_damaged_record_does_no_harm(dolmen: Dolmen, tmp_path: Path) -> None:
    folder = tmp_path / "state" / "dolmen" / "machines" / "x"
    folder.mkdir(parents=True)
    env = {"XDG_STATE_HOME": str(tmp_path / "state")}
    for content in ("", "[]", "{}", '{"owner": 1, "process": []}'):
        (folder / "record.json").write_text(content)
        done = dolmen.run("ps", env=env)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
