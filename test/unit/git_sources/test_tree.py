"""Trees of commits: hashes lead from the commit to each file."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assembler.errors import PackageError
from assembler.git_sources.tree import CommitTree, TreeEntry, object_hash, parse_listing

BLOB = object_hash(b"blob", b"x")


def tree_of(paths: dict[str, str]) -> CommitTree:
    """Return the tree of one file in the top directory."""
    entries = {path: TreeEntry(mode, BLOB, path) for path, mode in paths.items()}
    content = b"".join(
        mode.encode() + b" " + path.encode() + b"\0" + bytes.fromhex(BLOB)
        for path, mode in sorted(paths.items())
    )
    header = (
        b"tree %b\nauthor a <a@b> 7 +0000\ncommitter a <a@b> 42 +0100\n\nx\n"
        % object_hash(b"tree", content).encode()
    )
    return CommitTree(object_hash(b"commit", header), header, entries)


def test_a_tree_that_fits() -> None:
    tree = tree_of({"a": "100644", "b": "100755"})
    tree.check()
    assert tree.time == 42
    assert CommitTree.from_json(tree.commit, tree.as_json()) == tree


@pytest.mark.parametrize("what", ["commit", "entry", "missing"])
def test_a_tree_that_does_not_fit(what: str) -> None:
    tree = tree_of({"a": "100644", "b": "100755"})
    if what == "commit":
        tree = replace(tree, commit="0" * 40)
    elif what == "entry":
        tree = replace(tree, entries={**tree.entries, "a": TreeEntry("100755", BLOB, "a")})
    else:
        tree = replace(tree, entries={"a": tree.entries["a"]})
    with pytest.raises(PackageError, match=r"DM0766"):
        tree.check()


@pytest.mark.parametrize(
    "path", [b"../x", b".git/config", b"a/.GIT/x", b"a//b", b"/a", b"a/./b", b"a/git~1", b".git."]
)
def test_names_that_lead_elsewhere(path: bytes) -> None:
    listing = b"100644 blob " + BLOB.encode() + b"       1\t" + path + b"\0"
    with pytest.raises(PackageError, match=r"is not the name of a file"):
        parse_listing(listing)


@pytest.mark.parametrize(("size", "count"), [(1 << 30, 1), (500 << 20, 9), (1, 200_001)])
def test_limits(size: int, count: int) -> None:
    listing = b"".join(
        b"100644 blob %b %7d\tfile%d\0" % (BLOB.encode(), size, number) for number in range(count)
    )
    with pytest.raises(PackageError, match=r"DM0766.*(larger|more) than"):
        parse_listing(listing)
