"""Ctrl-C while the command line starts ends it in silence."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import dolmen as package

if TYPE_CHECKING:
    from support.cli import Dolmen

pytestmark = pytest.mark.slow
# A line of a traceback that is about a file of Dolmen.
_OWN = re.compile(rf'File "(?:{re.escape(str(Path(package.__file__).parent))}|[^"]*/assembler)/')


def explain(dolmen: Dolmen, *words: str, interrupt_after: float = -1) -> tuple[int, str]:
    """Run `dolmen explain`, and perhaps interrupt it; return its status and its errors."""
    with subprocess.Popen(
        [sys.executable, *words, "explain", "DM0114"],
        env=dolmen.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        if interrupt_after >= 0:
            time.sleep(interrupt_after)
            process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=30)[1]
    return process.returncode, errors


def test_no_moment_prints_a_traceback(dolmen: Dolmen) -> None:
    seen = set()
    for number in range(200):
        status, errors = explain(dolmen, "-m", "dolmen", interrupt_after=number % 150 / 1000)
        assert not _OWN.search(errors), errors
        seen.add(status)
    assert -signal.SIGINT in seen


@pytest.mark.parametrize("module", ["dolmen.entry", "dolmen.app", "dolmen.commands.explain"])
def test_an_interrupt_while_a_module_loads(dolmen: Dolmen, module: str) -> None:
    """The interrupt comes in a callback, where Python prints an exception and goes on."""
    script = f"""
import os, signal, sys
class Finder:
    def __del__(self): os.kill(os.getpid(), signal.SIGINT)
    @staticmethod
    def find_spec(name, *_):
        if name == {module!r}: Finder()
sys.meta_path.insert(0, Finder)
from dolmen.__main__ import main
main()
"""
    status, errors = explain(dolmen, "-c", script)
    assert (status, errors) == (-signal.SIGINT, "")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_inside_a_destructor_ends_a_command(
    dolmen: Dolmen, number: signal.Signals, status: int
) -> None:
    """Python prints an exception that leaves a destructor, and goes on."""
    script = f"""
import os, sys, time
import dolmen.commands.explain as command
class Trap:
    def __del__(self): os.kill(os.getpid(), {number:d})
def trapped(*_):
    Trap()
    time.sleep(60)
command._find = trapped
from dolmen.__main__ import main
main()
"""
    started = time.monotonic()
    ended, errors = explain(dolmen, "-c", script)
    assert (ended, errors.replace("interrupted\n", "")) == (status, "")
    assert time.monotonic() - started < 30


def test_interrupts_that_are_ignored(dolmen: Dolmen) -> None:
    """As those of a job in the background of a shell."""
    script = """
import os, signal, sys
from dolmen.__main__ import main
signal.signal(signal.SIGINT, signal.SIG_IGN)
os.kill(os.getpid(), signal.SIGINT)
main()
"""
    assert explain(dolmen, "-c", script) == (0, "")
