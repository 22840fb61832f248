"""skopeo, the other tool that reads and writes what we do."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.registry_server import RegistryServer


def skopeo(command: str, *arguments: str, server: RegistryServer | None = None) -> str:
    """Run `skopeo COMMAND` and return what it prints; the test is skipped where there is none."""
    program = shutil.which("skopeo")
    if program is None:
        pytest.skip("skopeo is not installed (Debian package skopeo)")
    options = []
    if server is not None:
        sides = ("src-", "dest-") if command == "copy" else ("",)
        for side, argument in zip(sides, arguments[-len(sides) :], strict=True):
            if argument.startswith("docker://"):
                options.append(f"--{side}tls-verify=false")
                if server.login:
                    options.append(f"--{side}creds={server.login}")
    done = subprocess.run(
        [program, "--insecure-policy", command, *options, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
