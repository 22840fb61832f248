"""The images of the conformance cases, as a store."""

from __future__ import annotations

from pathlib import Path

import pytest

from assembler.oci.store import Store


@pytest.fixture(scope="session")
def store(conformance_layout: Path) -> Store:
    """Give the store with all images of the cases; do not write to it."""
    return Store(conformance_layout)
