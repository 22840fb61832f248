"""The agent with other runtimes and logs, and without permission."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.agents import start_machine, talking_system
from support.booting import LIMIT
from support.guests import REPOSITORY, needs_qemu
from support.terminal import run_on_terminal

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen

pytestmark = [
    pytest.mark.usefixtures("no_machine_left"),
    pytest.mark.slow,
    pytest.mark.boot,
    pytest.mark.whole,
    pytest.mark.timeout(int(4 * LIMIT)),
    needs_qemu,
]


def test_without_permission_the_guest_is_closed(dolmen: Dolmen, tmp_path: Path) -> None:
    prefix = talking_system(tmp_path, "dolmen.output")
    done = start_machine(dolmen, prefix, "--wait-for", "started in")
    assert done.returncode == 0, done.stderr
    for words in (("exec", "m", "quiet", "true"), ("logs", "m", "--service", "quiet")):
        refused = dolmen.run(*words[:1], "--timeout", "2s", *words[1:])
        assert refused.returncode == 1
        assert "DM1017" in refused.stderr
        assert "add dolmen.agent to `kernel: cmdline:`" in refused.stderr
    # A wait ends with the reason.
    dolmen.run("stop", "m", "--timeout", "0")
    waiting = ("--mem", "384", "--timeout", "20s", "--wait-for", "log:quiet:x")
    late = dolmen.run("run", prefix, *waiting)
    assert late.returncode == 3
    assert "the guest's agent has not answered" in late.stderr


def test_with_runc_and_logs_in_memory(dolmen: Dolmen, tmp_path: Path) -> None:
    more = ", ".join(f'"@pkg:{REPOSITORY}/pkg/{name}"' for name in ("runc", "memlogd"))
    prefix = talking_system(tmp_path, "dolmen.agent", init=more)
    done = start_machine(dolmen, prefix, "--wait-for", "log:talker:^tick")
    assert done.returncode == 0, done.stderr
    log = dolmen.run("logs", "m", "--service", "talker").stdout
    assert log.startswith("talker is ready\n\\x1b[31mred\ntick\n"), log
    ran = dolmen.run("exec", "m", "quiet", "sh", "-c", "echo out; echo err >&2; exit 5")
    assert (ran.returncode, ran.stdout, ran.stderr) == (5, "out\n", "err\n")
    missing = dolmen.run("exec", "m", "quiet", "no-such-program")
    assert missing.returncode == 127
    assert "no-such-program" in missing.stderr
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
