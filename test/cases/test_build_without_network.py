"""A user builds with --offline: no socket to the network is opened, for any stage."""

from __future__ import annotations

import http.server
import shutil
import subprocess
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from assembler.oci.platform import host_platform
from support.debian import make_archive
from support.dockerfiles import kitchen_with_a_shell
from support.recipes import ENGINES, LIBRARY, TOOL, Packages, both, commit, make_package
from support.tracing import network_calls, run_without_network

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.cli import Dolmen

pytestmark = pytest.mark.slow
HERE = host_platform()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server of files that prints nothing."""

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    """Give the URL of an archive of Debian packages."""
    archive = make_archive(tmp_path / "archive", [*both(LIBRARY), *both(TOOL)])
    handler = partial(Quiet, directory=archive)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(params=ENGINES)
def pkg(dolmen: Dolmen, mirror: str, tmp_path: Path, request: pytest.FixtureRequest) -> Packages:
    """Give `dolmen pkg` with an archive on the network."""
    pkg = Packages(dolmen, tmp_path, tmp_path / "store", request.param)
    pkg.env["DOLMEN_DEBIAN_MIRROR"] = f"[trusted=yes] {mirror}"
    return pkg


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return make_package(tmp_path / "work" / "tool")


class Isolated:
    """Commands with --offline where there is no network; none of them may look for one."""

    def __init__(self, pkg: Packages, directory: Path) -> None:
        self.pkg, self.log = pkg, directory / "trace"

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        command = ("--cache", self.pkg.store, *words)
        done = run_without_network(self.pkg.dolmen, self.log, *command, env=self.pkg.env)
        assert network_calls(self.log) == []
        return done


@pytest.fixture
def isolated(pkg: Packages, tmp_path: Path) -> Isolated:
    return Isolated(pkg, tmp_path)


def test_a_recipe_needs_what_earlier_builds_have_left(
    pkg: Packages, package: Path, isolated: Isolated
) -> None:
    words = ("pkg", "build", "--offline", "--force", "--platforms", str(HERE), package)
    start = time.monotonic()
    cold = isolated.run(*words)
    assert time.monotonic() - start < 10
    assert cold.returncode == 1
    assert "error[DM0738]: the store has no package lists of trixie for" in cold.stderr
    assert f"run once while online: dolmen pkg build --platforms {HERE} {package}" in cold.stderr
    name = pkg.build("--force", "--platforms", str(HERE), package)
    made = pkg.digest(name)
    warm = isolated.run(*words)
    assert (warm.returncode, warm.stdout.strip()) == (0, name), warm.stderr
    assert pkg.digest(name) == made


def test_kept_indexes_do_not_become_too_old(
    pkg: Packages, package: Path, isolated: Isolated
) -> None:
    pkg.build("--force", "--platforms", str(HERE), package)
    for path in pkg.store.glob("debs/*/*/*"):
        if path.name in ("updated", "known"):
            subprocess.run(["touch", "-d", "2001-01-01", path], check=True)
    warm = isolated.run("pkg", "build", "--offline", "--force", "--platforms", str(HERE), package)
    assert warm.returncode == 0, warm.stderr


def test_a_lock_needs_no_indexes(pkg: Packages, package: Path, isolated: Isolated) -> None:
    assert pkg.run("lock", package).returncode == 0
    commit(package)
    words = ("pkg", "build", "--offline", "--force", "--platforms", str(HERE), package)
    lacking = isolated.run(*words)
    assert lacking.returncode == 1
    assert "the store lacks libtool 2:1.0+b1, tool 1.0, and --offline forbids" in lacking.stderr
    pkg.build("--force", "--platforms", str(HERE), package)
    for engine in ("apt", "python"):
        subprocess.run(["rm", "-rf", pkg.store / "debs" / engine], check=True)
    warm = isolated.run(*words)
    assert warm.returncode == 0, warm.stderr


def test_a_system_with_packages(
    pkg: Packages, package: Path, isolated: Isolated, tmp_path: Path
) -> None:
    yaml = package.parent / "image.yml"
    yaml.write_text("init: ['@pkg:tool']\n")
    words = ("build", "--offline", "--format", "tar", "--no-sbom", "--dir", tmp_path, yaml)
    cold = isolated.run(*words)
    assert cold.returncode == 1
    assert "DM0738" in cold.stderr
    # Only the packages and indexes are kept, and no image of the package.
    pkg.build("--force", "--platforms", str(HERE), "--hash", "other", package)
    warm = isolated.run(*words)
    assert warm.returncode == 0, warm.stderr
    assert (tmp_path / "image.tar").exists()


def test_nothing_is_fetched_by_url(dolmen: Dolmen, tmp_path: Path) -> None:
    log = tmp_path / "trace"
    for command in (("build",), ("run", "qemu")):
        done = run_without_network(dolmen, log, *command, "--offline", "http://127.0.0.1:1/a.yml")
        assert done.returncode == 1
        assert "--offline forbids to fetch http://127.0.0.1:1/a.yml" in done.stderr
        assert network_calls(log) == []


@pytest.mark.parametrize(
    ("dockerfile", "message"),
    [
        ("ADD https://127.0.0.1:1/x /x", "--offline forbids ADD of https://127.0.0.1:1/x"),
        ("ADD git@127.0.0.1:x.git /x", "--offline forbids ADD of git@127.0.0.1:x.git"),
    ],
)
def test_dockerfiles_fetch_nothing(
    dolmen: Dolmen, tmp_path: Path, dockerfile: str, message: str
) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "build.yml").write_text("image: app\norg: example\n")
    (package / "Dockerfile").write_text(f"FROM scratch\n{dockerfile}\n")
    log = tmp_path / "trace"
    words = ("pkg", "build", "--offline", "--hash", "h", "--cache", tmp_path / "store", package)
    done = run_without_network(dolmen, log, *words)
    assert done.returncode == 1
    assert f"error[DM0739]: {message}" in done.stderr
    assert "Dockerfile:2:" in done.stderr
    assert network_calls(log) == []


@pytest.mark.skipif(not shutil.which("buildah"), reason="buildah is not installed")
def test_run_has_no_network(dolmen: Dolmen, tmp_path: Path) -> None:
    """--offline is stronger than --network and the `network: true` of a package."""
    kitchen = kitchen_with_a_shell(tmp_path)
    package = kitchen.package(
        "FROM example/base:1\nRUN cat /proc/net/dev > /net\n",
        None,
        f"image: app\norg: example\narches: [{HERE.architecture}]\nnetwork: true\n",
    )
    words = ("pkg", "build", "--offline", "--network", "--hash", "h", "--builder", "buildah")
    done = dolmen.run(*words, "--cache", kitchen.store.root, package)
    assert done.returncode == 0, done.stderr
    devices = kitchen.tree(platform=HERE)["net"][1].decode().splitlines()[2:]
    assert [line.split(":")[0].strip() for line in devices] == ["lo"]
    kitchen.package(
        "FROM example/base:1\nRUN false\n", None, package.joinpath("build.yml").read_text()
    )
    failed = dolmen.run(*words, "--force", "--cache", kitchen.store.root, package)
    assert failed.returncode == 1
    assert "RUN has no network because of --offline" in failed.stderr


def test_a_daemon_on_another_machine_is_refused(dolmen: Dolmen, tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "build.yml").write_text("image: app\norg: example\n")
    (package / "Dockerfile").write_text("FROM scratch\nRUN make\n")
    log = tmp_path / "trace"
    words = ("pkg", "build", "--offline", "--hash", "h", "--builder", "docker", package)
    done = run_without_network(dolmen, log, *words, env={"DOCKER_HOST": "tcp://127.0.0.1:1"})
    assert done.returncode == 1
    assert "--offline forbids to use the Docker daemon at tcp://127.0.0.1:1" in done.stderr
    assert network_calls(log) == []


def test_no_network_is_reported_once(dolmen: Dolmen, tmp_path: Path) -> None:
    yaml = tmp_path / "image.yml"
    services = [f"- {{name: s{n}, image: 'example/service:{n}'}}\n" for n in range(6)]
    yaml.write_text("".join(["init: ['docker.io/example/init:1']\nservices:\n", *services]))
    words = ("build", "--format", "tar", "--dir", tmp_path, "--cache", tmp_path / "store", yaml)
    start = time.monotonic()
    done = run_without_network(dolmen, tmp_path / "trace", *words)
    assert time.monotonic() - start < 10
    assert done.returncode == 1
    assert done.stderr.count("error[") == 1
    assert "error[DM0302]: docker.io/example/" in done.stderr
    assert "there is no host registry-1.docker.io" in done.stderr
    assert "6 other images cannot be pulled for this reason" in done.stderr


@pytest.mark.parametrize("engine", ENGINES)
def test_a_mirror_without_network_is_reported_once(
    dolmen: Dolmen, package: Path, tmp_path: Path, engine: str
) -> None:
    words = ("--recipe-engine", engine, "--debian-mirror", "[trusted=yes] http://mirror.invalid")
    command = ("pkg", "build", "--force", "--platforms", str(HERE), *words)
    start = time.monotonic()
    done = run_without_network(
        dolmen, tmp_path / "trace", *command, "--cache", tmp_path / "store", package
    )
    assert time.monotonic() - start < 15
    assert done.returncode == 1
    assert done.stderr.count("error[DM0721]: ") == 1
    assert done.stderr.count("mirror.invalid") == 1
    assert "there is no host mirror.invalid" in done.stderr
