"""A user reads the logs of services in a machine, and runs commands in them, from outside."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from support.agents import start_machine, talking_system
from support.booting import LIMIT, left_behind
from support.guests import needs_qemu
from support.terminal import run_on_terminal

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen

pytestmark = [
    pytest.mark.usefixtures("no_machine_left"),
    pytest.mark.slow,
    pytest.mark.boot,
    pytest.mark.timeout(int(4 * LIMIT)),
    needs_qemu,
]


def test_logs_and_commands_of_services(dolmen: Dolmen, tmp_path: Path) -> None:
    prefix = talking_system(tmp_path, "dolmen.agent")
    done = start_machine(dolmen, prefix, "--wait-for", "log:talker:^talker is ready$")
    assert done.returncode == 0, done.stderr

    # Logs, whose control characters do not reach the terminal.
    log = dolmen.run("logs", "m", "--service", "talker").stdout
    assert log.startswith("talker is ready\n\\x1b[31mred\n"), log
    assert dolmen.run("logs", "m", "--service", "onboot.000-first").stdout == "once\n"
    assert dolmen.run("logs", "m", "--service", "quiet").stdout == ""
    refused = dolmen.run("logs", "m", "--service", "talkr")
    assert refused.returncode == 1
    assert "DM1018" in refused.stderr
    assert "there is no service talkr; services: quiet, talker" in refused.stderr

    # Standard files apart, the exit code, several at once.
    command = ["sh", "-c", "cat; echo wrong >&2; exit 42"]
    words = [sys.executable, "-m", "dolmen", "exec", "-i", "m", "talker", *command]
    environment = dolmen.environment()
    data = bytes(range(256)) * 4000
    follow = [sys.executable, "-m", "dolmen", "logs", "-f", "m", "--service", "talker"]
    with subprocess.Popen(
        follow, env=environment, cwd=dolmen.home, stdout=subprocess.PIPE, text=True
    ) as following:
        ran = subprocess.run(
            words, input=data, capture_output=True, env=environment, cwd=dolmen.home, check=False
        )
        assert (ran.returncode, ran.stderr) == (42, b"wrong\n")
        assert ran.stdout == data
        assert following.stdout is not None
        seen = [following.stdout.readline() for _ in range(4)]
        assert seen[0] == "talker is ready\n"
        assert "tick\n" in seen
        following.send_signal(signal.SIGINT)
    missing = dolmen.run("exec", "m", "quiet", "no-such-program", "-x")
    assert missing.returncode == 127, missing.stderr
    assert "no-such-program" in missing.stderr

    # A terminal of the size of the user's.
    typed = run_on_terminal(
        dolmen,
        *("exec", "-it", "-", "quiet", "sh"),
        cwd=tmp_path,
        keys="stty size; echo $TERM; exit 3\r",
        prompt="#",
        columns=97,
    )
    assert typed.returncode == 3, typed.raw
    assert "50 97\nxterm\n" in typed.text

    # Ctrl-C interrupts the command; a host that goes ends it.
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        with subprocess.Popen(
            [*words[:4], "m", "quiet", "sh", "-c", "echo on; exec sleep 4321"],
            env=environment,
            cwd=dolmen.home,
            stdout=subprocess.PIPE,
            text=True,
        ) as sleeping:
            assert sleeping.stdout is not None
            assert sleeping.stdout.readline() == "on\n"
            sleeping.send_signal(number)
            assert sleeping.wait(30) == code
    end = time.monotonic() + 30
    while "4321" in (left := dolmen.run("exec", "m", "quiet", "busybox", "ps").stdout):
        assert time.monotonic() < end, left

    # Names of machines and services are completed.
    for words, found in (
        ("exec ", "m"),
        ("exec m ", "quiet\ntalker"),
        ("logs m --service t", "talker"),
    ):
        completed = dolmen.run(
            env={
                "_DOLMEN_COMPLETE": "complete_bash",
                "COMP_WORDS": f"dolmen {words}",
                "COMP_CWORD": str(len(words.split(" "))),
            }
        )
        assert completed.stdout.strip() == found

    assert dolmen.run("stop", "m", "--timeout", "0").returncode == 0
    assert left_behind(dolmen.home) == []
