"""Garbage goes, and nothing else: not what has a name, is young, in use or on its way."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from assembler.oci.digest import digest_of
from assembler.oci.manifest import Descriptor
from assembler.oci.reference import Reference
from assembler.oci.store import GcLimits, Store, collect_garbage, find_image, remove_images
from support.pictures import AMD64, ARM64, Painter

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86400.0
PARTLY = Descriptor("", digest_of(b"partly"), 6)


def age(store: Store, days: float) -> None:
    """Make everything in the store look unused for so many days."""
    then = time.time() - days * DAY
    for path in store.root.rglob("*"):
        if path.is_file() and path.parent != store.root:
            os.utime(path, (then, then))


def digests(store: Store) -> set[str]:
    return {f"sha256:{p.name}" for p in store.layout.blobs.iterdir()}


def put(store: Store, painter: Painter, name: str, content: bytes, days: float = 0) -> set[str]:
    """Add an image, unused for so many days, and return its blobs."""
    top = painter.image({"a": content})
    store.put(f"docker.io/library/{name}", top)
    image = find_image(store, Reference.parse(name), AMD64)
    mine = {top.digest, image.manifest.config.digest, *(d.digest for d in image.manifest.layers)}
    then = time.time() - days * DAY
    for digest in mine:
        os.utime(store.path(digest), (then, then))
    return mine


def names(store: Store) -> list[str]:
    return [e.name.removeprefix("docker.io/library/") for e in store.names().entries]


def test_old_garbage_is_removed_and_images_are_kept(store: Store, painter: Painter) -> None:
    kept = put(store, painter, "x:1", b"1")
    painter.image({"a": b"2"})
    age(store, 1)
    done = collect_garbage(store)
    assert digests(store) == kept
    assert (done.names, done.blobs) == ([], 3)
    assert done.bytes > 0


def test_young_garbage_is_kept(store: Store, painter: Painter) -> None:
    painter.image({"a": b"2"})
    before = digests(store)
    assert collect_garbage(store).blobs == 0
    assert digests(store) == before
    assert collect_garbage(store, GcLimits(grace=-1)).blobs == 3
    assert digests(store) == set()


def test_blobs_of_an_active_run_are_kept(store: Store, painter: Painter) -> None:
    painter.image({"a": b"1"})
    age(store, 1)
    unused = painter.image({"a": b"2"})
    then = time.time() - DAY
    os.utime(store.path(unused.digest), (then, then))
    with store.in_use():
        again = painter.image({"a": b"1"})
        collect_garbage(store, GcLimits(grace=-100))
        assert again.digest in digests(store)
        assert unused.digest not in digests(store)
    assert list(store.layout.locks.glob("use-*")) == []
    collect_garbage(store, GcLimits(grace=-100))
    assert digests(store) == set()


def test_killed_runs_keep_no_blobs(store: Store, painter: Painter) -> None:
    painter.image({"a": b"1"})
    (store.layout.locks / "use-0123").touch()
    assert collect_garbage(store, GcLimits(grace=-1)).blobs == 3
    assert list(store.layout.locks.glob("use-*")) == []


def test_a_partial_download_is_kept(store: Store) -> None:
    store.add_bytes(b"whole")
    with store.incoming(PARTLY) as blob:
        blob.write(b"par")
        age(store, 1)
        done = collect_garbage(store)
        assert (done.blobs, done.others) == (1, 0)
        blob.write(b"tly")
        blob.commit()


def test_old_temporary_files_are_removed(store: Store) -> None:
    store.add_bytes(b"x")
    with store.incoming(PARTLY) as blob:
        blob.write(b"par")
    (store.layout.tmp / "0123.new").write_bytes(b"abc")
    (store.layout.blobs / "no-digest.tmp").write_bytes(b"abc")
    store.quarantine(store.add_bytes(b"y").digest)
    with store.in_use():
        with store.incoming(PARTLY) as blob:
            blob.write(b"t")
        # An active run may continue with it; the other was left by one that has ended.
        os.utime(store.layout.tmp / "0123.new", (time.time() - DAY,) * 2)
        assert (collect_garbage(store).others, collect_garbage(store).bytes) == (1, 0)
    done = collect_garbage(store)
    assert (done.blobs, done.others) == (0, 1)
    age(store, 1)
    done = collect_garbage(store)
    assert (done.blobs, done.others) == (2, 1)
    assert [p for p in store.root.rglob("*") if p.is_file()] == [
        p for p in store.root.rglob("*") if p.name in ("oci-layout", "index")
    ]


def test_a_shared_layer_stays_as_long_as_one_image_needs_it(store: Store, painter: Painter) -> None:
    base = {"base": b"shared"}
    one, two = painter.image([base, {"a": b"1"}]), painter.image([base, {"a": b"2"}])
    store.put("docker.io/library/x:1", one)
    store.put("docker.io/library/x:2", two)
    done = remove_images(store, store.names().named("docker.io/library/x:1"))
    assert (done.names, done.blobs) == (["docker.io/library/x:1"], 3)
    find_image(store, Reference.parse("x:2"), AMD64)
    assert remove_images(store, store.names().entries).blobs == 4
    assert digests(store) == set()


def test_removing_what_is_in_use_takes_only_the_name(store: Store, painter: Painter) -> None:
    put(store, painter, "x:1", b"1")
    with store.in_use():
        image = find_image(store, Reference.parse("x:1"), AMD64)
        assert remove_images(store, store.names().entries).blobs == 0
        assert store.names().entries == ()
        assert store.has(image.manifest.layers[0])


def test_images_unused_for_long_are_removed(store: Store, painter: Painter) -> None:
    put(store, painter, "old:1", b"1", days=30)
    kept = put(store, painter, "new:1", b"2", days=1)
    done = collect_garbage(store, GcLimits(older_than=7 * DAY))
    assert done.names == ["docker.io/library/old:1"]
    assert (names(store), digests(store)) == (["new:1"], kept)


def test_the_least_recently_used_images_are_removed_until_the_rest_fits(
    store: Store, painter: Painter
) -> None:
    sizes = {}
    for number, days in enumerate([3, 9, 1, 5]):
        mine = put(store, painter, f"x:{number}", os.urandom(1000), days=days)
        sizes[number] = sum(store.path(d).stat().st_size for d in mine)
    segment = store.layout.segments / "one"
    segment.parent.mkdir()
    segment.write_bytes(bytes(500))
    os.utime(segment, (time.time() - 4 * DAY,) * 2)
    assert collect_garbage(store, GcLimits(keep_bytes=sum(sizes.values()) + 500)).names == []
    done = collect_garbage(store, GcLimits(keep_bytes=sizes[0] + sizes[2]))
    assert (names(store), done.segments) == (["x:0", "x:2"], 1)
    assert done.blobs == 6
    assert collect_garbage(store, GcLimits(keep_bytes=0)).blobs == 6
    assert digests(store) == set()


def test_segments_of_an_active_run_are_kept(store: Store, painter: Painter) -> None:
    painter.image({"a": b"1"})
    store.layout.segments.mkdir()
    with store.in_use():
        (store.layout.segments / "one").write_bytes(bytes(500))
        assert collect_garbage(store, GcLimits(keep_bytes=0)).segments == 0
    assert collect_garbage(store, GcLimits(keep_bytes=0)).segments == 1


def test_of_several_sizes_each_goes_or_stays_by_its_use(store: Store, painter: Painter) -> None:
    """One that need not go does not end the choice."""
    used = put(store, painter, "used:1", b"1", days=1)
    put(store, painter, "old:1", b"2", days=30)
    with store.in_use():
        pass
    published = frozenset({(e.name, e.descriptor.digest) for e in store.names().entries[:1]})
    limits = GcLimits(older_than=7 * DAY, published=published)
    # Old, but not published; published, but not old.
    assert collect_garbage(store, limits).names == []
    store.layout.segments.mkdir()
    for name, days in (("young", 2), ("old", 8)):
        (store.layout.segments / name).write_bytes(b"x")
        os.utime(store.layout.segments / name, (time.time() - days * DAY,) * 2)
    done = collect_garbage(store, GcLimits(older_than=7 * DAY))
    assert (done.names, done.segments) == (["docker.io/library/old:1"], 1)
    assert digests(store) == used


def test_missing_blobs_have_no_size(store: Store, painter: Painter) -> None:
    kept = put(store, painter, "x:1", b"1", days=3)
    size = sum(store.path(d).stat().st_size for d in kept)
    lacking = put(store, painter, "y:1", b"2", days=2)
    for digest in lacking - {store.names().entries[1].descriptor.digest}:
        store.path(digest).unlink()
    size += store.path(store.names().entries[1].descriptor.digest).stat().st_size
    assert collect_garbage(store, GcLimits(keep_bytes=size)).names == []
    assert collect_garbage(store, GcLimits(keep_bytes=size - 1)).names == ["docker.io/library/x:1"]


def test_segments_stay_for_a_week(store: Store, painter: Painter) -> None:
    """Images stay for as long as they have a name, however old they are."""
    put(store, painter, "x:1", b"1", days=30)
    store.layout.segments.mkdir()
    for days in (6.9, 7.1):
        segment = store.layout.segments / str(days)
        segment.write_bytes(b"x")
        os.utime(segment, (time.time() - days * DAY,) * 2)
    assert collect_garbage(store).segments == 1
    assert [path.name for path in store.layout.segments.iterdir()] == ["6.9"]
    assert names(store) == ["x:1"]


def test_leftovers_go_by_their_own_age(store: Store, painter: Painter) -> None:
    """Whatever order the directory lists them in."""
    painter.image({"a": b"1"})
    store.layout.quarantine.mkdir()
    for folder in (store.layout.tmp, store.layout.quarantine):
        for number in range(20):
            path = folder / f"{number:04}.new"
            path.write_bytes(b"abc")
            if number % 2:
                os.utime(path, (time.time() - DAY,) * 2)
    with store.in_use():
        assert collect_garbage(store).others == 20
    for folder in (store.layout.tmp, store.layout.quarantine):
        left = sorted(int(path.stem) for path in folder.iterdir())
        assert left == list(range(0, 20, 2))


def test_only_published_images_are_removed(store: Store, painter: Painter) -> None:
    put(store, painter, "mine:1", b"1")
    put(store, painter, "theirs:1", b"2")
    theirs = store.names().entries[1]
    published = frozenset({(theirs.name, theirs.descriptor.digest)})
    assert collect_garbage(store, GcLimits(published=published)).names == [theirs.name]
    assert names(store) == ["mine:1"]


def test_all_images_are_removed_on_request(store: Store, painter: Painter) -> None:
    put(store, painter, "x:1", b"1")
    collect_garbage(store, GcLimits(everything=True))
    assert (names(store), digests(store)) == ([], set())


def test_a_dry_run_changes_nothing(store: Store, painter: Painter) -> None:
    put(store, painter, "x:1", b"1", days=30)
    painter.image({"a": b"2"})
    age(store, 30)
    (store.layout.locks / "use-0123").touch()
    before = {p: p.stat().st_mtime for p in store.root.rglob("*")}
    done = collect_garbage(store, GcLimits(older_than=DAY, dry_run=True))
    assert (done.names, done.blobs) == (["docker.io/library/x:1"], 6)
    assert {p: p.stat().st_mtime for p in store.root.rglob("*")} == before


def test_an_image_with_several_platforms_is_one_thing(store: Store, painter: Painter) -> None:
    index = painter.index(painter.image({"a": b"1"}), painter.image({"a": b"2"}, ARM64))
    store.put("docker.io/library/x:1", index)
    age(store, 1)
    assert collect_garbage(store).blobs == 0
    assert remove_images(store, store.names().entries).blobs == 7


def test_collecting_does_not_create_a_store(tmp_path: Path) -> None:
    collect_garbage(Store(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("bare", [True, False])
def test_files_of_other_tools_are_kept(store: Store, painter: Painter, *, bare: bool) -> None:
    painter.image({"a": b"1"})
    theirs = store.root / ("notes.txt" if bare else "other/notes.txt")
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_text("keep")
    age(store, 30)
    collect_garbage(store, GcLimits(everything=True))
    assert theirs.read_text() == "keep"
