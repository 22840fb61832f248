"""What the tests of the store share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assembler.oci.store import Store
from support.pictures import Painter

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Give a store that is not there yet."""
    return Store(tmp_path / "store")


@pytest.fixture
def painter(store: Store) -> Painter:
    """Give what puts images into the store."""
    return Painter(store)
