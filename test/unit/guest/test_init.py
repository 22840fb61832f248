"""The tests of init, which are written in Go."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

INIT = Path(__file__).parents[3] / "pkg" / "init"


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("go"), reason="Go is not installed")
def test_init_is_in_order() -> None:
    found = subprocess.run(
        ["make", "-s", "-C", INIT, "test"], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
