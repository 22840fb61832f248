"""The tests of the packages' programs that are written in Go."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PACKAGES = Path(__file__).parents[3] / "pkg"


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("go"), reason="Go is not installed")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("cadvisor", marks=pytest.mark.whole),
        pytest.param("host-timesync-daemon", marks=pytest.mark.whole),
        pytest.param("kmsg", marks=pytest.mark.whole),
        "logwrite",
        "metadata",
        pytest.param("trim-after-delete", marks=pytest.mark.whole),
        "vsudd",
    ],
)
def test_programs_are_in_order(name: str) -> None:
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    environment["GOFLAGS"] = "-buildvcs=false"
    for command in (("gofmt", "-l", "."), ("go", "vet", "./..."), ("go", "test", "./...")):
        found = subprocess.run(
            command,
            cwd=PACKAGES / name,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert found.returncode == 0, found.stdout + found.stderr
        if command[0] == "gofmt":
            assert not found.stdout
