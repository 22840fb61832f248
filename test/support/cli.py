"""The command line as a subprocess with an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Dolmen:
    """The `dolmen` command, run with an empty home directory."""

    home: Path

    def run(
        self,
        *arguments: str | Path,
        cwd: Path | None = None,
        stdin: str | None = None,
        env: dict[str, str] | None = None,
        check: bool = False,
        timeout: float = 300,
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
            timeout=timeout,
        )

    def environment(self, extra: dict[str, str] | None = None) -> dict[str, str]:
        """Return an environment in which nothing of the developer's leaks in."""
        names = ("PATH", "LANG", "TMPDIR", "COVERAGE_PROCESS_CONFIG")
        kept = {k: os.environ[k] for k in names if k in os.environ}
        return kept | {"HOME": str(self.home), **(extra or {})}
