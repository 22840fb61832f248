"""The tree with each path once is the one that an ISO volume has, which is made in another way."""

from __future__ import annotations

import io
import stat
import tarfile
import tempfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assembler.content import read_content
from assembler.formats.iso_tree import _MergedTree, _read_tar
from assembler.formats.merged_tar import MergedTar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_places = st.lists(st.sampled_from("abc"), min_size=1, max_size=2).map("/".join)
# Links are called l and m and lead to none of these, so that none leads to itself.
_paths = st.lists(st.sampled_from(["a", "b", "l", "m", "boot"]), min_size=1, max_size=3).map(
    "/".join
)
_links = st.tuples(_places, st.sampled_from("lm")).map("/".join) | st.sampled_from("lm")
_targets = _places | _places.map(lambda p: f"/{p}") | st.sampled_from(["..", ".", "../b", "a/../c"])
# Files with other names are where no directory is: what is no directory may be refused elsewhere.
_files = st.tuples(_paths, st.sampled_from("fg")).map("/".join)
_entries = st.lists(
    st.one_of(
        st.tuples(st.just("dir"), _paths, st.integers(0, 0o777)),
        st.tuples(st.just("file"), _paths | _files, st.integers(0, 9)),
        st.tuples(st.just("symlink"), _links, _targets),
        st.tuples(st.just("link"), _files, _files),
    ),
    max_size=14,
)


def tar_of(entries: list[tuple[str, str, Any]]) -> bytes:
    out = io.BytesIO()
    # Only what a name can be a link to may be linked to.
    kinds: dict[str, str] = {}
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for number, (kind, path, value) in enumerate(led(entries)):
            info = tarfile.TarInfo(path)
            info.mtime, info.uid, content = number, number, b""
            if kind == "dir":
                info.type, info.mode = tarfile.DIRTYPE, value
            elif kind == "file":
                content = bytes([65 + value]) * (value * 100)
                info.size = len(content)
            elif kind == "symlink":
                info.type, info.linkname = tarfile.SYMTYPE, value
            elif kinds.get(value) != "file" or value == path:
                continue
            else:
                info.type, info.linkname = tarfile.LNKTYPE, value
            kinds[path] = "file" if kind == "link" else kind
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def led(entries: list[tuple[str, str, Any]]) -> Iterator[tuple[str, str, Any]]:
    """Add the directories that lead to entries, as every part of a system has them."""
    there: dict[str, str] = {}
    for kind, path, value in entries:
        words = path.split("/")
        parents = ["/".join(words[:count]) for count in range(1, len(words))]
        if any(there.get(p) in ("file", "link") for p in parents):
            continue
        for parent in parents:
            if parent not in there:
                there[parent] = "dir"
                yield "dir", parent, 0o755
        there[path] = kind
        yield kind, path, value


def as_pieces(data: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: iter([data[i : i + 700] for i in range(0, len(data), 700)])


def once(data: bytes) -> dict[str, tuple[object, ...]]:
    """Return what a tar has, and make sure that it has each path once, directories first."""
    found: dict[str, tuple[object, ...]] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            assert member.name not in found
            if not found:
                assert (member.name, member.mode, member.uid) == (".", 0o755, 0)
                found["."] = (stat.S_IFDIR,)
                continue
            directory = member.name.rpartition("/")[0]
            assert found[directory or "."][0] == stat.S_IFDIR, member.name
            if member.islnk():
                found[member.name] = found[member.linkname]
                continue
            content = archive.extractfile(member).read() if member.isreg() else b""  # type: ignore[union-attr]
            kind = {tarfile.DIRTYPE: stat.S_IFDIR, tarfile.SYMTYPE: stat.S_IFLNK}
            form = kind.get(member.type, stat.S_IFREG)
            found[member.name] = (form, member.mode, member.uid, content, member.linkname)
    del found["."]
    return found


@settings(max_examples=400, deadline=None, derandomize=True)
@given(entries=_entries)
def test_each_path_is_there_once_and_is_the_right_one(entries: list[tuple[str, str, Any]]) -> None:
    data = tar_of(entries)
    expected = _MergedTree()
    with tempfile.TemporaryFile() as fresh:
        for entry, link in _read_tar([data], fresh, []):
            expected.add(entry, link)
        want = {
            e.path.decode(): (
                *(stat.S_IFMT(e.mode), stat.S_IMODE(e.mode), e.uid),
                *(read_content(e.content), e.target.decode()),
            )
            for e in expected.entries()
            # The volume has a directory boot of its own.
            if not (e.path + b"/").startswith(b"boot/")
        }
    # A file in the place of a directory gives way to what is below it.
    for path in [p for p, v in want.items() if v[0] != stat.S_IFDIR]:
        if any(other.startswith(path + "/") for other in want):
            del want[path]
    got = once(b"".join(map(bytes, MergedTar(as_pieces(data)).chunks())))
    led = {path for path in got.keys() - want.keys() if got[path][0] == stat.S_IFDIR}
    assert {p: v for p, v in got.items() if p not in led} == want
    # What is made besides are directories that lead to something.
    assert all(any(other.startswith(path + "/") for other in want) for path in led)


def test_a_file_lives_on_in_its_other_names() -> None:
    links = [("link", "x/two", "x/one"), ("link", "x/three", "x/one")]
    whole_tree = tar_of([("file", "x/one", 3), *links, ("file", "x/one", 4)])
    data = b"".join(map(bytes, MergedTar(as_pieces(whole_tree)).chunks()))
    found = once(data)
    assert found["x/one"][3] == b"E" * 400
    assert found["x/two"][3] == found["x/three"][3] == b"D" * 300
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert archive.getmember("x/three").linkname == "x/two"
    assert len(found) == 4


@pytest.mark.parametrize("before", [[], [("file", "b/m/a/f", 1)]])
def test_a_hard_link_to_a_file_below_boot_is_that_file(before: list[tuple[str, str, Any]]) -> None:
    links = [("link", "b/m/a/f", "boot/g"), ("link", "b/two", "boot/g")]
    tree = tar_of([("dir", "a", 0o755), *before, ("file", "boot/g", 2), *links])
    found = once(b"".join(map(bytes, MergedTar(as_pieces(tree)).chunks())))
    assert set(found) == {"a", "b", "b/m", "b/m/a", "b/m/a/f", "b/two"}
    assert found["b/m/a/f"][3] == found["b/two"][3] == b"C" * 200
    merged = _MergedTree()
    with tempfile.TemporaryFile() as fresh:
        for entry, link in _read_tar([tree], fresh, []):
            merged.add(entry, link)
        entries = {e.path: e for e in merged.entries()}
        assert set(entries) == {b"boot", *(path.encode() for path in found)}
        for path in (b"b/m/a/f", b"b/two"):
            assert read_content(entries[path].content) == b"C" * 200
            assert entries[path].links == 2


def test_a_hard_link_to_nothing_replaces_nothing() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        file, link = tarfile.TarInfo("f"), tarfile.TarInfo("f")
        file.size, link.type, link.linkname = 3, tarfile.LNKTYPE, "g"
        archive.addfile(file, io.BytesIO(b"abc"))
        archive.addfile(link)
    found = once(b"".join(map(bytes, MergedTar(as_pieces(out.getvalue())).chunks())))
    assert found["f"][3] == b"abc"


def test_the_names_of_different_files_are_counted_apart() -> None:
    tree = tar_of(
        [
            ("file", "x/a", 1),
            ("link", "x/b", "x/a"),
            ("file", "x/c", 2),
            ("link", "x/d", "x/c"),
            ("file", "x/a", 3),
            ("file", "x/b", 3),
            ("file", "x/e", 4),
            ("link", "x/f", "x/e"),
        ]
    )
    merged = _MergedTree()
    with tempfile.TemporaryFile() as fresh:
        for entry, link in _read_tar([tree], fresh, []):
            merged.add(entry, link)
        links = {e.path: e.links for e in merged.entries()}
    assert {p: links[p] for p in (b"x/c", b"x/d", b"x/e", b"x/f")} == dict.fromkeys(
        (b"x/c", b"x/d", b"x/e", b"x/f"), 2
    )


def test_each_tree_has_an_identity_of_its_own() -> None:
    trees = [
        [("file", "a/f", 1)],
        [("file", "a/f", 2)],
        [("file", "a/g", 1)],
        [("dir", "a", 0o700), ("file", "a/f", 1)],
    ]
    found = [MergedTar(as_pieces(tar_of(t))).identity for t in trees]  # type: ignore[arg-type]
    assert len(set(found)) == len(trees)
    assert found[0] == MergedTar(lambda: iter([tar_of([("file", "a/f", 1)])])).identity


@pytest.mark.parametrize(
    ("path", "changes", "own_entry"),
    [
        pytest.param("caf\u00e9", {}, True, id="non-ASCII name"),
        pytest.param("caf\u00e9", {}, False, id="implied, non-ASCII name"),
        pytest.param("d" * 120, {}, True, id="long name"),
        pytest.param("d" * 120, {}, False, id="implied, long name"),
        pytest.param("a", {"mtime": 1.5}, True, id="fractional time"),
        pytest.param("a", {"mtime": -1}, True, id="time before 1970"),
        pytest.param("a", {"uid": 3_000_000}, True, id="large uid"),
        pytest.param("a", {"gid": 3_000_000}, True, id="large gid"),
    ],
)
def test_a_directory_that_needs_an_extended_header_is_kept(
    path: str, changes: dict[str, Any], *, own_entry: bool
) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        directory = tarfile.TarInfo(path)
        directory.type, directory.mode = tarfile.DIRTYPE, 0o750
        for name, value in changes.items():
            setattr(directory, name, value)
        if own_entry:
            archive.addfile(directory)
        archive.addfile(tarfile.TarInfo(f"{path}/file"))
    data = b"".join(map(bytes, MergedTar(as_pieces(out.getvalue())).chunks()))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = archive.getmember(path)
        assert archive.getnames() == [".", path, f"{path}/file"]
    if own_entry:
        assert (found.mode, found.uid, found.gid) == (0o750, directory.uid, directory.gid)
        assert found.mtime == directory.mtime
    else:
        assert (found.mode, found.uid, found.gid) == (0o755, 0, 0)
