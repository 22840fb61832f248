"""Bits of segments flip: a build makes them again, and its output is right."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from assembler.codes import output as codes
from assembler.content import read_content
from assembler.encode.assembly import Assembly
from assembler.events import EventRecorder, WarningEmitted
from assembler.oci.store import Store
from assembler.rootfs.plan import ImageTree, Origin, Plan, TreeRules
from support.archives import E, image
from support.damage import flipped, outputs, system

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Give an empty store."""
    return Store(tmp_path / "store")


def test_a_segment_with_a_flipped_bit_is_made_again(store: Store) -> None:
    plan = system(store, "gzip")
    expected = outputs(plan, store)
    segments = sorted(store.layout.segments.iterdir())
    # Three are for the names that the configuration of a kernel may have.
    assert len(segments) == 11
    for path in segments:
        size = path.stat().st_size
        for what in flipped(path):
            recorder = EventRecorder()
            assert outputs(plan, store, recorder) == expected, what
            warned = [e.diagnostic.code for e in recorder.events if isinstance(e, WarningEmitted)]
            # The end of the footer is padding.
            byte = int(what.split()[5])
            assert warned == ([codes.DAMAGED_SEGMENT] if byte < size - 4 else []), what


def test_an_image_with_many_segments_is_checked_while_it_is_copied(store: Store) -> None:
    """Damage in any one of several segments is found, whichever comes first."""
    trees = [image(store, f"test/{n}:1", [E(f"file{n}", bytes([n]) * 9000)]) for n in range(4)]
    plan = Plan(
        "amd64",
        tuple(ImageTree(Origin("test", "init"), t, "", TreeRules.ROOT) for t in trees),
    )
    with Assembly(plan, store) as assembly:
        expected = read_content(assembly.initrd())
    for path in sorted(store.layout.segments.iterdir()):
        status = path.stat()
        with path.open("r+b") as file:
            file.seek(20)
            byte = file.read(1)[0]
            file.seek(20)
            file.write(bytes([byte ^ 0x10]))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with Assembly(plan, store) as assembly:
        assert read_content(assembly.initrd()) == expected
