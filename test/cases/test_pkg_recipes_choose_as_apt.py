"""Recipes give the same packages, and the same images, with apt and without it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from assembler.debian.apt import AptEngine
from assembler.debian.archives.python_engine import PythonEngine
from assembler.debian.engine_context import EngineContext
from assembler.debian.engine_protocol import ArchiveEngine, PackageRequest
from assembler.debian.pool import PackagePool
from assembler.debian.sources import DebianMirrors
from assembler.errors import PackageError
from support.debian import Deb, make_archive
from support.recipes import needs_apt

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, needs_apt]
NAMES = [f"p{i}" for i in range(9)]
VIRTUAL = ["v0", "v1"]


def names(engine: ArchiveEngine, request: PackageRequest) -> tuple[str, ...] | None:
    try:
        return tuple(f"{c.name}={c.version} {c.path} {c.sha256}" for c in engine.resolve(request))
    except PackageError:
        return None


def some_deb(chance: random.Random, name: str, version: str) -> Deb:
    """Return a package with relations as the dice fall."""

    def relation() -> str:
        target = chance.choice([*NAMES, *NAMES, *VIRTUAL, "missing"])
        return target + chance.choice(["", "", "", " (>= 2)", " (<< 3)", " (= 2)"])

    def group() -> str:
        return " | ".join(relation() for _ in range(chance.choice([1, 1, 2, 3])))

    fields = {}
    if chance.random() < 0.8:
        groups = [group() for _ in range(chance.choice([1, 1, 2, 3]))]
        fields[chance.choice(["Depends", "Depends", "Pre-Depends"])] = ", ".join(groups)
    if chance.random() < 0.4:
        fields["Provides"] = chance.choice(VIRTUAL) + chance.choice(["", " (= 2)"])
    if chance.random() < 0.3:
        fields["Priority"] = chance.choice(["required", "important", "optional"])
    return Deb(name, version, fields=fields)


def test_random_archives_give_the_same_packages(tmp_path: Path) -> None:
    chance = random.Random(4711)
    possible = 0
    for number in range(12):
        archive = tmp_path / f"archive{number}"
        debs = [some_deb(chance, name, "1") for name in NAMES]
        newer = [some_deb(chance, name, "2.1") for name in chance.sample(NAMES, 4)]
        make_archive(archive, debs)
        make_archive(archive, newer, suite="trixie-updates")
        mirrors = DebianMirrors((f"[trusted=yes] file:{archive} {{suite}} {{suite}}-updates",))
        engines = [
            kind(EngineContext(PackagePool(tmp_path / f"pool{number}"), mirrors))
            for kind in (AptEngine, PythonEngine)
        ]
        for _ in range(4):
            wanted = tuple(chance.sample(NAMES, chance.choice([1, 1, 2])))
            request = PackageRequest("trixie", "amd64", wanted)
            by_apt, by_python = (names(engine, request) for engine in engines)
            assert by_python == by_apt, (number, wanted)
            possible += by_apt is not None
    assert possible > 12
