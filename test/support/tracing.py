"""Commands in a network namespace without interfaces, with their sockets traced."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen


def run_without_network(
    dolmen: Dolmen, log: Path, *words: str | Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `dolmen WORDS` where there is no network; `log` gets the system calls for sockets."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    namespace = (
        ["unshare", "--net"] if os.getuid() == 0 else ["unshare", "--net", "--map-root-user"]
    )
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespace can be made here")
    tracer = [strace, "-f", "-e", "trace=socket,connect,sendto,sendmsg", "-o", str(log)]
    done = subprocess.run(
        [*namespace, *tracer, sys.executable, "-m", "dolmen", *map(str, words)],
        cwd=dolmen.home,
        env=dolmen.environment(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if "PTRACE" in done.stderr:
        pytest.skip("nothing can be traced here")
    return done


def network_calls(log: Path) -> list[str]:
    """Return the system calls that concern sockets of the internet."""
    return [line for line in log.read_text().splitlines() if "AF_INET" in line]
