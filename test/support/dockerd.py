"""A real Docker daemon, Debian's docker.io, with everything it has in a directory of the test."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Dockerd:
    """A daemon that is running."""

    socket: Path

    @property
    def env(self) -> dict[str, str]:
        """Return the variables that lead programs to it."""
        return {"DOCKER_HOST": f"unix://{self.socket}"}

    def docker(self, *words: str | Path) -> str:
        """Run `docker` against it, and return what it printed."""
        command = ["docker", *map(str, words)]
        env = {**os.environ, **self.env}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextlib.contextmanager
def dockerd(directory: Path) -> Iterator[Dockerd]:
    """Run a daemon; the test is skipped where there is none to run, or it may not."""
    for program in ("dockerd", "docker"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (Debian package docker.io)")
    if os.geteuid() != 0:
        pytest.skip("a Docker daemon is started by root")
    for name in ("data", "exec"):
        (directory / name).mkdir(parents=True)
    (directory / "config.json").write_text("{}")
    for driver in ("overlay2", "vfs"):
        process = _started(directory, driver)
        try:
            if _answers(process, directory / "s"):
                yield Dockerd(directory / "s")
                return
        finally:
            _end(process, directory)
    last = (directory / "log").read_text("utf-8", "replace").splitlines()[-3:]
    pytest.skip("dockerd does not run here: " + " / ".join(last))


def _started(directory: Path, driver: str) -> subprocess.Popen[bytes]:
    command: list[str | Path] = ["dockerd", "--config-file", directory / "config.json"]
    command += ["--data-root", directory / "data", "--exec-root", directory / "exec"]
    command += ["--pidfile", directory / "pid", "--host", f"unix://{directory / 's'}"]
    # No bridge and no rules: nothing of the machine is changed.
    command += ["--bridge=none", "--iptables=false", "--ip-masq=false"]
    command += ["--storage-driver", driver]
    with (directory / "log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def _answers(process: subprocess.Popen[bytes], socket: Path) -> bool:
    command = ["docker", "--host", f"unix://{socket}", "version"]
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        if (
            socket.exists()
            and not subprocess.run(command, capture_output=True, check=False).returncode
        ):
            return True
        time.sleep(0.1)
    return False


def _end(process: subprocess.Popen[bytes], directory: Path) -> None:
    """Stop the daemon, with the containerd it has started, and unmount what it has mounted."""
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    for where in reversed([line.split()[1] for line in mounts]):
        if where.startswith(f"{directory}/"):
            subprocess.run(["umount", where], check=False)
