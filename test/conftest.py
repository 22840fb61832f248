"""What all tests share: the command line, and the conformance images."""

from __future__ import annotations

import fcntl
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.booting import System, machines_of, make_system
from support.cli import Dolmen

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parent.parent
CONFORMANCE = REPOSITORY / "test" / "conformance"

# A shell starts what it runs in the background deaf to SIGINT, and whatever that starts in turn:
# programs that tests interrupt must hear it, however the tests were started.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Know what `make test` passes."""
    parser.addoption(
        "--allowed-skips",
        metavar="FILE",
        help="fail if a test is skipped for a reason that no regular expression in FILE matches",
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail if tests were skipped that should have run: a missing judge is no verdict."""
    unexpected = _unexpected_skips(session.config)
    if unexpected and session.exitstatus in {
        pytest.ExitCode.OK,
        pytest.ExitCode.NO_TESTS_COLLECTED,
    }:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Name the tests that should have run."""
    unexpected = _unexpected_skips(config)
    if unexpected:
        allowed = config.getoption("--allowed-skips")
        terminalreporter.section(f"skipped for reasons that are not in {allowed}", red=True)
        for test, reason in unexpected:
            terminalreporter.line(f"{test}: {reason}")


def _unexpected_skips(config: pytest.Config) -> list[tuple[str, str]]:
    file = config.getoption("--allowed-skips")
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if file is None or reporter is None or hasattr(config, "workerinput"):
        return []
    lines = (line.strip() for line in Path(file).read_text().splitlines())
    allowed = [re.compile(line) for line in lines if line and not line.startswith("#")]
    found = []
    for report in reporter.stats.get("skipped", []):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        if not any(pattern.fullmatch(reason) for pattern in allowed):
            found.append((report.nodeid, reason))
    return found


@pytest.fixture
def dolmen(tmp_path: Path) -> Dolmen:
    """Give the command, with an empty home directory."""
    home = tmp_path / "home"
    home.mkdir()
    return Dolmen(home)


@pytest.fixture
def no_machine_left(dolmen: Dolmen) -> Iterator[None]:
    """Leave no machine of the command behind even if a test fails."""
    yield
    dolmen.run("stop", "--all", "--timeout", "0")
    assert machines_of(dolmen.home) == []


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
