"""External programs are bounded in time and output, and told about when they fail."""

from __future__ import annotations

import sys
import time

import pytest

from assembler.errors import HostError
from assembler.tools.running import RunLimits, failed, run


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_output_input_and_status() -> None:
    code = "import sys; sys.stdout.write(sys.stdin.read().upper()); sys.stderr.write('e'); exit(3)"
    done = run(python(code), {}, given=b"hello")
    assert (done.status, done.output, done.errors) == (3, b"HELLO", "e")
    told = str(failed(["prog", "a b"], done, "a hint"))
    assert "prog ended with 3:\ne" in told
    assert "prog 'a b'" in told
    assert "a hint" in told


def test_a_program_that_does_not_end_is_stopped_with_its_children() -> None:
    code = "import subprocess; subprocess.run(['sleep', '60'])"
    start = time.monotonic()
    with pytest.raises(HostError, match="did not end within"):
        run(python(code), {"PATH": "/usr/bin:/bin"}, limits=RunLimits(seconds=0.5))
    assert time.monotonic() - start < 10


def test_a_program_that_talks_without_end_is_stopped() -> None:
    with pytest.raises(HostError, match="printed more than"):
        run(python("while True: print('x' * 1000)"), {}, limits=RunLimits(output=1 << 20))


def test_a_program_that_cannot_be_started() -> None:
    with pytest.raises(HostError, match="cannot run /nowhere/x"):
        run(["/nowhere/x"], {})
