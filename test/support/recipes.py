"""Packages with a recipe, built by the command line from archives that tests make."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from assembler.oci.platform import Platform
from assembler.oci.reference import Reference
from assembler.oci.store import Store, find_image
from support.debian import Deb

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen

HAS_APT = shutil.which("apt-get") is not None
needs_apt = pytest.mark.skipif(not HAS_APT, reason="apt-get is not installed")
# What tests of recipes are run with.
ENGINES = [pytest.param("apt", marks=needs_apt), "python"]
RECIPE = """
image: tool
arches: [amd64, arm64]
config: {binds: ["/etc/x:/etc/x"]}
debs:
  suite: trixie
  packages: [tool]
  command: [/usr/bin/tool]
"""
LIBRARY = Deb("libtool", "2:1.0+b1", files={"usr/lib/libtool.so": b"1.0"})
TOOL = Deb("tool", files={"usr/bin/tool": b"amd64"}, fields={"Depends": "libtool (>= 2:1.0)"})


def both(deb: Deb) -> list[Deb]:
    """Return a package for two architectures."""
    return [Deb(deb.name, deb.version, a, deb.files, deb.fields) for a in ("amd64", "arm64")]


def make_package(directory: Path) -> Path:
    """Write a package with a recipe into a repository of its own, and commit it."""
    directory.mkdir(parents=True)
    (directory / "build.yml").write_text(RECIPE)
    git(directory.parent, "init", "-q", ".")
    commit(directory)
    return directory


def git(directory: Path, *words: str) -> None:
    """Run git as somebody."""
    command = ["git", "-c", "user.name=n", "-c", "user.email=e", *words]
    subprocess.run(command, cwd=directory, check=True)


def commit(package: Path) -> None:
    """Commit everything."""
    git(package, "add", "-A", ".")
    git(package, "commit", "-q", "-m", "x")


class Packages:
    """`dolmen pkg` with an archive and a store."""

    def __init__(self, dolmen: Dolmen, archive: Path, store: Path, engine: str = "python") -> None:
        self.dolmen = dolmen
        self.store = store
        self.env = {
            "DOLMEN_DEBIAN_MIRROR": f"[trusted=yes] file:{archive}",
            "DOLMEN_RECIPE_ENGINE": engine,
        }

    def run(self, *words: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        words = ("pkg", words[0], "--cache", self.store, *words[1:])
        return self.dolmen.run(*words, env=self.env | env)

    def build(self, *words: str | Path, **env: str) -> str:
        done = self.run("build", *words, **env)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()[-1]

    def layer(self, name: str, arch: str = "amd64") -> tarfile.TarFile:
        store = Store(self.store)
        image = find_image(store, Reference.parse(name), Platform("linux", arch))
        data = store.path(image.manifest.layers[0].digest).read_bytes()
        return tarfile.open(fileobj=io.BytesIO(data))

    def digest(self, name: str) -> str:
        return find_image(Store(self.store), Reference.parse(name), Platform()).digest
