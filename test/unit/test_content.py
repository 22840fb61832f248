"""Content is copied, sliced and recorded without being held in memory."""

from __future__ import annotations

import errno
import io
import os
import random
import threading
from typing import TYPE_CHECKING

import pytest

from assembler.content import (
    ContentChain,
    ContentRecorder,
    FileRange,
    content_size,
    iter_chunks,
    read_content,
    slice_content,
    write_content,
    write_content_at,
)
from assembler.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATA = random.Random(5).randbytes(600_000)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[int]:
    """Give the descriptor of a file with the data."""
    path = tmp_path / "source"
    path.write_bytes(DATA)
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


def chain(fd: int) -> tuple[ContentChain, bytes]:
    """Return a content of several pieces, and its bytes."""
    pieces = (b"head", FileRange(fd, 300_000, 7), b"", FileRange(fd, 0), FileRange(fd, 5, 599_995))
    return ContentChain(pieces), b"head" + DATA[7:300_007] + DATA[-5:]


def test_a_chain_has_all_pieces_in_order(source: int) -> None:
    content, expected = chain(source)
    assert (content.size, read_content(content)) == (len(expected), expected)
    assert all(len(chunk) <= 256 << 10 for chunk in iter_chunks(content))
    assert b"".join(FileRange(source, 20, 5).chunks(15)) == DATA[20:25]


def test_slices_are_those_of_the_bytes(source: int) -> None:
    content, expected = chain(source)
    for part in (content, FileRange(source, 1000, 50), b"0123456789"):
        whole = read_content(part)
        for start in (0, 1, 3, 4, 5, 999, 300_003, 300_004, 300_008, 300_009, 400_000):
            for size in (0, 1, 2, 300_000, 500_000):
                found = slice_content(part, start, size)
                assert read_content(found) == whole[start : start + size], (start, size)
                assert content_size(found) == len(whole[start : start + size])
    assert expected[:4] == b"head"


class _Stream(io.BytesIO):
    """Has no descriptor."""


def test_content_is_written_to_files_streams_and_pipes(source: int, tmp_path: Path) -> None:
    content, expected = chain(source)
    stream = _Stream()
    write_content(stream, content)
    assert stream.getvalue() == expected
    with (tmp_path / "out").open("wb") as out:
        out.write(b"before")
        write_content(out, content)
        out.write(b"after")
    assert (tmp_path / "out").read_bytes() == b"before" + expected + b"after"
    reading, writing = os.pipe()
    received: list[bytes] = []

    def receive() -> None:
        with os.fdopen(reading, "rb") as pipe:
            received.append(pipe.read())

    reader = threading.Thread(target=receive)
    reader.start()
    with os.fdopen(writing, "wb") as pipe:
        write_content(pipe, content)
    reader.join()
    assert received == [expected]


def test_content_is_written_at_an_offset(source: int, tmp_path: Path) -> None:
    content, expected = chain(source)
    with (tmp_path / "out").open("wb") as out:
        out.write(b"x" * 10)
        out.flush()
        write_content_at(out.fileno(), 5, content)
        assert out.tell() == 10
    assert (tmp_path / "out").read_bytes() == b"x" * 5 + expected


def fails(number: int) -> object:
    def call(*_arguments: object) -> int:
        raise OSError(number, os.strerror(number))

    return call


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
def test_where_the_kernel_does_not_copy_the_bytes_are_read(
    source: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    content, expected = chain(source)
    for names in (["copy_file_range"], ["copy_file_range", "sendfile"]):
        with monkeypatch.context() as patch:
            for name in names:
                patch.setattr(os, name, fails(number))
            with (tmp_path / "out").open("wb") as out:
                write_content(out, content)
                write_content_at(out.fileno(), len(expected) + 3, content)
        assert (tmp_path / "out").read_bytes() == expected + bytes(3) + expected


def test_other_failures_are_raised(
    source: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "out").open("wb") as out:
        for name in ("sendfile", "copy_file_range"):
            monkeypatch.setattr(os, name, fails(errno.ENOSPC))
            if name == "sendfile":
                with monkeypatch.context() as patch:
                    patch.setattr(os, "copy_file_range", fails(errno.EXDEV))
                    with pytest.raises(OSError, match="No space left"):
                        write_content(out, FileRange(source, 10))
        with pytest.raises(OSError, match="No space left"):
            write_content(out, FileRange(source, 10))
        with pytest.raises(OSError, match="No space left"):
            write_content_at(out.fileno(), 0, FileRange(source, 10))


def test_a_file_that_was_truncated_is_reported(source: int, tmp_path: Path) -> None:
    too_long = FileRange(source, 20, len(DATA) - 5)
    with (tmp_path / "out").open("wb") as out:
        for write in (
            lambda: read_content(too_long),
            lambda: write_content(_Stream(), too_long),
            lambda: write_content_at(out.fileno(), 0, too_long),
        ):
            with pytest.raises(OutputError, match="15 bytes are missing"):
                write()


def test_a_recorder_keeps_ranges_and_what_is_written_between_them(
    source: int, tmp_path: Path
) -> None:
    content, expected = chain(source)
    with (tmp_path / "own").open("w+b") as own:
        recorder = ContentRecorder(own)
        recorder.write(b"one ")
        os.write(recorder.fileno(), b"")
        write_content(recorder, content)
        recorder.flush()
        os.write(recorder.fileno(), b" direct")
        recorder.write(b" two")
        found = recorder.content()
        assert read_content(found) == b"one " + expected + b" direct two"
        assert found.pieces[1:3] == (FileRange(source, 300_000, 7), FileRange(source, 0))
        # Only its own bytes are in its file.
        assert os.fstat(own.fileno()).st_size == len(b"one head direct two")
        recorder.write(b"!")
        assert read_content(recorder.content()) == b"one " + expected + b" direct two!"
