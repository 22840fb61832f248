"""A package gives the same image at any time, on any host and for any user."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from assembler.oci.reference import Reference
from assembler.oci.store import Store
from support.debian import make_archive
from support.recipes import ENGINES, LIBRARY, RECIPE, TOOL, Packages, both, commit, git

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen

pytestmark = pytest.mark.slow
# Another clock for a whole process: what asks Python for the time is told of another year.
CLOCK = """
import time
_time, _gmtime, _localtime, _time_ns = time.time, time.gmtime, time.localtime, time.time_ns
_LATER = 400 * 86400
time.time = lambda: _time() + _LATER
time.time_ns = lambda: _time_ns() + _LATER * 10**9
time.gmtime = lambda s=None: _gmtime(time.time() if s is None else s)
time.localtime = lambda s=None: _localtime(time.time() if s is None else s)
"""
DOCKERFILE = """
FROM scratch AS first
COPY --chmod=0700 bin/ /usr/bin/
WORKDIR /made/by/workdir
ADD data.txt ./
FROM first
COPY --from=first /usr/bin/hello /copy/
ARG REVISION SOURCE_DATE_EPOCH
ENV WHEN=$SOURCE_DATE_EPOCH
LABEL revision=$REVISION
USER 65534
CMD ["/usr/bin/hello"]
"""


@dataclass(frozen=True)
class Place:
    """Where a package is built: a directory, a store, an umask, an environment."""

    directory: Path
    store: Path
    umask: int
    env: dict[str, str] = field(default_factory=dict)


def places(tmp_path: Path) -> tuple[Place, Place]:
    """Return two that have nothing in common."""
    clock = tmp_path / "clock"
    clock.mkdir()
    (clock / "sitecustomize.py").write_text(CLOCK)
    here = {"TZ": "UTC", "LC_ALL": "C", "PYTHONHASHSEED": "1", "USER": "one"}
    there = {
        "TZ": "Asia/Tokyo",
        "LC_ALL": "C.UTF-8",
        "LANG": "tr_TR.UTF-8",
        "PYTHONHASHSEED": "2",
        "USER": "somebody-else",
        "PYTHONPATH": str(clock),
        "COLUMNS": "40",
    }
    return (
        Place(tmp_path / "here" / "work", tmp_path / "here" / "store", 0o022, here),
        Place(tmp_path / "there" / "a" / "b" / "w", tmp_path / "there" / "s", 0o077, there),
    )


def built(pkg: Packages, place: Place, name: str) -> bytes:
    """Build a package at a place and return the index of its image."""
    words = ["pkg", "build", "--offline", "--cache", str(place.store), str(place.directory / name)]
    done = subprocess.run(
        [sys.executable, "-m", "dolmen", *words],
        env=pkg.dolmen.environment(pkg.env | place.env),
        umask=place.umask,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    store = Store(place.store)
    (entry,) = store.names().named(str(Reference.parse(done.stdout.strip())))
    # The index names every image, their layers and what is attested by digests.
    return store.read(entry.descriptor)


def cloned(origin: Path, place: Place) -> None:
    """Bring a repository to a place, with files of another time and other modes."""
    place.directory.parent.mkdir(parents=True, exist_ok=True)
    before = os.umask(place.umask)
    try:
        git(origin, "clone", "-q", str(origin), str(place.directory))
    finally:
        os.umask(before)
    for path in place.directory.rglob("*"):
        if ".git" not in path.parts:
            os.utime(path, (1_000_000_000 + place.umask, 1_000_000_000 + place.umask))


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    origin = tmp_path / "origin"
    recipe, dockerfile = origin / "tool", origin / "app"
    for directory in (recipe, dockerfile / "bin"):
        directory.mkdir(parents=True)
    own = "  files:\n    - {path: /etc/own, source: own}\n    - {path: /run, source: run}\n"
    users = "  users: [www-data, 'web:101']\n  links: {/usr/bin/t: tool}\n"
    (recipe / "build.yml").write_text(RECIPE + own + users)
    for name, mode in (("own", 0o644), ("run", 0o755)):
        (recipe / name).write_text(name)
        (recipe / name).chmod(mode)
    (dockerfile / "build.yml").write_text("image: app\norg: example\narches: [amd64, arm64]\n")
    (dockerfile / "Dockerfile").write_text(DOCKERFILE)
    (dockerfile / "bin" / "hello").write_text("#!/bin/sh\n")
    (dockerfile / "data.txt").write_text("\N{LATIN SMALL LETTER DOTLESS I}\n")
    git(origin, "init", "-q", ".")
    commit(origin)
    return origin


@pytest.mark.parametrize("engine", ENGINES)
def test_a_recipe(dolmen: Dolmen, tmp_path: Path, origin: Path, engine: str) -> None:
    archive = make_archive(tmp_path / "archive", [*both(LIBRARY), *both(TOOL)])
    pkg = Packages(dolmen, archive, tmp_path / "unused", engine)
    indexes = []
    for place in places(tmp_path):
        cloned(origin, place)
        indexes.append(built(pkg, place, "tool"))
    assert indexes[0] == indexes[1]


def test_a_dockerfile(dolmen: Dolmen, tmp_path: Path, origin: Path) -> None:
    pkg = Packages(dolmen, tmp_path, tmp_path / "unused")
    indexes = []
    for place in places(tmp_path):
        cloned(origin, place)
        indexes.append(built(pkg, place, "app"))
    assert indexes[0] == indexes[1]
