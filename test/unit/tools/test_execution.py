"""External programs run with limits on their time and output, and errors show their command."""

from __future__ import annotations

import sys
import threading
import time

import pytest

from assembler.errors import HostError
from assembler.tools import (
    Cancellation,
    Cancelled,
    ProcessLimits,
    program_error,
    run_program,
    without_cancellation,
)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_program_gets_its_input_and_returns_its_output_and_status() -> None:
    code = "import sys; sys.stdout.write(sys.stdin.read().upper()); sys.stderr.write('e'); exit(3)"
    result = run_program(python(code), {}, stdin=b"hello")
    assert (result.status, result.output, result.errors) == (3, b"HELLO", "e")
    message = str(program_error(["prog", "a b"], result, "a hint"))
    assert "prog failed with exit status 3:\ne" in message
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
