"""The lock of references: stable bytes, and the place of each mistake."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from assembler.errors import PackageError
from assembler.git_sources import LockedCommit, lock_path, read_lock, write_lock

if TYPE_CHECKING:
    from pathlib import Path

ONE = LockedCommit("1" * 40, "2026-01-31T12:00:00Z")
TWO = LockedCommit("2" * 40, "2026-01-31T12:00:01Z")
NAMES = ["@git:https://b.org/r#v1", '@git:https://a.org/"r\\#main', "@git:ssh://h.org/ü#main"]


def test_a_lock_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = lock_path(tmp_path / "image.yml")
    assert (path.name, read_lock(path)) == ("image.lock", {})
    commits = dict.fromkeys(NAMES, ONE)
    write_lock(path, commits)
    before = path.stat()
    assert read_lock(path) == commits
    write_lock(path, dict(reversed(commits.items())))
    assert path.stat().st_ino == before.st_ino  # not touched
    tables = [line for line in path.read_text().splitlines() if line.startswith("[")]
    assert tables == sorted(tables)


def test_git_merges_new_entries_of_two_branches(tmp_path: Path) -> None:
    path = tmp_path / "image.lock"
    old = {"@git:https://c.org/r#x": ONE, "@git:https://m.org/r#x": ONE}
    texts = []
    for new in ({}, {"@git:https://a.org/r#x": TWO}, {"@git:https://z.org/r#x": TWO}):
        write_lock(path, old | new)
        texts.append(path.read_text())
    for name, text in zip(("base", "ours", "theirs"), texts, strict=True):
        (tmp_path / name).write_text(text)
    files = [tmp_path / name for name in ("ours", "base", "theirs")]
    subprocess.run(["git", "merge-file", "-q", *files], check=True)
    path.write_text((tmp_path / "ours").read_text())
    assert len(read_lock(path)) == 4


HEAD = 'version = 1\n\n["@git:https://a.org/r#x"]\n'


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        (HEAD + 'commit = "12ab"\nresolved = "2026-01-31T12:00:00Z"\n', "4:10", "40 digits"),
        (HEAD + f'commit = "{"g" * 40}"\n', "4:10", "40 digits"),
        (HEAD + 'resolved = "2026-01-31T12:00:00Z"\n', "3:3", "40 digits"),
        (HEAD + f'commit = "{"1" * 40}"\nresolved = "today"\n', "5:12", "is not written as"),
        (HEAD + "commit = 12\n", "4:10", "40 digits"),
        (HEAD + "commit = \n", "4:10", "invalid value"),
        ("version = 2\n", "1:1", "its version is 2"),
        ("", "image.lock:", "its version is None"),
        ("version = 1\n[other]\n", "2:2", "'other' is not a reference"),
        (f"version = 1\n<<<<<<< ours\n{HEAD}", "2:1", "merge conflict"),
    ],
)
def test_an_edited_lock(tmp_path: Path, text: str, place: str, reason: str) -> None:
    path = tmp_path / "image.lock"
    path.write_text(text)
    with pytest.raises(PackageError, match=r"DM0764") as caught:
        read_lock(path)
    shown = str(caught.value)
    assert place in shown
    assert reason in shown
