"""A user has only a Docker daemon: it builds packages, and images are loaded and exported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from assembler.oci.platform import Platform, host_platform
from support.dockerd import Dockerd, dockerd
from support.dockerfiles import Kitchen, kitchen_with_a_shell, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.cli import Dolmen

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.getuid() != 0, reason="the test's base is made for root"),
]
HERE = host_platform()
ELSEWHERE = Platform("linux", "arm64" if HERE.architecture == "amd64" else "amd64")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dockerd]:
    """Give a Docker daemon of the tests' own."""
    with dockerd(tmp_path_factory.mktemp("dockerd") / "d") as running:
        yield running


@pytest.fixture
def kitchen(tmp_path: Path) -> Kitchen:
    return kitchen_with_a_shell(tmp_path)


class Cook:
    """`dolmen` with the daemon and a kitchen's store."""

    def __init__(self, dolmen: Dolmen, kitchen: Kitchen, daemon: Dockerd) -> None:
        self.kitchen, self.dolmen, self.daemon = kitchen, dolmen, daemon

    def words(self, *words: str | Path) -> list[str | Path]:
        options = ("--offline", "--hash", "h", "--builder", "docker")
        return ["pkg", "build", *options, "--cache", self.kitchen.store.root, *words]

    def build(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run `dolmen pkg build` by the daemon."""
        return self.dolmen.run(*self.words(*words), env=self.daemon.env)


@pytest.fixture
def cook(dolmen: Dolmen, kitchen: Kitchen, daemon: Dockerd) -> Cook:
    return Cook(dolmen, kitchen, daemon)


def test_the_classic_builder_builds(cook: Cook, kitchen: Kitchen) -> None:
    dockerfile = """
FROM example/base:1 AS build
ARG TARGETARCH
COPY . /src
RUN mkdir /out && cat /src/a > /out/$TARGETARCH && cat /proc/net/dev > /out/net && \\
    ls -a /src > /out/seen
FROM scratch AS unneeded
COPY missing /
FROM example/base:1
COPY --from=build /out /
"""
    build_yml = "image: app\norg: example\nconfig: {net: host}\n"
    package = kitchen.package(dockerfile, {"src/a": b"", "a": b"content\n"}, build_yml)
    done = cook.build("--platforms", str(HERE), package)
    assert done.returncode == 0, done.stderr
    assert "warning[DM0745]" in done.stderr
    tree = kitchen.tree(platform=HERE)
    assert tree[HERE.architecture][1] == b"content\n"
    devices = tree["net"][1].decode().splitlines()[2:]
    assert [d.split(":")[0].strip() for d in devices] == ["lo"]
    # The context is as it was: the Dockerfile that the daemon gets is not in it.
    assert tree["seen"][1].split() == [b".", b"..", b"Dockerfile", b"a", b"build.yml", b"src"]
    image = kitchen.image(platform=HERE)
    base = kitchen.image("example/base:1", HERE)
    assert image.manifest.layers[:1] == base.manifest.layers
    config = kitchen.config(platform=HERE)
    assert config["config"]["Labels"] == {"org.mobyproject.config": '{"net": "host"}'}
    assert config["created"] == "1970-01-01T00:00:00Z"
    # Of names, only that of the base stays in the daemon.
    names = cook.daemon.docker("images", "--format", "{{.Repository}}").split()
    assert {name[:12] for name in names if name != "<none>"} == {"dolmen-base-"}
    assert not cook.daemon.docker("ps", "--all", "--quiet")


def test_a_step_that_fails_is_shown(cook: Cook, kitchen: Kitchen) -> None:
    package = kitchen.package(
        "ARG A=1\nFROM example/base:1 AS one\nRUN mkdir /a\n"
        "FROM one\nRUN echo before; \\\n  cat /no\n"
    )
    done = cook.build("--platforms", str(HERE), package)
    assert done.returncode == 1
    assert f"{package}/Dockerfile:5:1: error[DM0743]: RUN failed" in done.stderr
    # The daemon mixes the two streams of a step as they come.
    assert "No such file" in done.stderr
    assert "  5 | RUN echo before" in done.stderr
    assert "network: true" in done.stderr
    assert not kitchen.store.names().named("docker.io/example/app:h")


def test_unsupported_features_of_the_classic_builder(cook: Cook, kitchen: Kitchen) -> None:
    package = kitchen.package("FROM example/base:1\nRUN --mount=type=cache,target=/c true\n")
    done = cook.build("--platforms", str(HERE), package)
    assert (done.returncode, "Dockerfile:2:5" in done.stderr) == (1, True), done.stderr
    assert "classic builder does not support RUN --mount" in done.stderr


def test_cross_compilation_on_this_host(cook: Cook, kitchen: Kitchen) -> None:
    package = kitchen.package(
        "FROM --platform=$BUILDPLATFORM example/base:1 AS build\nARG TARGETARCH\n"
        "RUN echo for $TARGETARCH > /made\nFROM scratch\nCOPY --from=build /made /\n"
    )
    done = cook.build("--platforms", str(ELSEWHERE), package)
    assert done.returncode == 0, done.stderr
    made = kitchen.tree(platform=ELSEWHERE)["made"][1]
    assert made == f"for {ELSEWHERE.architecture}\n".encode()
    assert kitchen.image(platform=ELSEWHERE).config.platform == ELSEWHERE


def test_an_interrupted_build_leaves_nothing(cook: Cook, kitchen: Kitchen) -> None:
    package = kitchen.package("FROM example/base:1\nRUN sleep 4322\n")
    command = [sys.executable, "-m", "dolmen", *cook.words("--platforms", str(HERE), package)]
    environment = cook.dolmen.environment(cook.daemon.env)
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: bool(cook.daemon.docker("ps", "--quiet")))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in errors) == (130, False), errors
    wait_until(lambda: not cook.daemon.docker("ps", "--quiet"))
    assert not list((kitchen.store.root / "building").iterdir())
    assert not kitchen.store.names().named("docker.io/example/app:h")


def test_an_image_is_loaded_into_the_daemon_and_used(
    cook: Cook, kitchen: Kitchen, tmp_path: Path
) -> None:
    package = kitchen.package("FROM example/base:1\nCMD cat /proc/self/comm\n")
    done = cook.build("--docker", "--platforms", str(HERE), package)
    assert done.returncode == 0, done.stderr
    ran = cook.daemon.docker("run", "--rm", "--network", "none", "example/app:h")
    assert ran == "cat\n"
    # Another store has nothing; what is built there comes out of the daemon.
    (tmp_path / "image.yml").write_text("init: ['example/app:h']\n")
    words = ("--cache", tmp_path / "other", "--format", "tar", "--dir", tmp_path)
    done = cook.dolmen.run("build", "--docker", *words, tmp_path / "image.yml", env=cook.daemon.env)
    assert done.returncode == 0, done.stderr
    with tarfile.open(tmp_path / "image.tar") as tar:
        assert "bin/cat" in tar.getnames()


def test_a_missing_daemon_is_an_error(cook: Cook, kitchen: Kitchen, tmp_path: Path) -> None:
    package = kitchen.package("FROM example/base:1\nRUN true\n")
    env = {"DOCKER_HOST": f"unix://{tmp_path}/nothing"}
    done = cook.dolmen.run(*cook.words("--platforms", str(HERE), package), env=env)
    assert done.returncode == 1
    assert "Dockerfile:2:1: error" in done.stderr
    assert "no Docker daemon responds" in done.stderr
