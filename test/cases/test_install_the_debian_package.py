"""A user makes the wheel and the Debian package: the same bytes each time, without root."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
_PATH = {"PYTHONPATH": "packaging:docs"}
_OTHER = {"TZ": "Asia/Tokyo", "LC_ALL": "C", "LANG": "de_DE.UTF-8"}


def make(module: str, directory: Path, *, elsewhere: bool = False, clock: str = "") -> Path:
    """Build into a directory, and return the path that is printed last.

    `elsewhere`: with another umask, time zone and language.
    """
    command = [sys.executable, "-m", module, "--directory", directory]
    if elsewhere:
        command = ["sh", "-c", 'umask 077; exec "$@"', "sh", *command]
    if clock:
        command = ["faketime", clock, *command]
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env={**os.environ, **_PATH, **(_OTHER if elsewhere else {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.splitlines()[-1])


def state_of_git() -> str:
    command = ["git", "-C", REPOSITORY, "status", "--porcelain", "--untracked-files=all"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_wheel_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    first = make("release.wheel", tmp_path / "first")
    second = make("release.wheel", tmp_path / "second", elsewhere=True, clock="2031-05-06 07:08:09")
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


@pytest.fixture(scope="module")
def deb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the Debian package for this machine."""
    return make("release.deb", tmp_path_factory.mktemp("deb"))


def test_the_package_has_the_same_bytes_each_time(deb: Path, tmp_path: Path) -> None:
    before = state_of_git()
    again = make("release.deb", tmp_path, elsewhere=True)
    assert again.name == deb.name
    assert again.read_bytes() == deb.read_bytes()
    assert state_of_git() == before


def test_lintian_has_nothing_to_say(deb: Path) -> None:
    command = ["lintian", "--allow-root", "--fail-on", "error,warning", deb]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_its_libraries_can_be_imported(deb: Path, tmp_path: Path) -> None:
    subprocess.run(["dpkg-deb", "-x", deb, tmp_path], check=True)
    site = tmp_path / "usr/lib/dolmen/site-packages"
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "import docker, lz4.block, oras.provider, pycdlib, pyroute2, rich.progress, ruamel.yaml\n"
        "from debian import debian_support\n"
        "from cryptography import x509\n"
        "from isal import igzip_lib, isal_zlib\n"
        "from jsonschema.validators import Draft202012Validator\n"
        "import zstandard; print(zstandard.backend, zstandard.__file__)"
    )
    # Without this environment's own libraries.
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["cext", str(site / "zstandard/__init__.py")]


def test_the_package_has_what_users_look_for(deb: Path) -> None:
    listing = subprocess.run(["dpkg-deb", "-c", deb], capture_output=True, text=True, check=True)
    paths = {line.split()[5] for line in listing.stdout.splitlines()}
    assert {
        "./usr/bin/dolmen",
        "./usr/share/man/man1/dolmen.1.gz",
        "./usr/share/bash-completion/completions/dolmen",
        "./usr/share/zsh/vendor-completions/_dolmen",
        "./usr/share/fish/vendor_completions.d/dolmen.fish",
        "./usr/share/doc/dolmen/copyright",
        "./usr/share/doc/dolmen/changelog.Debian.gz",
    } <= paths
