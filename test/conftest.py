"""What all tests share: the command line as a subprocess, and the conformance images."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
CONFORMANCE = REPOSITORY / "test" / "conformance"


@dataclass(frozen=True)
class Dolmen:
    """The `dolmen` command with an environment of its own."""

    home: Path

    def run(
        self,
        *arguments: str | Path,
        cwd: Path | None = None,
        stdin: str | None = None,
        env: dict[str, str] | None = None,
        check: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run `dolmen ARGUMENTS` and return what it printed."""
        return subprocess.run(
            [sys.executable, "-m", "dolmen", *map(str, arguments)],
            cwd=cwd or self.home,
            env=self.environment(env),
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            check=check,
            timeout=300,
        )

    def environment(self, extra: dict[str, str] | None = None) -> dict[str, str]:
        """Return an environment in which nothing of the developer's leaks in."""
        kept = {k: os.environ[k] for k in ("PATH", "LANG", "TMPDIR") if k in os.environ}
        return kept | {"HOME": str(self.home), "PYTHONSAFEPATH": "1", **(extra or {})}


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
