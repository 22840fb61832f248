"""What the tests of the store share."""

from __future__ import annotations

from pathlib import Path

import pytest

from assembler.oci.store import Store
from support.pictures import Painter


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Give a store that is not there yet."""
    return Store(tmp_path / "store")


@pytest.fixture
def painter(store: Store) -> Painter:
    """Give what puts images into the store."""
    return Painter(store)
