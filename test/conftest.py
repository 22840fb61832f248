"""What all tests share: the command line, and the conformance images."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.booting import System, make_system
from support.cli import Dolmen

REPOSITORY = Path(__file__).parent.parent
CONFORMANCE = REPOSITORY / "test" / "conformance"

# A shell starts what it runs in the background deaf to SIGINT, and whatever that starts in turn:
# programs that tests interrupt must hear it, however the tests were started.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def dolmen(tmp_path: Path) -> Dolmen:
    """Give the command, with an empty home directory."""
    home = tmp_path / "home"
    home.mkdir()
    return Dolmen(home)


@pytest.fixture(scope="session")
def conformance_layout() -> Path:
    """Give the OCI layout with all images of the conformance cases; do not write to it."""
    layout = CONFORMANCE / "layout"
    with (CONFORMANCE / ".layout.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (layout / "index.json").exists():
            subprocess.run(
                [sys.executable, CONFORMANCE / "make_images.py", "--out", layout],
                check=True,
                capture_output=True,
            )
    return layout


@pytest.fixture(scope="session")
def tiny_system(pytestconfig: pytest.Config) -> System:
    """Give a system that boots in a few seconds, kept from one run of the tests to the next."""
    assert pytestconfig.cache is not None
    return make_system(pytestconfig.cache.mkdir("tiny-system"))
