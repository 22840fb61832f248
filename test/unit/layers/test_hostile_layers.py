"""Broken and hostile layers are refused with words, and never with anything but a LayerError."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import tarfile
from contextlib import suppress

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from assembler.codes import layers as codes
from assembler.errors import LayerError
from assembler.oci.layers import ExcludedPaths, LayerLimits, flatten_layers
from support.archives import Collected, E, directory, hardlink, layer, symlink, tar

GOOD = tar([directory("d"), E("d/f", b"content" * 100), symlink("s", "d"), hardlink("h", "d/f")])


def refused(data: bytes, **options: object) -> str:
    with pytest.raises(LayerError) as caught:
        flatten_layers("example/image:1", [layer(data)], Collected(), **options)  # type: ignore[arg-type]
    told = str(caught.value)
    assert "example/image:1" in told
    return told


def header(**changes: bytes) -> bytes:
    """Return an archive of one entry with fields of its header changed, checksum made right."""
    fields = {"name": 0, "mode": 100, "uid": 108, "gid": 116, "size": 124, "mtime": 136,
              "type": 156, "major": 329, "minor": 337}  # fmt: skip
    block = bytearray(tar([E("file", b"x")])[:512])
    for name, value in changes.items():
        at = fields[name]
        block[at : at + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + b"x" + bytes(511 + 1024)


PACKED = gzip.compress(GOOD, mtime=0)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (PACKED[:-3], "cut off"),
        (PACKED[:60], "cut off"),
        (PACKED[:-6] + b"\x01\x02" + PACKED[-4:], "broken"),
        (PACKED + b"garbage", "after the end"),
        (PACKED + bytes(10), "after the end"),
        (zstandard.ZstdCompressor().compress(GOOD)[:-1], "cut off"),
        (zstandard.ZstdCompressor().compress(GOOD)[:20], "cut off"),
        (zstandard.ZstdCompressor().compress(GOOD) + b"more", "after the end"),
        (lzma.compress(GOOD), "xz"),
        (bz2.compress(GOOD), "bzip2"),
        (GOOD[:700], "cut off"),
        (GOOD[:1024], "cut off"),
        (GOOD + b"more", "after the end"),
        (b"this is no archive at all" * 100, "checksum"),
        (GOOD[:600] + b"!" + GOOD[601:], "checksum"),
        (tar([E("../etc/passwd")]), "leave the root"),
        (tar([E("a/../../b")]), "leave the root"),
        (tar([E("f"), hardlink("h", "../../f")]), "leave the root"),
        (tar([hardlink("h", "nowhere")]), "nowhere"),
        (tar([hardlink("h", "h")]), "itself"),
        (tar([directory("d"), hardlink("h", "d")]), "directory"),
        (tar([E("f"), E("f/below")]), "below"),
        (tar([E(".wh.")]), "whiteout"),
        (tar([E("d/.wh...")]), "whiteout"),
        (tar([E("n/" * 2100)]), "too long"),
        (header(type=b"Q"), "unknown type"),
        (header(size=b"\xff" * 12), "size is -1"),
        (header(size=b"\x80\xff\xff\xff" + b"\xff" * 8), "64 bits"),
        (header(size=b"0000000_001\0"), "not a number"),
        (header(mode=b"0000009\0"), "octal"),
        (header(uid=b"\xff" * 8), "owner"),
        (header(uid=b"\x81" + bytes(6) + b"\5"), "its owner is 72057594037927941:0"),
        (header(gid=b"\x80\0\0\1" + bytes(4)), "its owner is 0:4294967296"),
        (header(type=b"3", major=b"\xff" * 8), "device number is -1:0"),
        (header(type=b"4", minor=b"\x80\0\0\1\0\0\0\0"), "device number is 0:4294967296"),
        (tar([E("n" * 100)])[:99] + b"m" + tar([E("n" * 100)])[100:], "n" * 99 + "m: the checksum"),
        (tar([E("f", pax={"comment": "c" * (1 << 20)})]), "extended header of 10485"),
        (tar([E("f", pax={"size": "-1"})]), "size"),
        (tar([E("f", pax={"mtime": "yesterday"})]), "time"),
        (tar([E("f", pax={"path": "a\0b"})]), "NUL"),
        (tar([E("f", pax={"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                          "GNU.sparse.realsize": "100"})]), "holes"),
        (tar([E("f", b"1", pax={"GNU.sparse.map": "0,5,3,1", "GNU.sparse.size": "10"})]), "holes"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(data: bytes, words: str) -> None:
    assert words in refused(data)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": b"\xff" * 12}, "bad: its size is -1"),
        ({"mtime": b"never"}, "bad: its time is "),
        ({"type": b"Q"}, "bad: it is of the unknown type"),
        ({}, "bad: the checksum of its header is wrong"),
    ],
)
def test_the_message_names_the_entry_that_is_wrong(change: dict[str, bytes], words: str) -> None:
    """Not the one before it, which was read without a mistake."""
    wrong = header(name=b"bad\0", **change)
    data = tar([E("good")])[:512] + (wrong if change else wrong[:200] + b"!" + wrong[201:])
    assert f", entry {words}" in refused(data)


@pytest.mark.parametrize(
    "record",
    [
        b"99 comment=abc\n",
        b"14 comment=abc\n",
        b"16 comment=abc\n",
        b"02 comment=abc\n",
        b"1x comment=abc\n",
        b"15 comment:abc\n",
        b"15 =comment=ab\n",
        b"15_comment=abc\n",
        b"15 comment=abcd",
        b" 5 comment=abc\n",
    ],
)
def test_a_broken_record_of_pax_is_refused(record: bytes) -> None:
    data = tar([E("f", pax={"comment": "abc"})])
    assert data[512:527] == b"15 comment=abc\n"
    assert "its pax header is broken" in refused(data[:512] + record + data[527:])


def test_the_message_names_the_entry_and_the_layer() -> None:
    told = refused(tar([E("good"), E("../bad")]))
    assert "sha256:" in told
    assert "../bad" in told


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(bytes(50_000_000), 9, mtime=0),
        zstandard.ZstdCompressor().compress(bytes(50_000_000)),
        zstandard.ZstdCompressor(level=19, write_content_size=False).compress(bytes(50_000_000)),
    ],
)
def test_a_bomb_is_noticed_while_it_unpacks(data: bytes) -> None:
    told = refused(data, limits=LayerLimits(ratio=10, floor=1 << 20))
    assert f"it grows beyond 1 MiB, from {len(data)} bytes stored" in told


def test_holes_count_like_content() -> None:
    records = {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(1 << 50)}
    told = refused(tar([E("f", b"1", pax=records)]))
    assert "grows beyond" in told


def test_the_number_of_entries_is_bounded() -> None:
    data = tar([E(f"f{n}") for n in range(50)])
    assert "entries" in refused(data, limits=LayerLimits(entries=49))
    sink = Collected()
    flatten_layers("image", [layer(data)], sink, limits=LayerLimits(entries=50))
    assert len(sink.order) == 50


def test_the_entries_of_all_layers_count() -> None:
    layers = [layer([E(f"{number}/{n}") for n in range(30)]) for number in range(2)]
    with pytest.raises(LayerError, match="more than 59 entries"):
        flatten_layers("image", layers, Collected(), limits=LayerLimits(entries=59))


def test_an_extended_header_has_a_limit() -> None:
    comment = "c" * ((1 << 20) - len("1048576 comment=\n"))
    sink = Collected()
    flatten_layers("image", [layer(tar([E("f", b"1", pax={"comment": comment})]))], sink)
    assert sink.files() == {"f": b"1"}


@pytest.mark.parametrize("entry", [symlink("etc/hosts", "x"), directory("etc/hosts"),
                                   hardlink("etc/hosts", "f")])  # fmt: skip
def test_only_a_file_can_be_replaced(entry: E) -> None:
    exceptions = ExcludedPaths(frozenset(), {b"etc/hosts": "take it away"})
    told = refused(tar([E("f"), entry]), exceptions=exceptions)
    assert "etc/hosts" in told
    assert "take it away" in told


def mutated(rng: random.Random) -> bytes:
    data = bytearray(rng.choice(SEEDS))
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(data))
        what = rng.random()
        if what < 0.6:
            data[at] = rng.choice((0, 0xFF, 0x80, rng.randrange(256), 0x30 + rng.randrange(10)))
        elif what < 0.7:
            del data[at : at + rng.choice((1, 3, 512))]
        elif what < 0.8:
            data[at:at] = rng.randbytes(rng.choice((1, 3, 512)))
        else:
            del data[at:]
        if not data:
            break
    return rechecked(bytes(data)) if rng.random() < 0.8 else bytes(data)


def rechecked(data: bytes) -> bytes:
    """Make the checksums of headers right, so that what is behind them is reached."""
    out = bytearray(data)
    for at in range(0, len(out) - 511, 512):
        block = out[at : at + 512]
        if block[257:262] == b"ustar":
            block[148:156] = b" " * 8
            out[at + 148 : at + 156] = b"%06o\0 " % sum(block)
    return bytes(out)


SPARSE = tar(
    [
        E("s", bytes(1024), pax={"GNU.sparse.map": "0,512,4096,512", "GNU.sparse.size": "9000"}),
        E("t", b"2\n0\n1\n5\n1\n".ljust(512, b"\0") + b"ab", pax={
            "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "10",
            "GNU.sparse.name": "t"}),
    ]
)  # fmt: skip
SEEDS = [
    GOOD,
    SPARSE,
    tar([E("l" * 150, b"x"), symlink("s", "t" * 150)], tarfile.GNU_FORMAT),
    tar([E("é", b"x", uid=1 << 22, mtime=1.5)], tarfile.PAX_FORMAT),
    gzip.compress(GOOD, 1, mtime=0),
    zstandard.ZstdCompressor().compress(GOOD),
]


@settings(max_examples=3000, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 40))
def test_nothing_but_layer_errors_comes_of_broken_bytes(seed: int) -> None:
    rng = random.Random(seed)
    layers = [layer(mutated(rng)) for _ in range(rng.choice((1, 1, 2)))]
    limits = LayerLimits(ratio=10, floor=1 << 22, entries=1000)
    with suppress(LayerError):
        flatten_layers("image", layers, Collected(), limits=limits)


def test_layers_that_are_too_large_together() -> None:
    """The limit of an image holds for all of its layers, however well each is compressed."""
    layers = [layer(gzip.compress(tar([E(f"f{number}", bytes(300_000))]))) for number in range(3)]
    flatten_layers("image", layers, Collected(), limits=LayerLimits(image=1_000_000))
    with pytest.raises(LayerError) as caught:
        flatten_layers("image", layers, Collected(), limits=LayerLimits(image=800_000))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code is codes.IMAGE_TOO_LARGE
    assert diagnostic.message == "image is larger than 800 kB uncompressed"
    assert "--max-image-size SIZE" in diagnostic.hints[0]
