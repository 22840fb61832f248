"""What the tests of registries share: a faulty registry with an image, and an empty store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assembler.oci.store import Store
from support.faulty_registry import FaultyRegistry, faulty_registry, noise
from support.pictures import AMD64, ARM64, Painter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Give a store that is not there yet."""
    return Store(tmp_path / "store")


@pytest.fixture
def remote(tmp_path: Path) -> Store:
    """Give the store that the registry serves from."""
    return Store(tmp_path / "remote")


@pytest.fixture
def painter(remote: Store) -> Painter:
    """Give what puts images into the registry's store."""
    # Packing bytes that do not compress takes most of a test.
    return Painter(remote, compression="")


@pytest.fixture
def registry(remote: Store) -> Iterator[FaultyRegistry]:
    """Give a registry without images."""
    with faulty_registry(remote) as made:
        yield made


@pytest.fixture
def app(registry: FaultyRegistry, painter: Painter) -> str:
    """Give the name of an image for two platforms, with a layer of 300 kB for each."""
    base = {"base": noise(0, 20_000)}
    return registry.publish(
        "org/app",
        "1.0",
        painter.index(
            painter.image([base, {"big": noise(1, 300_000)}], AMD64),
            painter.image([base, {"big": noise(2, 300_000)}], ARM64),
        ),
    )
