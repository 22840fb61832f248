"""Package files are read whatever their compression, and nothing in them is believed."""

from __future__ import annotations

import contextlib
import io
import lzma
import tarfile
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assembler.debian.control import parse_control
from assembler.debian.deb_file import open_deb
from assembler.debian.decompression import prefetch
from assembler.debian.tar_headers import TAR_END, tar_header, tar_padding
from assembler.debian.tarball import DebTarEntry, DebTarReader, TarballError, TarEntryKind
from assembler.errors import DolmenError, PackageError
from support.debian import Deb, File, Link, ar, tar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONG = "usr/share/" + "a-rather-long-name/" * 12 + "\u00e4"


def contents(path: Path) -> dict[str, tuple[DebTarEntry, bytes]]:
    with open_deb(path) as deb:
        tarball = deb.data()
        return {e.path: (e, b"".join(tarball.content())) for e in tarball}


def read_all(path: Path) -> None:
    with open_deb(path) as deb:
        list(deb.data())
        parse_control(deb.control())


@pytest.mark.parametrize("compression", ["xz", "gz", "zst"])
def test_every_compression(tmp_path: Path, compression: str) -> None:
    files = {
        "usr/bin/x": File(b"#!\n" * 300_000, mode=0o4755, uid=7, gid=70_000_000),
        "usr/bin/y": Link("x"),
        "usr/bin/z": Link("usr/bin/x", hard=True),
        LONG: b"long",
    }
    path = tmp_path / "x.deb"
    path.write_bytes(Deb("tool", files=files, compression=compression).build())
    found = contents(path)
    entry, data = found["usr/bin/x"]
    assert (entry.mode, entry.uid, entry.gid, entry.mtime) == (0o4755, 7, 70_000_000, 1_700_000_000)
    assert data == b"#!\n" * 300_000
    assert found["usr/bin/y"][0].target == "x"
    hard = found["usr/bin/z"][0]
    assert (hard.kind, hard.target) == (TarEntryKind.HARDLINK, "usr/bin/x")
    assert found[LONG][1] == b"long"
    with open_deb(path) as deb:
        control = parse_control(deb.control())
        assert (control.name, control.version, deb.timestamp) == ("tool", "1.0", 1_700_000_000)
        assert control.fields["Description"] == "package tool\n Made by a test."


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not an ar",
        b"!<arch>\n",
        b"!<arch>\nshort",
        ar([("debian-binary", b"2.0\n")]),
        ar([("debian-binary", b"2.0\n"), ("data.tar.lz", b"x"), ("control.tar.lz", b"x")]),
        ar([("control.tar.xz", b"not xz"), ("data.tar.xz", b"not xz")]),
        ar([("control.tar.gz", b"not gz"), ("data.tar.gz", b"\x1f\x8b")]),
        ar([("control.tar.zst", b"not zst"), ("data.tar.zst", b"\x28\xb5\x2f\xfd")]),
        ar([("control.tar", tar({"other": b""})), ("data.tar", tar({}))]),
        ar([("control.tar", tar({"control": b"x"})), ("data.tar", tar({}))]),
        ar([("control.tar", tar({"control": b"Package: ../x\n"})), ("data.tar", tar({}))]),
        ar([("x", b"")] * 100),
        Deb("tool", files={"../../etc/passwd": b"x"}).build(),
        Deb("tool", files={"usr/x": Link("../../etc/passwd", hard=True)}).build(),
        Deb("tool", files={"usr/x": b"x" * 5000}, compression="gz").build()[:-700],
        ar([("control.tar", tar({"control": b"x"})), ("data.tar", tar({"x": b"y" * 9999})[:3000])]),
    ],
)
def test_what_is_no_package_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.deb"
    path.write_bytes(content)
    with pytest.raises(PackageError, match=r"DM0723.*bad\.deb"):
        read_all(path)


def test_a_bomb_is_not_inflated_into_memory(tmp_path: Path) -> None:
    bomb = lzma.compress(bytes(64 << 20))
    path = tmp_path / "bomb.deb"
    path.write_bytes(ar([("control.tar.xz", bomb), ("data.tar.xz", bomb)]))
    with open_deb(path) as deb:
        # Zeros are the end of a tar; nothing behind it is looked at.
        assert list(deb.data()) == []


NAMES = st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1)
PATHS = st.lists(NAMES.filter(lambda n: n not in (".", "..")), min_size=1, max_size=8).map("/".join)


@given(
    path=PATHS,
    kind=st.sampled_from(
        [
            TarEntryKind.FILE,
            TarEntryKind.DIR,
            TarEntryKind.SYMLINK,
            TarEntryKind.CHAR,
            TarEntryKind.FIFO,
        ]
    ),
    mode=st.integers(0, 0o7777),
    owner=st.tuples(st.integers(0, (1 << 32) - 2), st.integers(0, (1 << 32) - 2)),
    mtime=st.integers(0, (1 << 33) - 1),
    content=st.binary(max_size=1500),
    device=st.tuples(st.integers(0, 0o7777777), st.integers(0, 0o7777777)),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_what_is_written_is_read_again(
    path: str,
    kind: TarEntryKind,
    mode: int,
    owner: tuple[int, int],
    mtime: int,
    content: bytes,
    device: tuple[int, int],
) -> None:
    data = content if kind is TarEntryKind.FILE else b""
    major, minor = device if kind is TarEntryKind.CHAR else (0, 0)
    target = f"../{path}" if kind is TarEntryKind.SYMLINK else ""
    entry = DebTarEntry(path, kind, mode, *owner, mtime, len(data), target, major, minor)
    written = tar_header(entry) + data + tar_padding(len(data)) + TAR_END
    tarball = DebTarReader(iter([written[:700], written[700:]]))
    assert [(e, b"".join(tarball.content())) for e in tarball] == [(entry, data)]
    # Others understand it, too.
    with tarfile.open(fileobj=io.BytesIO(written)) as other:
        (member,) = other.getmembers()
        assert (member.name, member.mode, member.uid, member.gid) == (path, mode, *owner)
        assert (member.mtime, member.size, member.linkname) == (mtime, len(data), target)


def _pieces(data: bytes) -> Iterator[bytes]:
    return iter([data[i : i + 100] for i in range(0, len(data), 100)])


@given(st.binary(max_size=600), st.integers(0, 1535), st.integers(0, 255))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_nothing_but_a_refusal_comes_of_nonsense(noise: bytes, at: int, value: int) -> None:
    good = bytearray(tar({"usr/bin/x": b"y" * 700}))
    good[at] = value
    for data in (noise, bytes(good), bytes(good[:at])):
        tarball = DebTarReader(_pieces(data))
        with contextlib.suppress(TarballError):
            for entry in tarball:
                assert ".." not in entry.path.split("/")
                assert not entry.path.startswith("/")


@given(st.integers(0, 5000), st.integers(0, 255))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_damaged_package_is_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, at: int, value: int
) -> None:
    data = bytearray(Deb("tool", files={"usr/bin/x": b"y" * 700}).build())
    data[at % len(data)] = value
    path = tmp_path_factory.getbasetemp() / "damaged.deb"
    path.write_bytes(data)
    with contextlib.suppress(DolmenError):
        contents(path)


def test_chunks_are_made_ahead_in_their_order() -> None:
    chunks = [bytes([i % 256]) for i in range(1000)]
    assert [*prefetch(iter(chunks))] == chunks

    def failing() -> Iterator[bytes]:
        yield b"1"
        raise ValueError("broken")

    found = []
    with pytest.raises(ValueError, match="broken"):
        found.extend(prefetch(failing()))

    def endless() -> Iterator[bytes]:
        while True:
            yield b"x"

    # Whoever stops early leaves no thread behind.
    before = threading.active_count()
    pieces = prefetch(endless())
    assert next(pieces) == b"x"
    assert threading.active_count() == before + 1
    pieces.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
