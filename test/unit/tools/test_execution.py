"""External programs run with limits on their time and output, and errors show their command."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from assembler.errors import HostError
from assembler.tools import (
    Cancellation,
    Cancelled,
    ProcessLimits,
    StallLimits,
    program_error,
    run_program,
    without_cancellation,
)

if TYPE_CHECKING:
    from pathlib import Path


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_program_gets_its_input_and_returns_its_output_and_status() -> None:
    code = "import sys; sys.stdout.write(sys.stdin.read().upper()); sys.stderr.write('e'); exit(3)"
    result = run_program(python(code), {}, stdin=b"hello")
    assert (result.status, result.output, result.errors) == (3, b"HELLO", "e")
    message = str(program_error(["prog", "a b"], result, "a hint"))
    assert "prog failed with exit status 3:\n    e" in message
    assert "prog 'a b'" in message
    assert "a hint" in message


def test_a_program_that_does_not_end_is_killed_with_its_children() -> None:
    code = "import subprocess; subprocess.run(['sleep', '60'])"
    start = time.monotonic()
    with pytest.raises(HostError, match="did not end within"):
        run_program(python(code), {"PATH": "/usr/bin:/bin"}, limits=ProcessLimits(seconds=0.5))
    assert time.monotonic() - start < 10


def test_a_program_that_prints_without_end_is_killed() -> None:
    with pytest.raises(HostError, match="printed more than"):
        run_program(
            python("while True: print('x' * 1000)"), {}, limits=ProcessLimits(output=1 << 20)
        )


# As apt-get does on a full disk: it waits for a child, and wakes up now and then.
POLLS = """import subprocess, time
child = subprocess.Popen(["sleep", "60"])
while child.poll() is None:
    time.sleep(0.2)
"""
LOOP = "i=0; while [ $i -lt 900000 ]; do i=$((i+1)); done"
COMPUTES = f"import subprocess; subprocess.run(['sh', '-c', '{LOOP}; sleep 0.3; {LOOP}'])"
PRINTS = """import sys, time
for number in range(12):
    time.sleep(0.2)
    print(number, file=sys.STREAM, flush=True)
"""


# A child in a session of its own keeps the output open.
LEAVES = """import subprocess, time
subprocess.Popen(["sleep", "60"], start_new_session=True)
time.sleep(60)
"""


@pytest.mark.parametrize("code", [POLLS, LEAVES, "import time; time.sleep(60)"])
def test_a_program_that_neither_prints_nor_computes_is_killed(code: str) -> None:
    start = time.monotonic()
    limits = ProcessLimits(stall=StallLimits(seconds=2.0))
    with pytest.raises(HostError) as caught:
        run_program(
            python(f"print('reading lists', flush=True)\n{code}"),
            {"PATH": "/usr/bin:/bin"},
            limits=limits,
        )
    assert time.monotonic() - start < 20
    message = str(caught.value)
    assert "DM0805" in message
    assert "was killed: for 2 s it neither printed nor computed" in message
    assert "reading lists" in message


@pytest.mark.parametrize(
    "code", [COMPUTES, PRINTS.replace("STREAM", "stdout"), PRINTS.replace("STREAM", "stderr")]
)
def test_a_program_that_computes_or_prints_is_not_killed(code: str) -> None:
    limits = ProcessLimits(stall=StallLimits(seconds=1.5))
    assert run_program(python(code), {"PATH": "/usr/bin:/bin"}, limits=limits).status == 0


def test_a_program_that_waits_on_a_full_disk_is_killed_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assembler.tools.watchdog.is_full", lambda path: path == tmp_path)
    limits = ProcessLimits(stall=StallLimits(seconds=60.0, seconds_when_full=1.0))
    command = python("import time; time.sleep(60)")
    with pytest.raises(HostError) as caught:
        run_program(command, {}, limits=limits, writes=(tmp_path,))
    assert "DM0802" in str(caught.value)


@pytest.mark.parametrize("code", ["raise OSError(28, 'No space left on device')", "exit(1)"])
def test_a_program_that_fails_on_a_full_disk(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assembler.tools.watchdog.is_full", lambda _: code == "exit(1)")
    with pytest.raises(HostError, match="DM0802"):
        run_program(python(code), {}, writes=(tmp_path,))
    monkeypatch.setattr("assembler.tools.watchdog.is_full", lambda _: False)
    assert run_program(python("exit(1)"), {}, writes=(tmp_path,)).status == 1


def test_a_program_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(HostError, match="cannot run /nowhere/x"):
        run_program(["/nowhere/x"], {})


def test_a_cancelled_run_kills_its_program_and_lets_cleanup_finish() -> None:
    cancellation = Cancellation()
    timer = threading.Timer(0.3, cancellation.stop)
    timer.start()
    start = time.monotonic()
    with cancellation.bind_thread():
        with pytest.raises(Cancelled):
            run_program(python("import time; time.sleep(60)"), {})
        with without_cancellation():
            assert run_program(python("print('clean')"), {}).output == b"clean\n"
        with pytest.raises(Cancelled):
            run_program(python("import time; time.sleep(60)"), {})
    timer.join()
    assert time.monotonic() - start < 30
