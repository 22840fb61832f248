"""Files that several containers have are in an initrd once, as hard links."""

from __future__ import annotations

import random
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import zstandard

from assembler.content import read_content
from assembler.encode.assembly import Assembly, EncodeOptions
from assembler.encode.compression import CODECS, Compression
from assembler.encode.shared_files import SMALLEST
from assembler.oci.store import Store
from assembler.rootfs.plan import (
    EntryKind,
    GeneratedEntry,
    GeneratedPart,
    ImageTree,
    Origin,
    Plan,
    TreeRules,
    leading_directories,
)
from support.archives import E, hardlink, image
from support.cpio import Found, archives_of

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = random.Random(1).randbytes(SMALLEST + 1)
PLACES = tuple(f"containers/services/{name}/lower/" for name in "abc")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Give an empty store."""
    return Store(tmp_path / "store")


def plan(store: Store, *contents: list[E], prefixes: tuple[str, ...] = PLACES) -> Plan:
    """Return a plan with one container for each list of files."""
    directories = {e.path: e for p in prefixes for e in leading_directories(p.rstrip("/"))}
    made = GeneratedPart(Origin("image.yml", "files"), tuple(directories.values()))
    parts: list[GeneratedPart | ImageTree] = [made]
    for number, (files, prefix) in enumerate(zip(contents, prefixes, strict=False)):
        found = image(store, f"test/{number}:1", files)
        origin = Origin(str(found.reference), f"services[{number}]")
        rules = TreeRules.CONTAINER if prefix else TreeRules.ROOT
        parts.append(ImageTree(origin, found, prefix, rules))
    return Plan("amd64", tuple(parts), None)


def initrd_of(store: Store, plan: Plan, codec: str = "zstd") -> bytes:
    with Assembly(plan, store, EncodeOptions(Compression.parse(codec))) as assembly:
        return read_content(assembly.initrd())


def files_of(initrd: bytes, name: str = "prog") -> list[Found]:
    return [
        entry for archive in archives_of(initrd) for entry in archive if entry.name.endswith(name)
    ]


@pytest.mark.parametrize("codec", CODECS)
def test_the_content_of_a_shared_file_is_there_once(store: Store, codec: str) -> None:
    # Different images: that the file is the same is enough.
    whole = plan(store, *([E("prog", PROGRAM, mode=0o755), E("own", b"%d" % n)] for n in range(3)))
    data = initrd_of(store, whole, codec)
    found = files_of(data)
    assert [entry.name for entry in found] == [f"{place}prog" for place in PLACES]
    assert len({entry.inode for entry in found}) == 1
    assert found[0].data == PROGRAM
    assert [entry.data for entry in found[1:]] == [b"", b""]
    assert {entry.links for entry in found} == {3}
    # With all segments in the cache it is the same.
    assert initrd_of(store, whole, codec) == data


@pytest.mark.parametrize(
    "other",
    [
        E("prog", PROGRAM[:-1] + b"!", mode=0o755),
        E("prog", PROGRAM, mode=0o700),
        E("prog", PROGRAM, mode=0o755, uid=1),
        E("prog", PROGRAM, mode=0o755, mtime=5),
    ],
    ids=["content", "mode", "owner", "time"],
)
def test_what_differs_is_not_shared(store: Store, other: E) -> None:
    found = files_of(initrd_of(store, plan(store, [E("prog", PROGRAM, mode=0o755)], [other])))
    assert [entry.data for entry in found] == [PROGRAM, other.data]
    assert [entry.links for entry in found] == [1, 1]


def test_small_files_and_files_with_hard_links_are_not_shared(store: Store) -> None:
    files = [E("small-prog", PROGRAM[: SMALLEST - 1]), E("prog", PROGRAM), hardlink("link", "prog")]
    found = files_of(initrd_of(store, plan(store, files, [*files, E("own", b"")])))
    assert [entry.data for entry in found] == [files[0].data, PROGRAM] * 2


def test_files_that_may_be_written_are_not_shared(store: Store) -> None:
    # Trees of the root filesystem, and what a later part replaces: the kernel would write the new
    # content into the file of all.
    program = [E("prog", PROGRAM)]
    whole = plan(store, program, [*program, E("own", b"")], [*program, E("more", b"")])
    replaced = GeneratedEntry(f"{PLACES[0]}prog", EntryKind.FILE, 0o644, b"other")
    part = GeneratedPart(Origin("image.yml", "files"), (replaced,))
    found = files_of(initrd_of(store, replace(whole, parts=(*whole.parts, part))))
    assert [entry.links for entry in found] == [1, 2, 2, 1]
    found = files_of(initrd_of(store, plan(store, program, program, prefixes=("", PLACES[0]))))
    assert [entry.data for entry in found] == [PROGRAM, PROGRAM]


@pytest.mark.parametrize("tool", ["cpio", "bsdtar"])
@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_other_tools_unpack_shared_files(
    store: Store, tmp_path: Path, codec: str, tool: str
) -> None:
    contents = ([E("prog", PROGRAM, mode=0o755), E("own", b"%d" % n)] for n in range(3))
    data = initrd_of(store, plan(store, *contents), codec)
    plain = b""
    if codec == "zstd":
        while data := data.lstrip(b"\0"):
            frame = zstandard.ZstdDecompressor().decompressobj()
            plain += frame.decompress(data)
            data = frame.unused_data
    else:
        plain = subprocess.run(["gzip", "-dc"], input=data, stdout=-1, check=True).stdout
    words = {"cpio": ["cpio", "-i", "--quiet"], "bsdtar": ["bsdtar", "-xf", "-"]}[tool]
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(words, input=plain, cwd=out, check=True)
    found = [out / place / "prog" for place in PLACES]
    assert [path.read_bytes() for path in found] == [PROGRAM] * 3
    assert len({path.stat().st_ino for path in found}) == 1
    assert (out / PLACES[2] / "own").read_bytes() == b"2"
