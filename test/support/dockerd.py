"""A real Docker daemon, Debian's docker.io, with everything it has in a directory of the test."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Dockerd:
    """A daemon that is running."""

    socket: Path
    path: str

    @property
    def env(self) -> dict[str, str]:
        """Return the variables that lead programs to it, and to its own `docker`."""
        config = self.socket.parent / "client"
        host = f"unix://{self.socket}"
        return {"DOCKER_HOST": host, "DOCKER_CONFIG": str(config), "PATH": self.path}

    def docker(self, *words: str | Path) -> str:
        """Run `docker` against it, and return what it printed."""
        command = [shutil.which("docker", path=self.path) or "docker", *map(str, words)]
        env = {**os.environ, **self.env}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextlib.contextmanager
def dockerd(directory: Path, root: Path | None = None) -> Iterator[Dockerd]:
    """Run a daemon; the test is skipped where there is none to run, or it may not.

    With `root`, that is the tree of another system, whose newer Docker is run: it keeps images in
    containerd, and has buildx.
    """
    path = os.environ["PATH"]
    if root is not None:
        path = f"{root}/usr/bin:{root}/usr/sbin:{path}"
    for program in ("dockerd", "docker"):
        if shutil.which(program, path=path) is None:
            pytest.skip(f"{program} is not installed (Debian package docker.io)")
    if os.geteuid() != 0:
        pytest.skip("a Docker daemon is started by root")
    for name in ("data", "exec", "client/cli-plugins"):
        (directory / name).mkdir(parents=True)
    features = {"containerd-snapshotter": True} if root is not None else {}
    (directory / "config.json").write_text(json.dumps({"features": features}))
    if root is not None:
        plugin = root / "usr/libexec/docker/cli-plugins/docker-buildx"
        (directory / "client/cli-plugins/docker-buildx").symlink_to(plugin)
    running = Dockerd(directory / "s", path)
    for driver in ("overlay2", "vfs") if root is None else ("overlayfs", "native"):
        process = _started(directory, driver, path)
        try:
            if _answers(process, running):
                yield running
                return
        finally:
            _end(process, directory)
    last = (directory / "log").read_text("utf-8", "replace").splitlines()[-3:]
    pytest.skip("dockerd does not run here: " + " / ".join(last))


def _started(directory: Path, driver: str, path: str) -> subprocess.Popen[bytes]:
    program = shutil.which("dockerd", path=path) or "dockerd"
    command: list[str | Path] = [program, "--config-file", directory / "config.json"]
    command += ["--data-root", directory / "data", "--exec-root", directory / "exec"]
    command += ["--pidfile", directory / "pid", "--host", f"unix://{directory / 's'}"]
    # No bridge and no rules: nothing of the machine is changed.
    command += ["--bridge=none", "--iptables=false", "--ip-masq=false"]
    command += ["--storage-driver", driver]
    with (directory / "log").open("wb") as log:
        env = {**os.environ, "PATH": path}
        return subprocess.Popen(command, stdout=log, stderr=log, env=env, start_new_session=True)


def _answers(process: subprocess.Popen[bytes], daemon: Dockerd) -> bool:
    command = [shutil.which("docker", path=daemon.path) or "docker", "version"]
    env = {**os.environ, **daemon.env}
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        if daemon.socket.exists():
            done = subprocess.run(command, env=env, capture_output=True, check=False)
            if not done.returncode:
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
