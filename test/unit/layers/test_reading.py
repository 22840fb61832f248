"""Archives of every kind are read as those who made them meant it."""

from __future__ import annotations

import gzip
import io
import random
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest
import zstandard

from assembler.errors import LayerError
from assembler.oci.layers import (
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    ExcludedPaths,
    LayerBlob,
    MalformedTarError,
    TarReader,
    flatten_layers,
)
from support.archives import Collected, E, directory, hardlink, layer, symlink, tar

if TYPE_CHECKING:
    from pathlib import Path

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


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_have_their_directories(form: int) -> None:
    """In the oldest form, the directories are in a second field of the header."""
    names = ["a/" * 40 + "b" * 100, "c/" * 70 + "d", "e/" + "f" * 98, "g"]
    assert read(tar([E(name) for name in names], form)).order == [n.encode() for n in names]


def test_a_gnu_header_with_times_has_no_second_field_of_names() -> None:
    """What is the field of directories elsewhere are times in archives of GNU tar."""
    block = bytearray(tar([E("f", b"1")], tarfile.GNU_FORMAT))
    block[345:357] = b"13727226100\0"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block[:512])
    assert read(bytes(block)).files() == {"f": b"1"}


@pytest.mark.parametrize(
    "form", [b"%06o\0 ", b"%06o \0", b"%07o\0", b"%08o", b" %05o\0 ", b"%06o  "]
)
@pytest.mark.parametrize("signed", [True, False])
def test_checksums_as_all_kinds_of_tar_write_them(form: bytes, *, signed: bool) -> None:
    """Some add the bytes as signed numbers."""
    block = bytearray(tar([E("größe")], tarfile.GNU_FORMAT))
    block[148:156] = b" " * 8
    total = sum(b - 256 if signed and b > 127 else b for b in block[:512])
    block[148:156] = form % total
    assert list(read(bytes(block)).files()) == ["größe"]
    for wrong in (total + 1, total - 1, total + 256):
        block[148:156] = form % wrong
        with pytest.raises(LayerError, match="checksum of its header is wrong"):
            read(bytes(block))


def test_a_directory_of_the_first_tar_has_a_slash_only() -> None:
    block = bytearray(tar([E("d/x")], tarfile.USTAR_FORMAT))
    block[:3], block[156], block[257:265] = b"d/\0", 0, bytes(8)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block[:512])
    assert read(bytes(block)).tree[b"d"].kind == DIRECTORY
    assert read(tar([E("f"), hardlink("h/", "f")])).files() == {"f": b"", "h": b""}


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


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_names_of_owners_and_numbers_of_devices(form: int) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, kind in (("one", b"0"), ("null", b"3"), ("disk", b"4"), ("two", b"0"),
                           ("again", b"3"), ("zero", b"0")):  # fmt: skip
            info = tarfile.TarInfo(name)
            info.type, info.uname, info.gname = kind, "alice", "staff"
            if kind != b"0":
                info.devmajor, info.devminor = 259, 1_000
            archive.addfile(info)
    found = attributes(out.getvalue())
    assert {name: (reader.major, reader.minor) for name, reader in found.items()} == {
        "one": (0, 0),
        "null": (259, 1_000),
        "disk": (259, 1_000),
        "two": (0, 0),
        "again": (259, 1_000),
        "zero": (0, 0),
    }
    owner = b"alice".ljust(32, b"\0") + b"staff".ljust(32, b"\0")
    assert {reader.owner for reader in found.values()} == {owner}


def test_a_size_in_a_pax_header_counts() -> None:
    """For files alone: links and directories have no content."""
    data = bytearray(tar([E("f", b"abc", pax={"size": "3"}), E("g", b"1")]))
    at = data.index(b"f\0", 512 * 2)
    assert at == 1024
    data[at + 124 : at + 136] = b"00000000000\0"
    data[at + 148 : at + 156] = b" " * 8
    data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    assert read(bytes(data)).files() == {"f": b"abc", "g": b"1"}
    links = [E("a"), symlink("s", "a", pax={"size": "9"}), directory("d", pax={"size": "9"})]
    found = attributes(tar([*links, hardlink("h", "a", pax={"size": "9"}), E("end")]))
    assert [(name, reader.size) for name, reader in found.items()] == [
        ("a", 0),
        ("s", 0),
        ("d/", 0),
        ("h", 0),
        ("end", 0),
    ]


@pytest.mark.parametrize("size", [511, 512, 513, 514, 1023, 1024, 1025])
def test_an_extended_header_may_have_any_size(size: int) -> None:
    comment = "c" * (size - len(f"{size} comment=\n"))
    data = tar([E("f", b"1", pax={"comment": comment}), E("g", b"2")])
    assert data[512 : 512 + len(str(size))] == str(size).encode()
    assert read(data).files() == {"f": b"1", "g": b"2"}


def test_a_global_header_is_kept_unparsed_with_its_end() -> None:
    out = io.BytesIO()
    with tarfile.open(
        fileobj=out, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "made today"}
    ) as archive:
        for name in ("f", "g"):
            info = tarfile.TarInfo(name)
            info.size = 600
            archive.addfile(info, io.BytesIO(bytes(600)))
    data = out.getvalue()
    for size in (len(data), 700):
        reader = TarReader(iter([data[at : at + size] for at in range(0, len(data), size)]))
        offsets = []
        while reader.next():
            assert reader.common == b"22 comment=made today\n"
            assert reader.common_end == 1024
            assert reader.records == {}
            offsets.append(reader.offset)
        # Each entry ends where the next one begins.
        assert offsets == [1024 + 512 + 1024, 1024 + 2 * (512 + 1024)]


def test_the_content_of_an_entry_is_read_at_once_or_in_chunks() -> None:
    content = random.Random(3).randbytes(200_000)
    data = tar([E("small", b"12345"), E("large", content), E("after", b"z")])
    for size in (len(data), 70_000):
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        reader = TarReader(iter(pieces))
        assert reader.next()
        with pytest.raises(MalformedTarError, match="is 5 bytes long; the limit is 4"):
            reader.read(4)
        assert reader.read(5 if size < len(data) else 1000) == b"12345"
        assert reader.next()
        chunks = list(reader.chunks())
        assert b"".join(chunks) == content
        assert all(isinstance(chunk, bytes) for chunk in chunks)
        assert reader.next()
        assert reader.read(1) == b"z"
        assert not reader.next()
        again = TarReader(iter(pieces))
        assert again.next()
        assert again.next()
        assert again.read(200_000) == content
        assert again.next()
        assert again.name == b"after"


def test_a_file_with_holes_has_no_chunks() -> None:
    pax = {"GNU.sparse.map": "0,1", "GNU.sparse.size": "9"}
    reader = TarReader(iter([tar([E("f", b"1", pax=pax)])]))
    assert reader.next()
    with pytest.raises(MalformedTarError, match="has holes"):
        list(reader.chunks())
    assert reader.read(9) == b"1" + bytes(8)


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


def test_a_map_of_holes_may_cross_blocks() -> None:
    """The last number of the map lies in two blocks."""
    ranges = [(number * 10, number % 3) for number in range(13)]
    words = [b"%019d" % value for piece in ranges for value in piece]
    stored = b"13\n" + b"\n".join(words) + b"\n"
    assert len(b"13\n" + b"\n".join(words[:-1])) < 512 < len(stored)
    content = bytes(range(1, 13))
    pax = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "200"}
    expected = bytearray(200)
    at = 0
    for offset, length in ranges:
        expected[offset : offset + length] = content[at : at + length]
        at += length
    assert at == 12
    found = read(tar([E("f", stored.ljust(1024, b"\0") + content, pax=pax)])).files()
    assert found == {"f": bytes(expected)}


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


@pytest.mark.parametrize("name", ["Path", "_x", "]"])
def test_the_name_of_the_first_entry_is_not_taken_for_a_compression(name: str) -> None:
    """The first byte of a zstd frame that is skipped is a letter, too."""
    assert read(tar([E(name, b"1")])).files() == {name: b"1"}


def test_equal_bytes_are_decompressed() -> None:
    """Compressors have blocks of their own for them."""
    contents = {"zeros": bytes(400_000), "ones": b"1" * 300_000}
    data = tar([E(name, content) for name, content in contents.items()])
    for level in (1, 19):
        stored = zstandard.ZstdCompressor(level=level).compress(data)
        assert read(stored).files() == contents
    assert read(gzip.compress(data)).files() == contents


@pytest.mark.parametrize("last_repeats", [True, False])
def test_a_block_may_be_one_byte_that_repeats(*, last_repeats: bool) -> None:
    """No compressor at hand ends a frame with one."""
    head, zeros = tar([E("f", b"1")])[:1024], 9216
    blocks = [(head, len(head), 0), (b"\0", zeros, 1)]
    if not last_repeats:
        blocks.append((bytes(512), 512, 0))
    size = sum(length for _, length, _ in blocks)
    frame = b"\x28\xb5\x2f\xfd\xa0" + size.to_bytes(4, "little")
    for number, (data, length, kind) in enumerate(blocks, 1):
        frame += (length << 3 | kind << 1 | (number == len(blocks))).to_bytes(3, "little") + data
    assert zstandard.ZstdDecompressor().decompress(frame)[:1024] == head
    assert read(frame).files() == {"f": b"1"}


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


def test_a_file_over_a_directory_that_is_left_out_hides_its_content() -> None:
    exceptions = ExcludedPaths(frozenset({b"proc", b"dev/pts"}))
    lower = layer([directory("proc"), E("proc/1"), directory("dev/pts"), E("dev/pts/0")])
    for upper, left in (
        ([E("proc")], [b"dev/pts/0"]),
        ([directory("proc"), symlink("dev/pts", "x")], [b"proc/1"]),
        ([E("other")], [b"other", b"proc/1", b"dev/pts/0"]),
    ):
        sink = Collected()
        flatten_layers("image", [lower, layer(upper)], sink, exceptions)
        assert sink.order == left


def test_the_tree_knows_directories_without_entries() -> None:
    layers = [layer([E("a/b/f"), directory("d"), symlink("s", "d")]), layer([E("a/.wh.b")])]
    tree = flatten_layers("image", layers, Collected())
    assert [tree.is_directory(p) for p in (b"", b"a", b"d", b"s", b"a/b", b"none")] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


def test_the_last_entry_of_a_path_counts_whatever_it_is() -> None:
    """A pipe replaces a directory of the same name, and the other way round."""
    pipe = E("x", type=tarfile.FIFOTYPE)
    for entries, kind in (([directory("x"), pipe], FIFO), ([pipe, directory("x")], DIRECTORY)):
        sink = Collected()
        flatten_layers("image", [layer(entries)], sink)
        assert sink.order == [b"x"]
        assert sink.tree[b"x"].kind == kind


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("../x", "a/x/f"),
        ("x", "a/b/x/f"),
        ("../../y", "y/f"),
        ("/c/d", "c/d/f"),
        ("./x/.", "a/b/x/f"),
    ],
)
def test_an_entry_below_a_link_of_a_lower_layer_follows_it(link: str, expected: str) -> None:
    sink = Collected()
    flatten_layers("image", [layer([symlink("a/b/lib", link)]), layer([E("a/b/lib/f")])], sink)
    assert set(sink.files()) == {"a/b/lib", expected}


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

    flatten_layers("image", [LayerBlob("a layer", len(data), open_it)], Collected())
    assert len(opened) == 1
    assert opened[0].closed
