"""A user builds packages with the BuildKit in Debian's newer Docker, which the test installs."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from assembler.oci.platform import Platform, host_platform
from support.dockerd import Dockerd, dockerd
from support.dockerfiles import Kitchen, kitchen_with_a_shell
from support.from_debian import installed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.cli import Dolmen

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.getuid() != 0, reason="the test's base is made for root"),
    pytest.mark.skipif(not shutil.which("apt-get"), reason="apt-get is not installed"),
]
HERE = host_platform()
ELSEWHERE = Platform("linux", "arm64" if HERE.architecture == "amd64" else "amd64")
# Libraries, and runc, are those of this machine.
PACKAGES = "docker.io, docker-cli, docker-buildx, containerd"
DROPPED = "drop: [/usr/share/**, /usr/bin/ctr, /usr/bin/containerd-stress]"


@pytest.fixture(scope="module")
def daemon(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Dockerd]:
    """Give a daemon with BuildKit."""
    work = tmp_path_factory.mktemp("install")
    root = installed(pytestconfig, work, "docker", PACKAGES, DROPPED)
    plugin = root / "usr/libexec/docker/cli-plugins/docker-buildx"
    if subprocess.run([plugin, "version"], capture_output=True, check=False).returncode:
        pytest.skip("programs of Debian 13 do not run on this machine")
    with dockerd(tmp_path_factory.mktemp("dockerd") / "d", root) as running:
        yield running


class Cook:
    """`dolmen pkg build` by the daemon's BuildKit."""

    def __init__(self, dolmen: Dolmen, kitchen: Kitchen, daemon: Dockerd) -> None:
        self.dolmen, self.kitchen, self.daemon = dolmen, kitchen, daemon

    def build(
        self, *words: str | Path, store: Path | None = None, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        options = ("--force", "--hash", "h", "--cache", store or self.kitchen.store.root)
        env = {**self.daemon.env, **(env or {})}
        return self.dolmen.run("pkg", "build", "--builder", "buildkit", *options, *words, env=env)


@pytest.fixture
def cook(dolmen: Dolmen, tmp_path: Path, daemon: Dockerd) -> Cook:
    return Cook(dolmen, kitchen_with_a_shell(tmp_path), daemon)


def test_buildkit_builds(cook: Cook, tmp_path: Path) -> None:
    kitchen = cook.kitchen
    dockerfile = """
FROM --platform=$BUILDPLATFORM example/base:1 AS build
ARG TARGETARCH MINE=m
COPY . /src
RUN --mount=type=cache,target=/c mkdir /out && cat /src/a > /out/$TARGETARCH-$MINE && \\
    cat /proc/net/dev > /out/net
RUN <<EOF
ls -a /src > "/out/seen"
EOF
FROM scratch AS unneeded
COPY missing /
FROM scratch
COPY --from=build /out /out
COPY <<EOF /text
of the Dockerfile
EOF
"""
    build_yml = "image: app\norg: example\narches: [amd64, arm64]\nconfig: {net: host}\n"
    package = kitchen.package(dockerfile, {"src/a": b"", "a": b"content\n"}, build_yml)
    done = cook.build(package)
    assert done.returncode == 0, done.stderr
    for platform in (HERE, ELSEWHERE):
        tree = kitchen.tree(platform=platform)
        content, made = tree[f"out/{platform.architecture}-m"][1], tree["text"]
        assert (content, made[1], made[0].mtime) == (b"content\n", b"of the Dockerfile\n", 0)
        assert tree["out/seen"][1].split() == [
            *(b".", b"..", b"Dockerfile", b"a", b"build.yml", b"src")
        ]
        devices = tree["out/net"][1].decode().splitlines()[2:]
        assert [d.split(":")[0].strip() for d in devices] == ["lo"]
        config = kitchen.config(platform=platform)
        assert config["config"]["Labels"] == {"org.mobyproject.config": '{"net": "host"}'}
        assert config["architecture"] == platform.architecture
    # The same bytes again: without the daemon's cache, with another umask, store and checkout.
    digests = [kitchen.image(platform=p).digest for p in (HERE, ELSEWHERE)]
    other = Kitchen(tmp_path / "other")
    shutil.copytree(package, other.root / "app")
    shutil.copytree(kitchen.store.root, other.store.root)
    cook.daemon.docker("buildx", "prune", "--all", "--force")
    before = os.umask(0o077)
    try:
        done = cook.build("--force", "--disable-cache", other.root / "app", store=other.store.root)
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stderr
    assert [other.image(platform=p).digest for p in (HERE, ELSEWHERE)] == digests


def test_a_step_that_fails_is_shown(cook: Cook) -> None:
    package = cook.kitchen.package(
        "FROM example/base:1 AS one\nRUN mkdir /a\n\n"
        "FROM one\nRUN echo before; \\\n  cat /nothing\n"
    )
    done = cook.build("--platforms", str(HERE), package)
    assert done.returncode == 1
    assert f"{package}/Dockerfile:5:1: error[DM0743]: RUN failed" in done.stderr
    assert "/nothing: No such file" in done.stderr
    assert "  5 | RUN echo before" in done.stderr


@pytest.mark.parametrize("builder", ["buildkit", "buildah"])
def test_an_agent_for_keys(cook: Cook, tmp_path: Path, builder: str) -> None:
    if not shutil.which("buildah"):
        pytest.skip("buildah is not installed")
    package = cook.kitchen.package(
        "FROM example/base:1\nRUN --mount=type=ssh test -S $SSH_AUTH_SOCK && mkdir /made\n"
    )
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(tmp_path / "agent"))
        agent.listen()
        env = {"SSH_AUTH_SOCK": str(tmp_path / "agent")}
        words = ("--platforms", str(HERE), "--builder", builder, package)
        done = cook.build("--ssh", "default", *words, env=env)
        assert done.returncode == 0, done.stderr
    assert "made" in cook.kitchen.tree(platform=HERE)


def test_a_host_without_buildah(cook: Cook, tmp_path: Path) -> None:
    # Nothing but the daemon's programs, git and what the daemon's need.
    for program in ("git", "python3"):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / program).symlink_to(shutil.which(program) or "")
    docker = cook.daemon.path.partition(":")[0]
    package = cook.kitchen.package("FROM example/base:1\nRUN mkdir /made\n")
    words = ("--builder", "auto", "--platforms", str(HERE), package)
    done = cook.build(*words, env={"PATH": f"{docker}:{tmp_path}/bin"})
    assert done.returncode == 0, done.stderr
    inputs = json.loads(cook.kitchen.image(platform=HERE).manifest.annotations["dolmen.inputs"])
    assert inputs["builder"] == "buildkit"
