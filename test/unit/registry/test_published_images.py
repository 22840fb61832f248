"""Images count as published if their own registry has them under the same digest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.events import EventRecorder, LogMessage, TaskAdvanced, TaskStarted
from assembler.oci.published_images import find_published
from support.faulty_registry import QUICK, FaultyRegistry, noise
from support.pictures import AMD64, Painter

if TYPE_CHECKING:
    from assembler.oci.store import Store


def test_only_images_with_the_digest_of_the_registry_are_published(
    registry: FaultyRegistry, store: Store, painter: Painter
) -> None:
    there = painter.image({"a": b"1"}, AMD64)
    registry.publish("org/same", "1", there)
    registry.publish("org/other", "1", painter.image({"a": b"2"}, AMD64))
    local = Painter(store, compression="").image({"a": b"1"}, AMD64)
    assert local.digest == there.digest
    host = registry.host
    names = [
        f"{host}/org/{name}" for name in ("same:1", "other:1", "none:1", f"same@{there.digest}")
    ]
    for name in (*names, "Not A Name", "127.0.0.1:1/org/x:1"):
        store.put(name, local)
    recorder = EventRecorder()
    entries = store.names().entries
    found = find_published(entries, QUICK, recorder)
    assert found == {(names[0], there.digest), (names[3], there.digest)}
    said = [e.message for e in recorder.events if isinstance(e, LogMessage)]
    # A registry that cannot be asked has nothing, and the user is told.
    assert [text for text in said if text.startswith("127.0.0.1:1/org/x:1 counts as not published")]
    (started,) = [e for e in recorder.events if isinstance(e, TaskStarted)]
    assert (started.title, started.total) == ("ask registries", len(entries))
    assert max(e.done for e in recorder.events if isinstance(e, TaskAdvanced)) == len(entries)


def test_nothing_is_fetched_and_an_empty_store_asks_for_nothing(
    registry: FaultyRegistry, store: Store, painter: Painter
) -> None:
    assert find_published([], QUICK, EventRecorder()) == frozenset()
    assert registry.requests == []
    image = painter.image({"big": noise(1, 100_000)}, AMD64)
    registry.publish("org/x", "1", image)
    same = Painter(store, compression="").image({"big": noise(1, 100_000)}, AMD64)
    store.put(f"{registry.host}/org/x:1", same)
    find_published(store.names().entries, QUICK, EventRecorder())
    assert {request.method for request in registry.requests} <= {"HEAD", "GET"}
    assert not registry.asked("GET .*blobs")
