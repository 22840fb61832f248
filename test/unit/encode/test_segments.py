"""Segments on a disk that does what it likes: what is damaged is made anew, never believed."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assembler import part_files
from assembler.encode.inventory import Inventory
from assembler.encode.segment_cache import SegmentCache, segment_key

if TYPE_CHECKING:
    from pathlib import Path

DATA = bytes(range(256)) * 20
NAME = segment_key(kind="test")


def written(cache: SegmentCache) -> Path:
    """Write a segment, and return its file."""
    with cache.create(NAME) as draft:
        os.write(draft.file.fileno(), DATA)
        draft.inventory.directories += [b"a", b"a/b"]
        draft.captured["lib/db"] = b"database"
        draft.details["mode"] = 0o644
    return cache.path(NAME)


@pytest.fixture
def cache(tmp_path: Path) -> SegmentCache:
    """Give an empty cache."""
    return SegmentCache(tmp_path / "segments")


def test_what_was_written_is_read(cache: SegmentCache) -> None:
    written(cache)
    segment = cache.open(NAME)
    assert segment is not None
    assert os.pread(segment.file.fileno(), segment.size, 0) == DATA
    assert segment.inventory().directories == [b"a", b"a/b"]
    assert (segment.captured("lib/db"), segment.captured("other")) == (b"database", None)
    assert segment.details["mode"] == 0o644
    segment.close()
    assert cache.open(segment_key(kind="other")) is None


def test_a_writer_that_fails_leaves_nothing(cache: SegmentCache) -> None:
    def fail() -> None:
        with cache.create(NAME) as draft:
            os.write(draft.file.fileno(), DATA)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert cache.open(NAME) is None
    assert list(cache.directory.iterdir()) == []


def test_a_writer_restarts(cache: SegmentCache) -> None:
    with cache.create(NAME) as draft:
        os.write(draft.file.fileno(), b"wrong" * 3000)
        draft.inventory.directories.append(b"wrong")
        draft.restart()
        os.write(draft.file.fileno(), b"right")
    segment = cache.open(NAME)
    assert segment is not None
    assert segment.size == 5
    assert segment.inventory().directories == []
    segment.close()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data())
def test_every_damage_is_detected(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cache = SegmentCache(tmp_path_factory.getbasetemp() / "damaged")
    path = written(cache)
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    how = data.draw(st.sampled_from(["flip", "cut", "grow", "zeros"]))
    damaged = {
        "flip": whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :],
        "cut": whole[:at],
        "grow": whole + whole[at : at + 10],
        "zeros": whole[:at] + bytes(len(whole) - at),
    }[how]
    path.write_bytes(damaged)
    # The last four bytes mean nothing.
    if damaged[:-4] == whole[:-4] and len(damaged) == len(whole):
        return
    assert not cache.is_intact(NAME)
    opened = cache.open(NAME)
    if opened is not None:
        assert not opened.has_intact_data()
        opened.close()
        cache.discard(NAME)
    assert not path.exists()
    segment = (written(cache), cache.open(NAME))[1]
    assert segment is not None
    segment.close()


def test_the_use_of_a_segment_is_recorded_and_its_verification_is_not(cache: SegmentCache) -> None:
    path = written(cache)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    assert cache.is_intact(NAME)
    assert path.stat().st_mtime == 1_000_000_000
    segment = cache.open(NAME)
    assert segment is not None
    assert segment.has_intact_data()
    segment.close()
    assert path.stat().st_mtime > 1_500_000_000


def test_a_check_can_be_stopped(cache: SegmentCache) -> None:
    written(cache)
    segment = cache.open(NAME)
    assert segment is not None
    assert not segment.has_intact_data(lambda: True)
    segment.close()


def test_only_abandoned_partial_segments_are_removed(cache: SegmentCache) -> None:
    path = written(cache)
    active = cache.directory / ".a.0123456789ab.part"
    abandoned = cache.directory / ".b.0123456789ab.part"
    abandoned.write_bytes(b"")
    part_files._cleaned.clear()
    with active.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        cache.sweep()
    assert sorted(cache.directory.iterdir()) == sorted([active, path])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(st.binary(min_size=1, max_size=30).filter(lambda x: b"\0" not in x), max_size=5),
    st.lists(st.binary(min_size=1, max_size=30).filter(lambda x: b"\0" not in x), max_size=5),
    st.binary(max_size=60),
)
def test_an_inventory_is_read_as_it_was_packed(
    directories: list[bytes], late: list[bytes], noise: bytes
) -> None:
    packed = Inventory(directories, [b"link"], late, [b"ping"], 1, 2).pack()
    assert Inventory.unpack(packed) == Inventory(directories, [b"link"], late, [b"ping"], 1, 2)
    with pytest.raises((ValueError, KeyError, TypeError)):
        Inventory.unpack(noise)
