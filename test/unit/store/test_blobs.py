"""Blobs are in the store whole and verified, or not at all."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from assembler.codes import images
from assembler.errors import HostError, ImageError
from assembler.oci.digest import digest_of
from assembler.oci.manifest import Descriptor
from assembler.oci.store import Store

if TYPE_CHECKING:
    from pathlib import Path

DATA = bytes(range(256)) * 100


def descriptor(data: bytes = DATA) -> Descriptor:
    return Descriptor("", digest_of(data), len(data))


def send(store: Store, *chunks: bytes) -> None:
    """Write the chunks to the blob of DATA and commit."""
    with store.incoming(descriptor()) as blob:
        for chunk in chunks:
            blob.write(chunk)
        blob.commit()


def cut(store: Store, chunk: bytes) -> None:
    """Begin to write the blob of DATA, and break off."""
    with store.incoming(descriptor()) as blob:
        blob.write(chunk)
        raise ConnectionError


def leftovers(store: Store) -> list[str]:
    return sorted(p.name for p in store.layout.tmp.iterdir())


def test_a_store_that_is_not_there_reads_as_empty_and_is_not_made(store: Store) -> None:
    assert store.names().entries == ()
    assert not store.has(descriptor())
    with pytest.raises(ImageError, match="is not in the store"):
        store.read(descriptor())
    assert not store.root.exists()


def test_a_blob_is_readable_by_everybody_whatever_the_umask(store: Store) -> None:
    old = os.umask(0o077)
    try:
        added = store.add_bytes(DATA)
    finally:
        os.umask(old)
    assert store.path(added.digest).stat().st_mode & 0o777 == 0o644
    assert store.read(added) == DATA
    assert leftovers(store) == []


def test_more_bytes_than_the_descriptor_says_are_refused(store: Store) -> None:
    with pytest.raises(ImageError, match="longer than"):
        send(store, DATA, b"x")
    assert leftovers(store) == []
    assert not store.has(descriptor())


@pytest.mark.parametrize("sent", [DATA[:-1], b"", DATA[:-1] + b"!"], ids=["short", "none", "other"])
def test_other_bytes_than_the_descriptor_says_are_refused(store: Store, sent: bytes) -> None:
    with pytest.raises(ImageError) as caught:
        send(store, sent)
    assert caught.value.diagnostics[0].code is images.CORRUPT_BLOB
    assert leftovers(store) == []
    with store.incoming(descriptor()) as blob:
        assert blob.offset == 0
        blob.write(DATA)
        blob.commit()
        assert blob.present
    assert store.read(descriptor()) == DATA


def test_a_cut_download_goes_on_where_it_was(store: Store) -> None:
    with pytest.raises(ConnectionError):
        cut(store, DATA[:1000])
    with store.incoming(descriptor()) as blob:
        assert (blob.offset, blob.resumed, blob.present) == (1000, True, False)
        blob.write(DATA[1000:])
        blob.commit()
    assert store.read(descriptor()) == DATA


def test_a_download_can_begin_again(store: Store) -> None:
    with store.incoming(descriptor()) as blob:
        blob.write(DATA[:1000])
    with store.incoming(descriptor()) as blob:
        blob.restart()
        blob.write(DATA)
        blob.commit()
    assert store.read(descriptor()) == DATA


def test_a_damaged_rest_of_a_download_is_thrown_away(store: Store) -> None:
    with store.incoming(descriptor()) as blob:
        blob.write(DATA[:1000])
    part = store.layout.part(descriptor().digest)
    part.write_bytes(b"\0" * 1000)
    with pytest.raises(ImageError):
        send(store, DATA[1000:])
    with store.incoming(descriptor()) as blob:
        assert blob.offset == 0


def test_a_rest_longer_than_the_blob_is_thrown_away(store: Store) -> None:
    store.layout.prepare()
    store.layout.part(descriptor().digest).write_bytes(DATA * 2)
    with store.incoming(descriptor()) as blob:
        assert blob.offset == 0
        blob.write(DATA)
        blob.commit()


def test_who_waits_for_a_blob_finds_it_there(store: Store) -> None:
    fetched: list[int] = []
    waited = threading.Event()

    def fetch(number: int) -> None:
        with store.incoming(descriptor(), waiting=waited.set) as blob:
            if blob.present:
                return
            fetched.append(number)
            blob.write(DATA[:10])
            assert waited.wait(10)
            blob.write(DATA[10:])
            blob.commit()

    threads = [threading.Thread(target=fetch, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fetched) == 1
    assert store.read(descriptor()) == DATA
    assert leftovers(store) == []


def test_who_waits_takes_over_when_the_first_gives_up(store: Store) -> None:
    holding, waited = threading.Event(), threading.Event()

    def give_up() -> None:
        with store.incoming(descriptor()) as blob:
            blob.write(DATA[:10])
            holding.set()
            assert waited.wait(10)

    thread = threading.Thread(target=give_up)
    thread.start()
    assert holding.wait(10)
    with store.incoming(descriptor(), waiting=waited.set) as blob:
        assert blob.offset == 10
        blob.write(DATA[10:])
        blob.commit()
    thread.join()
    assert store.read(descriptor()) == DATA


def test_a_wait_can_be_given_up(store: Store) -> None:
    class EnoughError(Exception):
        pass

    def enough() -> None:
        raise EnoughError

    with (
        store.incoming(descriptor()),
        pytest.raises(EnoughError),
        store.incoming(descriptor(), waiting=enough),
    ):
        pass


def test_a_stream_of_unknown_length(store: Store) -> None:
    added = store.add_stream(iter([DATA[:100], DATA[100:]]), "kind")
    assert added == Descriptor("kind", digest_of(DATA), len(DATA))
    assert store.add_stream([DATA], "kind") == added
    assert leftovers(store) == []


def test_a_stream_that_is_not_what_it_is_called(store: Store) -> None:
    with pytest.raises(ImageError, match="has the digest"):
        store.add_stream([b"other"], expected=digest_of(DATA))
    assert leftovers(store) == []
    assert list(store.layout.blobs.iterdir()) == []


def test_a_stream_that_breaks_leaves_nothing(store: Store) -> None:
    def broken() -> object:
        yield b"some"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        store.add_stream(broken())  # type: ignore[arg-type]
    assert leftovers(store) == []


def test_what_was_left_of_a_blob_goes_when_it_comes_another_way(store: Store) -> None:
    with store.incoming(descriptor()) as blob:
        blob.write(DATA[:10])
    store.add_stream([DATA])
    assert leftovers(store) == []
    assert store.read(descriptor()) == DATA


@pytest.mark.parametrize(
    "digest",
    ["sha256:../../../../etc/passwd", "sha256:" + "A" * 64, "sha512:" + "0" * 128, "", "sha256:"],
)
def test_hostile_digests_never_become_paths(store: Store, digest: str) -> None:
    bad = Descriptor("", digest, 3)
    for use in (store.read, store.has, store.open, lambda d: store.incoming(d).__enter__()):
        with pytest.raises(ImageError) as caught:
            use(bad)
        assert caught.value.diagnostics[0].code is images.BAD_DIGEST


def test_a_link_among_the_blobs_is_not_followed(store: Store, tmp_path: Path) -> None:
    store.layout.prepare()
    (tmp_path / "secret").write_bytes(DATA)
    store.path(descriptor().digest).symlink_to(tmp_path / "secret")
    assert not store.has(descriptor())
    with pytest.raises(HostError):
        store.open(descriptor())


def test_a_changed_document_is_put_aside_and_fetched_again(store: Store) -> None:
    added = store.add_bytes(b'{"a": 1}')
    store.path(added.digest).write_bytes(b'{"a": 2}')
    with pytest.raises(ImageError, match="is wrong: its content") as caught:
        store.read(added, "docker.io/library/x:1")
    assert "docker.io/library/x:1" in str(caught.value)
    assert not store.has(added)
    with store.incoming(added) as blob:
        assert not blob.present
        blob.write(b'{"a": 1}')
        blob.commit()
    assert store.read(added) == b'{"a": 1}'


def test_a_layer_of_another_size_is_noticed_when_it_is_opened(store: Store) -> None:
    added = store.add_bytes(DATA)
    with store.path(added.digest).open("ab") as file:
        file.write(b"!")
    with pytest.raises(ImageError, match="25601 bytes long instead of 25600"):
        store.open(added)
    assert (store.layout.quarantine / added.digest[7:]).exists()


def test_a_document_too_large_to_be_one_is_not_read(store: Store) -> None:
    with pytest.raises(ImageError, match="larger than"):
        store.read(Descriptor("", digest_of(b""), 1 << 30))


def test_a_directory_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(ImageError) as caught:
        Store(tmp_path).add_bytes(b"x")
    assert caught.value.diagnostics[0].code is images.NOT_A_STORE
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_store_whose_making_was_interrupted_goes_on(tmp_path: Path) -> None:
    (tmp_path / ".oci-layout.0123.part").write_text("")
    (tmp_path / "tmp").mkdir()
    store = Store(tmp_path)
    assert store.read(store.add_bytes(b"x")) == b"x"


def test_directories_alone_are_no_store_yet(tmp_path: Path) -> None:
    for name in ("tmp", "locks"):
        (tmp_path / name).mkdir()
    store = Store(tmp_path)
    assert store.read(store.add_bytes(b"x")) == b"x"
    assert (tmp_path / "oci-layout").read_text() == '{"imageLayoutVersion": "1.0.0"}'


def test_a_file_where_the_store_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    store = Store(tmp_path / "file")
    with pytest.raises(HostError):
        store.add_bytes(b"x")
