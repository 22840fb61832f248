"""Programs of a newer Debian than this machine's, installed below pytest's cache by recipes."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from assembler.oci.platform import host_platform
from support.cli import Dolmen

if TYPE_CHECKING:
    from pathlib import Path

# The archive cannot be reached, or contradicts itself while it is updated.
_NO_ARCHIVE = ("DM0721", "DM0722", "DM0725")


def installed(config: pytest.Config, work: Path, name: str, packages: str, keep: str) -> Path:
    """Return a tree with packages, without what they depend on; it is kept from run to run."""
    assert config.cache is not None
    kept = config.cache.mkdir(f"debian-{name}")
    with (kept / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (kept / "whole").exists():
            _install(kept / "root", work, f"packages: [{packages}]\n  no-deps: true\n  {keep}")
            (kept / "whole").touch()
    return kept / "root"


def _install(root: Path, work: Path, recipe: str) -> None:
    package = work / "package"
    package.mkdir()
    (work / "home").mkdir()
    (package / "build.yml").write_text(
        f"image: programs\norg: example\ndebs:\n  suite: trixie\n  {recipe}\n"
    )
    dolmen, store = Dolmen(work / "home"), ("--cache", work / "store")
    # Nothing is looked up in a registry if it is to be built in any case.
    options = ("--force", "--hash", "1", "--platforms", str(host_platform()))
    built = dolmen.run("pkg", "build", *options, *store, package)
    skip_without_an_archive(built)
    assert built.returncode == 0, built.stderr
    packed = work / "programs.tar"
    words = ("cache", "export", "--format", "filesystem", "-o", packed, "example/programs:1")
    exported = dolmen.run(*words, *store)
    assert exported.returncode == 0, exported.stderr
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    subprocess.run(["tar", "-C", root, "-xf", packed], check=True)


def skip_without_an_archive(built: subprocess.CompletedProcess[str]) -> None:
    """Skip the test if a build failed because no archive of Debian can be reached."""
    if built.returncode and any(code in built.stderr for code in _NO_ARCHIVE):
        pytest.skip(f"no archive of Debian can be reached here: {built.stderr[-400:]}")
