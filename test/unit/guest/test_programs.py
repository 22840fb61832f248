"""The tests of the programs in packages that are written in Go, init among them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PACKAGES = Path(__file__).parents[3] / "pkg"
NAMES = sorted(path.parent.name for path in PACKAGES.glob("*/go.mod"))
# The race detector is of C.
RACES = {"CGO_ENABLED": "1"}


def run(name: str, *command: str, **variables: str) -> str:
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false", **variables}
    found = subprocess.run(
        command,
        cwd=PACKAGES / name,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("go"), reason="Go is not installed")
@pytest.mark.parametrize("name", NAMES)
def test_programs_are_in_order(name: str) -> None:
    assert not run(name, "gofmt", "-l", ".")
    for architecture in ("amd64", "arm64", "riscv64", "s390x"):
        run(name, "go", "vet", "./...", GOARCH=architecture, CGO_ENABLED="0")
    run(name, "go", "test", "-race", "./...", **RACES)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("go-staticcheck"), reason="no staticcheck in this Debian")
def test_staticcheck_finds_nothing_in_programs() -> None:
    for name in NAMES:
        run(name, "go-staticcheck", "./...")
