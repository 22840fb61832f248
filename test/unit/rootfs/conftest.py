"""The images of the conformance cases, as a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assembler.oci.store import Store

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def store(conformance_layout: Path) -> Store:
    """Give the store with all images of the cases; do not write to it."""
    return Store(conformance_layout)
