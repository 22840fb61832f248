"""A user builds packages that Dolmen brings, with and without a registry of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assembler.oci.store import Store
from support.faulty_registry import FaultyRegistry, faulty_registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.cli import Dolmen

NAME = "@dolmen:ca-certificates"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[FaultyRegistry]:
    """Give a registry without images, which notes what it is asked for."""
    with faulty_registry(Store(tmp_path / "remote")) as made:
        yield made


@pytest.fixture
def no_archive(tmp_path: Path) -> dict[str, str]:
    """Give the variables for an archive that has nothing, so that each build fails at once."""
    return {"DOLMEN_DEBIAN_MIRROR": f"[trusted=yes] file://{tmp_path}/none"}


def test_no_public_registry_is_asked(
    dolmen: Dolmen, registry: FaultyRegistry, no_archive: dict[str, str], tmp_path: Path
) -> None:
    """Who owns the name there could give any image: the hash is that of the sources."""
    mirror = {"DOLMEN_MIRROR": f"docker.io=http://{registry.host}"} | no_archive
    words = ("pkg", "build", "--platforms", "linux/amd64")
    for more in ((), ("--pull",)):
        assert dolmen.run(*words, *more, NAME, env=mirror).returncode == 1
    (tmp_path / "image.yml").write_text(f"init: ['{NAME}']\n")
    assert dolmen.run("build", tmp_path / "image.yml", env=mirror).returncode == 1
    assert registry.requests == []


def test_a_registry_of_ones_own_is_asked(
    dolmen: Dolmen, registry: FaultyRegistry, no_archive: dict[str, str]
) -> None:
    words = ("pkg", "build", "--platforms", "linux/amd64", "--org", f"{registry.host}/team")
    assert dolmen.run(*words, NAME, env=no_archive).returncode == 1
    assert any("team/ca-certificates" in request.path for request in registry.requests)
