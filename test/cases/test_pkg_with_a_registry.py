"""A user shares packages through a registry, and builds several with dependencies."""

from __future__ import annotations

import contextlib
import re
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from assembler.oci.platform import Platform
from assembler.oci.reference import Reference
from assembler.oci.store import Store, find_image
from support.registry_server import LOGIN, RegistryServer, registry_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.cli import Dolmen

pytestmark = pytest.mark.slow
AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """Give a registry that wants to know who one is."""
    with registry_server(tmp_path_factory.mktemp("server"), login=True) as made:
        yield made


class Packages:
    """`dolmen pkg` with a registry, and a git repository with packages."""

    def __init__(self, dolmen: Dolmen, server: RegistryServer, work: Path, team: str) -> None:
        self.dolmen = dolmen
        self.org = f"{server.host}/{team}"
        self.work = work
        self.env = {"DOLMEN_REGISTRY_CREDS": f"{server.host}={LOGIN}"}

    def write(self, name: str, dockerfile: str, build_yml: str = "") -> Path:
        """Write a package and commit it."""
        directory = self.work / name
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "build.yml").write_text(
            f"image: {name}\norg: {self.org}\narches: [amd64, arm64]\n{build_yml}"
        )
        (directory / "Dockerfile").write_text(dockerfile)
        git = ["git", "-c", "user.name=n", "-c", "user.email=e"]
        for words in (["init", "-q", "."], ["add", "-A"], ["commit", "-q", "-m", "x"]):
            subprocess.run([*git, *words], cwd=self.work, check=True)
        return directory

    def run(self, store: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run `dolmen pkg` with a store."""
        return self.dolmen.run("pkg", words[0], "--cache", store, *words[1:], env=self.env)

    def done(self, store: Path, *words: str | Path) -> str:
        """Run it, and return the last line it printed."""
        done = self.run(store, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-1]


@pytest.fixture
def pkg(
    dolmen: Dolmen, server: RegistryServer, tmp_path: Path, request: pytest.FixtureRequest
) -> Packages:
    team = request.node.name.removeprefix("test_").replace("_", "-")[:40].strip("-")
    return Packages(dolmen, server, tmp_path / "work", team)


def test_images_of_the_registry_are_not_built(pkg: Packages, tmp_path: Path) -> None:
    package = pkg.write("one", "FROM scratch\nCOPY Dockerfile /\n")
    here, there = tmp_path / "here", tmp_path / "there"
    name = pkg.done(here, "build", "--push", package)
    with taking_less_than_a_second():
        done = pkg.run(there, "build", package)
    assert (done.returncode, done.stdout.strip()) == (0, name)
    assert f"{name} is at 127.0.0.1" in done.stderr
    assert "for linux/amd64, linux/arm64, not built" in done.stderr
    assert not Store(there).names().entries
    # Asked for, it comes, for every architecture.
    assert pkg.done(there, "build", "--pull", package) == name
    for platform in (AMD64, ARM64):
        reference = Reference.parse(name)
        assert find_image(Store(there), reference, platform).digest == (
            find_image(Store(here), reference, platform).digest
        )
    with taking_less_than_a_second():
        done = pkg.run(there, "build", package)
    assert (done.returncode, done.stdout.strip()) == (0, name)
    assert f"{name} is up to date, nothing to build" in done.stderr
    # And is a single image under the tag of its architecture.
    other = tmp_path / "other"
    pulled = pkg.dolmen.run("cache", "pull", "--cache", other, f"{name}-arm64", env=pkg.env)
    assert pulled.returncode == 0, pulled.stderr


def test_an_outdated_image_of_the_registry_is_built(pkg: Packages, tmp_path: Path) -> None:
    package = pkg.write("one", "FROM scratch\nARG A\nENV A=$A\nCOPY Dockerfile /\n")
    for number in (1, 2):
        (tmp_path / str(number)).write_text(f"A={number}\n")
    here, there = tmp_path / "here", tmp_path / "there"

    def built(store: Path, number: int, *words: str) -> tuple[str, str]:
        done = pkg.run(store, "build", *words, "--build-arg-file", tmp_path / str(number), package)
        assert done.returncode == 0, done.stderr
        name = Reference.parse(done.stdout.strip())
        return done.stderr, find_image(Store(store), name, AMD64).digest

    _, first = built(there, 1)
    _, second = built(here, 2, "--push")
    assert first != second
    # The registry's image of the same tag is somebody else's business ...
    said, digest = built(there, 1, "--force")
    assert digest == first
    said, digest = built(there, 2)
    assert ": argument A changed" in said
    assert "not built" not in said
    assert digest == second
    # ... unless it is asked for, and is what would be built.
    built(there, 1, "--force")
    said, digest = built(there, 2, "--pull")
    assert "rebuilding" not in said
    assert digest == second
    said, digest = built(there, 1, "--pull")
    assert ": argument A changed" in said
    assert digest == first


@contextlib.contextmanager
def taking_less_than_a_second() -> Iterator[None]:
    """Look at the work that is done: how long it takes is a matter of who else is at work."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    yield
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1


def test_only_the_architectures_are_pushed(pkg: Packages, tmp_path: Path) -> None:
    package = pkg.write("one", "FROM scratch\nCOPY Dockerfile /\n")
    name = pkg.done(tmp_path / "here", "push", "--manifest=false", package)
    for tag, found in ((name, False), (f"{name}-amd64", True), (f"{name}-arm64", True)):
        words = ("cache", "pull", "--cache", tmp_path / "there", tag)
        done = pkg.dolmen.run(*words, env=pkg.env)
        assert (done.returncode == 0) is found, (tag, done.stderr)
    # The index comes when all machines have pushed.
    assert pkg.done(tmp_path, "index", package) == f"{name} linux/amd64,linux/arm64"
    assert pkg.dolmen.run(*words[:-1], name, env=pkg.env).returncode == 0


def test_an_incomplete_package_is_not_pushed(pkg: Packages, tmp_path: Path) -> None:
    whole = pkg.write("whole", "FROM scratch\nCOPY Dockerfile /\n")
    half = pkg.write("half", "FROM scratch\nARG TARGETARCH\nCOPY for-$TARGETARCH /\n")
    (half / "for-amd64").touch()
    half = pkg.write("half", (half / "Dockerfile").read_text())
    done = pkg.run(tmp_path / "here", "push", half, whole)
    names = {n: pkg.done(tmp_path / "here", "show-tag", pkg.work / n) for n in ("whole", "half")}
    assert (done.returncode, done.stdout.strip()) == (1, names["whole"])
    for name, found in ((names["whole"], True), (f"{names['half']}-amd64", False)):
        words = ("cache", "pull", "--cache", tmp_path / "there", name)
        assert (pkg.dolmen.run(*words, env=pkg.env).returncode == 0) is found, name


def test_an_unreachable_registry_does_not_prevent_a_build(pkg: Packages, tmp_path: Path) -> None:
    pkg.org = "127.0.0.1:1/team"
    package = pkg.write("one", "FROM scratch\nCOPY Dockerfile /\n")
    began = time.monotonic()
    done = pkg.run(tmp_path / "store", "build", package)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 10
    assert pkg.run(tmp_path / "store", "build", "--push", package).returncode == 1


def test_a_missing_image_is_not_pushed(pkg: Packages, tmp_path: Path) -> None:
    package = pkg.write("one", "FROM scratch\nCOPY Dockerfile /\n")
    store = tmp_path / "store"
    done = pkg.run(store, "push", "--nobuild", package)
    assert done.returncode == 1
    assert f"dolmen pkg build {package}" in done.stderr
    assert pkg.run(store, "build", "--nobuild", package).returncode == 2
    name = pkg.done(store, "build", "--offline", package)
    assert pkg.done(store, "push", "--nobuild", package) == name


def test_an_index_of_images_from_two_hosts(pkg: Packages, tmp_path: Path) -> None:
    package = pkg.write("one", "FROM scratch\nCOPY Dockerfile /\n")
    stores = tmp_path / "a", tmp_path / "b"
    name = ""
    for store, platform in zip(stores, ("linux/amd64", "linux/arm64"), strict=True):
        name = pkg.done(store, "build", "--offline", "--platforms", platform, package)
        override = ("cache", "push", "--cache", store, f"{name}-{platform[-5:]}")
        done = pkg.dolmen.run(*override, env=pkg.env)
        assert done.returncode == 0, done.stderr
    assert pkg.done(tmp_path, "index", package) == f"{name} linux/amd64,linux/arm64"
    assert pkg.run(tmp_path, "remote-tag", name, "v1").returncode == 0
    other = tmp_path / "other"
    release = name.rpartition(":")[0] + ":v1"
    done = pkg.dolmen.run("cache", "pull", "--cache", other, release, env=pkg.env)
    assert done.returncode == 0, done.stderr
    for platform in (AMD64, ARM64):
        assert (
            find_image(Store(other), Reference.parse(release), platform).config.platform == platform
        )
    missing = pkg.write("two", "FROM scratch\nCOPY Dockerfile /\n")
    done = pkg.run(tmp_path, "index", missing)
    assert (done.returncode, "dolmen pkg push" in done.stderr) == (1, True)


def test_packages_are_built_after_their_dependencies(pkg: Packages, tmp_path: Path) -> None:
    pkg.write("base", "FROM scratch\nCOPY Dockerfile /base\n")
    pkg.write("tool", "FROM scratch\nCOPY Dockerfile /tool\n")
    tool = "WITH_" + re.sub("[^A-Z0-9]", "_", f"{pkg.org}/tool".upper())
    top = pkg.write(
        "app",
        f"ARG BASE\nFROM $BASE\nARG {tool} WITH_BASE\nENV TOOL=${tool} BASE=$WITH_BASE\n",
        "buildArgs:\n- BASE=@lkt:pkg:../base\n- WITH_%=@dolmen:pkgs:../*o*l\n"
        "- WITH_BASE=@dolmen:pkg:../base\n",
    )
    store = tmp_path / "store"
    name = pkg.done(store, "build", "--offline", top)
    env = find_image(Store(store), Reference.parse(name), ARM64).config.env
    tags = {n: pkg.done(store, "show-tag", pkg.work / n) for n in ("base", "tool")}
    assert {f"TOOL={tags['tool']}", f"BASE={tags['base']}"} <= set(env)
    names = {n for e in Store(store).names().entries for n in e.names}
    assert {tags["base"], tags["tool"]} <= names


def test_cached_base_images_can_be_ignored(pkg: Packages, tmp_path: Path) -> None:
    pkg.write("local", "FROM scratch\nCOPY Dockerfile /local\n")
    app = pkg.write(
        "app",
        f"ARG LOCAL\nFROM $LOCAL AS local\nFROM {pkg.org}/moving:1\nCOPY --from=local /local /\n",
        "buildArgs: ['LOCAL=@lkt:pkg:../local']\n",
    )
    here, there = tmp_path / "here", tmp_path / "there"

    def version(number: int, *words: str) -> str | None:
        base = pkg.write("moving", f"FROM scratch\nENV NUMBER={number}\n")
        pkg.done(there, "push", "--tag", "1", "--force", base)
        name = pkg.done(here, "build", "--force", *words, app)
        env = find_image(Store(here), Reference.parse(name), AMD64).config.env
        return next((e for e in env if e.startswith("NUMBER=")), None)

    assert version(1) == "NUMBER=1"
    assert version(2) == "NUMBER=1"
    # The package that is only on this machine is not looked for at the registry.
    assert version(3, "--ignore-cached") == "NUMBER=3"


def test_circular_dependencies_are_an_error(pkg: Packages, tmp_path: Path) -> None:
    one = pkg.write("one", "FROM scratch\n", "buildArgs: ['X=@lkt:pkg:../two']\n")
    pkg.write("two", "FROM scratch\n", "buildArgs: ['X=@lkt:pkg:../one']\n")
    done = pkg.run(tmp_path / "store", "build", "--offline", one)
    assert (done.returncode, "in a circle" in done.stderr) == (1, True)


def test_two_builds_of_one_package_at_once(pkg: Packages, tmp_path: Path) -> None:
    package = pkg.write("one", "FROM scratch\nCOPY Dockerfile /\n")
    words = ["pkg", "build", "--offline", "--cache", tmp_path / "store", package]
    command = [sys.executable, "-m", "dolmen", *words]
    running = [
        subprocess.Popen(
            command, env=pkg.dolmen.environment(pkg.env), stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    said = [process.communicate(timeout=120)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], said
    assert sorted("nothing to build" in errors for errors in said) == [False, True, True]
