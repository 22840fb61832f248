"""Some rounds of `make test-faults`, of each kind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
TESTS = Path(__file__).parent.parent


def test_rounds_of_every_kind() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "faults", "--rounds", "10", "--seed", "40"],
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
