"""A user frees space: Debian packages and package lists are removed from the store."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from assembler.oci.store import Store
from support.debian import make_archive
from support.recipes import LIBRARY, TOOL, Packages, both, make_package

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen

pytestmark = pytest.mark.slow
DAY = 86400


@pytest.fixture
def pkg(dolmen: Dolmen, tmp_path: Path) -> Packages:
    """Give a store that a recipe was built in."""
    archive = make_archive(tmp_path / "archive", [*both(LIBRARY), *both(TOOL)])
    pkg = Packages(dolmen, archive, tmp_path / "store")
    pkg.build("--platforms", "amd64", make_package(tmp_path / "work" / "tool"))
    return pkg


def clean(pkg: Packages, *words: str) -> str:
    done = pkg.dolmen.run("--cache", pkg.store, "cache", "clean", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def aged(path: Path, days: float) -> Path:
    when = time.time() - days * DAY
    for one in (path, *path.rglob("*")) if path.is_dir() else (path,):
        os.utime(one, (when, when))
    return path


def test_packages_unused_for_a_month_are_removed(pkg: Packages) -> None:
    pool = pkg.store / "debs" / "pool"
    old, young = sorted(pool.iterdir())
    (lists,) = (pkg.store / "debs" / "python").iterdir()
    aged(old, 31)
    aged(young, 29)
    assert "1 Debian package" in clean(pkg, "--dry-run")
    assert old.exists()
    assert "1 Debian package" in clean(pkg)
    assert [*pool.iterdir()] == [young]
    assert lists.exists()
    aged(lists, 31)
    assert "1 leftover" in clean(pkg)
    assert not lists.exists()
    assert "1 Debian package" in clean(pkg, "--older-than", "20d")
    assert [*pool.iterdir()] == []


def test_clean_all_removes_unused_packages(pkg: Packages) -> None:
    pool = pkg.store / "debs" / "pool"
    (pool / ".x.part").write_bytes(b"half")
    left = pkg.store / "debs" / "tmp" / "left"
    left.mkdir(parents=True)
    with Store(pkg.store).in_use():
        used, unused = sorted(p for p in pool.iterdir() if p.suffix == ".deb")
        time.sleep(2.1)
        os.utime(used)
        aged(unused, 1)
        clean(pkg, "--all")
        assert used.exists()
        assert not unused.exists()
    clean(pkg, "--all")
    assert [*pool.iterdir()] == [pool / ".x.part"]
    assert [*(pkg.store / "debs" / "python").iterdir()] == []
    # What may still be written to is left alone for an hour.
    aged(pool / ".x.part", 1)
    aged(left, 1)
    assert "2 leftovers" in clean(pkg)
    assert [*pool.iterdir()] == []
    assert not left.exists()
