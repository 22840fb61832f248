"""Archives of every kind are read as those who made them meant it."""

from __future__ import annotations

import gzip
import io
import random
import subprocess
import tarfile
from pathlib import Path

import pytest
import zstandard

from assembler.oci.layers import (
    CHARACTER_DEVICE,
    FIFO,
    ExcludedPaths,
    LayerBlob,
    TarReader,
    flatten_layers,
)
from support.archives import Collected, E, directory, hardlink, layer, symlink, tar

MANY = [
    directory("d", 0o1777, uid=3, gid=4),
    E("d/plain", b"content\n", mode=0o4755, uid=1000, gid=1001),
    E("d/empty"),
    E("d/large", bytes(range(256)) * 3000),
    symlink("d/link", "plain"),
    symlink("d/far", "t/" * 90 + "end"),
    hardlink("d/hard", "d/plain"),
    E("n" * 100, b"100\n"),
    E("p/" * 60 + "leaf", b"121\n"),
    E("q" * 90 + "/" + "r" * 90 + "/" + "s" * 90, b"272\n"),
    E("unicode/файл-ü", b"u\n"),
    E("d/fifo", type=tarfile.FIFOTYPE),
    E("d/null", type=tarfile.CHRTYPE, device=(1, 3), mode=0o666),
]


def read(data: bytes) -> Collected:
    sink = Collected()
    flatten_layers("image", [layer(data)], sink)
    return sink


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_every_kind_of_entry(form: int) -> None:
    data = tar(MANY, form)
    sink = read(data)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = archive.getmembers()
        assert [m.name for m in members] == [n.decode() for n in sink.order]
        for member in members:
            node = sink.tree[member.name.encode()]
            if member.isreg():
                extracted = archive.extractfile(member)
                assert extracted is not None
                assert node.content == extracted.read()
                assert node.mode == member.mode
            if member.issym():
                assert node.link.decode() == member.linkname
    assert sink.tree[b"d/hard"] is sink.tree[b"d/plain"]
    assert sink.tree[b"d/fifo"].kind == FIFO
    assert sink.tree[b"d/null"].kind == CHARACTER_DEVICE


def attributes(data: bytes) -> dict[str, TarReader]:
    """Return a reader standing at each entry."""
    found = {}
    for count in range(1, 100):
        reader = TarReader(iter([data]))
        for _ in range(count):
            if not reader.next():
                return found
        found[reader.name.decode()] = reader
    return found


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_numbers_that_do_not_fit_octal_digits(form: int) -> None:
    found = attributes(
        tar([E("f", uid=4_000_000_000, gid=2_500_000_000, mtime=99_999_999_999)], form)
    )
    assert (found["f"].uid, found["f"].gid) == (4_000_000_000, 2_500_000_000)
    assert found["f"].mtime == 99_999_999_999


@pytest.mark.parametrize(
    ("text", "seconds", "kept"),
    [
        ("1600000000.25", 1600000000, b"1600000000.25"),
        ("-1.5", -2, b"-1.5"),
        ("-86400", -86400, b""),
        ("5.000", 5, b""),
    ],
)
def test_times_with_fractions_and_before_1970(text: str, seconds: int, kept: bytes) -> None:
    reader = attributes(tar([E("f", pax={"mtime": text})]))["f"]
    assert (reader.mtime, reader.mtime_text) == (seconds, kept)


def test_extended_attributes_are_handed_on() -> None:
    reader = attributes(tar([E("f", pax={"SCHILY.xattr.user.note": "hello"})]))["f"]
    assert reader.records == {b"SCHILY.xattr.user.note": b"hello"}


@pytest.mark.parametrize("options", [["--format=v7"], ["--format=ustar"], ["--format=gnu"],
                                     ["--format=posix"]])  # fmt: skip
def test_archives_of_gnu_tar(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "a").write_bytes(b"a\n")
    (tmp_path / "dir" / ("long" * 20)).write_bytes(b"l\n")
    (tmp_path / "dir" / "s").symlink_to("a")
    (tmp_path / "dir" / "h").hardlink_to(tmp_path / "dir" / "a")
    made = subprocess.run(
        ["/usr/bin/tar", "-C", tmp_path, *options, "--sort=name", "-cf", "-", "dir"],
        check=True,
        capture_output=True,
    )
    sink = read(made.stdout)
    assert sink.files() == {
        "dir/a": b"a\n",
        "dir/h": b"a\n",
        "dir/" + "long" * 20: b"l\n",
        "dir/s": b"a",
    }
    assert sink.tree[b"dir/h"] is sink.tree[b"dir/a"]


@pytest.mark.parametrize(
    "options",
    [
        ["--format=gnu"],
        ["--format=posix", "--sparse-version=0.0"],
        ["--format=posix", "--sparse-version=0.1"],
        ["--format=posix", "--sparse-version=1.0"],
    ],
)
def test_files_with_holes_are_expanded(tmp_path: Path, options: list[str]) -> None:
    rng = random.Random(1)
    for name, pieces in (("few", 2), ("many", 60), ("hole", 0)):
        with (tmp_path / name).open("wb") as file:
            for number in range(pieces):
                file.seek(number * 131072 + 4096)
                file.write(rng.randbytes(5000))
            file.truncate(pieces * 131072 + 70000)
    (tmp_path / "z").write_bytes(b"after\n")
    made = subprocess.run(
        ["/usr/bin/tar", "-C", tmp_path, "-S", *options, "-cf", "-", "few", "many", "hole", "z"],
        check=True,
        capture_output=True,
    )
    files = read(made.stdout).files()
    assert files == {n: (tmp_path / n).read_bytes() for n in ("few", "many", "hole", "z")}


def test_a_layer_may_be_compressed_in_several_ways() -> None:
    data = tar([E("f", b"x" * 300_000)])
    zstd = zstandard.ZstdCompressor(write_checksum=True)
    forms = {
        "plain": data,
        "gzip": gzip.compress(data),
        "two members": gzip.compress(data[:1000]) + gzip.compress(data[1000:]),
        "an empty member": gzip.compress(data) + gzip.compress(b""),
        "zstd": zstd.compress(data),
        "frames": zstd.compress(data[:999]) + b"\x50\x2a\x4d\x18\x03\0\0\0abc"
        + zstandard.ZstdCompressor(write_content_size=False).compress(data[999:]),
        "without an end": data[: 512 + 300_032],
    }  # fmt: skip
    for what, stored in forms.items():
        assert read(stored).files() == {"f": b"x" * 300_000}, what


def test_an_empty_layer_has_nothing() -> None:
    assert read(b"").order == []
    assert read(tar([])).order == []


def test_names_are_cleaned() -> None:
    sink = read(tar([directory("./"), E("./a//b/./c"), E("/abs/d"), E("x/../y"), E("./.hidden")]))
    assert sink.order == [b"a/b/c", b"abs/d", b"y", b".hidden"]


def test_exceptions_are_left_out_and_what_is_below_stays() -> None:
    sink = Collected()
    exceptions = ExcludedPaths(frozenset({b"dev/pts"}), {b"etc/hosts": "take it away"})
    entries = [directory("dev/pts"), E("dev/pts/x"), E("etc/hosts", b"h"), E("sub/etc/hosts")]
    tree = flatten_layers("image", [layer(entries)], sink, exceptions)
    assert sink.order == [b"dev/pts/x", b"sub/etc/hosts"]
    assert tree.has(b"dev/pts/x")
    assert not tree.has(b"etc/hosts")


def test_chunks_may_end_anywhere() -> None:
    data = tar(MANY)
    rng = random.Random(2)
    for _ in range(8):
        size = rng.choice((1, 7, 100, 511, 512, 513, 4000))
        chunks = [data[at : at + size] for at in range(0, len(data), size)]
        reader = TarReader(iter(chunks))
        found = {}
        while reader.next():
            parts: list[bytes] = []
            reader.write_to(lambda piece, parts=parts: parts.append(bytes(piece)))
            found[reader.name] = b"".join(parts)
        assert found[b"d/large"] == bytes(range(256)) * 3000
        assert len(found) == len(MANY)


def test_a_layer_is_read_once_and_closed() -> None:
    opened: list[io.BytesIO] = []
    data = tar([E("f", b"1")])

    def open_it() -> io.BytesIO:
        opened.append(io.BytesIO(data))
        return opened[-1]

    flatten_layers("image", [LayerBlob("sha256:" + "0" * 64, len(data), open_it)], Collected())
    assert len(opened) == 1
    assert opened[0].closed
