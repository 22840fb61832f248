"""Two processes that begin a store at once do not refuse each other's files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assembler.errors import ImageError
from assembler.oci import Store
from assembler.oci.store.layout import LAYOUT_FILE, StoreLayout

if TYPE_CHECKING:
    from pathlib import Path


class SlowLayout(StoreLayout):
    """A layout whose directory is begun by another process after it was seen to be empty."""

    def _refuse_other_things(self) -> None:
        Store(self.root).layout.prepare()
        (self.root / "building").mkdir()
        StoreLayout._refuse_other_things(self)


def test_a_directory_that_another_process_has_made_a_store_is_not_refused(tmp_path: Path) -> None:
    SlowLayout(tmp_path / "store").prepare()
    assert (tmp_path / "store" / LAYOUT_FILE).is_file()


def test_a_directory_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "building").mkdir()
    with pytest.raises(ImageError, match="it holds 'building' and no oci-layout"):
        StoreLayout(tmp_path).prepare()
