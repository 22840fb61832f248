"""A small system for all tests of formats."""

from __future__ import annotations

import pytest

from assembler.oci import Store
from support.formats import SmallSystem, add_system


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> SmallSystem:
    """Give a small system for amd64."""
    store = Store(tmp_path_factory.mktemp("formats") / "store")
    add_system(store)
    return SmallSystem(store)


@pytest.fixture(scope="session")
def arm_system(tmp_path_factory: pytest.TempPathFactory) -> SmallSystem:
    """Give a small system for arm64."""
    store = Store(tmp_path_factory.mktemp("formats") / "store")
    add_system(store, "arm64")
    return SmallSystem(store, "arm64")
