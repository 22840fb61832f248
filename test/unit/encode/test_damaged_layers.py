"""Bits of layers flip: a build refuses them, or they have no effect."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from assembler.codes import images as image_codes
from assembler.encode.assembly import Assembly
from assembler.errors import DolmenError
from assembler.events import NullReporter
from assembler.oci import media_types
from assembler.oci.archive_export import ArchiveFormat, ExportOptions, export_archive
from assembler.oci.platform import Platform
from assembler.oci.reference import Reference
from assembler.oci.store import Store
from assembler.rootfs.plan import (
    ArchiveTree,
    EntryKind,
    GeneratedEntry,
    GeneratedPart,
    ImageTree,
    Origin,
    Plan,
    StoreBlob,
)
from support.damage import COMPRESSIONS, PLACES, flipped, outputs, outputs_or_error, system

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Give an empty store."""
    return Store(tmp_path / "store")


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_layer_with_a_flipped_bit_is_refused_or_without_effect(
    compression: str, store: Store
) -> None:
    plan = system(store, compression)
    expected = outputs(plan, store)
    refused = 0
    parts = [p for p in plan.parts if isinstance(p, ImageTree | ArchiveTree)]
    for layer in {p.image.manifest.layers[0].digest for p in parts}:
        for what in flipped(store.path(layer)):
            for path in store.layout.segments.iterdir():
                path.unlink()
            found = outputs_or_error(plan, store)
            if isinstance(found, DolmenError):
                refused += 1
                assert found.diagnostics[0].code is image_codes.CORRUPT_BLOB, what
                assert layer in found.diagnostics[0].message, what
                assert not store.path(layer).exists(), what
            else:
                # The header of gzip has bits that mean nothing.
                assert compression == "gzip", what
                assert found == expected, what
    assert refused > len(PLACES)


def test_a_blob_that_is_a_file_of_the_system_is_verified(store: Store) -> None:
    blob = store.add_bytes(b"layer of a service" * 200, media_types.OCI_LAYER)
    entry = GeneratedEntry("images/blob", EntryKind.FILE, 0o644, StoreBlob(blob))
    plan = Plan("amd64", (GeneratedPart(Origin("image.yml", "services[0]"), (entry,)),))
    for _ in flipped(store.path(blob.digest)):
        for write in (lambda a: a.initrd(), lambda a: list(a.tree())):
            with Assembly(plan, store) as assembly, pytest.raises(DolmenError) as caught:
                write(assembly)
            assert caught.value.diagnostics[0].code in (
                image_codes.CORRUPT_BLOB,
                image_codes.BLOB_MISSING,
            )


@pytest.mark.parametrize("kind", list(ArchiveFormat))
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_an_export_of_a_damaged_layer_is_refused_or_right(
    compression: str, kind: ArchiveFormat, store: Store
) -> None:
    plan = system(store, compression)
    layer = next(p for p in plan.parts if isinstance(p, ImageTree)).image.manifest.layers[0]
    platform = None if kind is ArchiveFormat.OCI else Platform.parse("linux/amd64")
    options = ExportOptions(
        Reference.parse("test/root:1"), kind, platform, Reference.parse("test/root:1")
    )

    def export() -> bytes | DolmenError:
        out = io.BytesIO()
        try:
            export_archive(store, options, out, NullReporter())
        except DolmenError as error:
            return error
        return out.getvalue()

    expected, refused = export(), 0
    for what in flipped(store.path(layer.digest)):
        found = export()
        refused += isinstance(found, DolmenError)
        assert isinstance(found, DolmenError) or found == expected, what
    # The header of gzip has bits that mean nothing.
    assert refused > len(PLACES) - 3
