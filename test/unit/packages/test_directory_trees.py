"""The tree hash of a directory without a commit is the one that a commit of git gives it."""

from __future__ import annotations

import os
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from assembler.errors import HostError, PackageError
from assembler.packages import directory_tree
from assembler.packages.directory_tree import hash_directory
from assembler.packages.git import WorkTree

if TYPE_CHECKING:
    from pathlib import Path

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the configuration of this machine away."""
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


def git(directory: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=n", "-c", "user.email=e@x", *words],
        cwd=directory,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def commit_tree(directory: Path) -> str:
    git(directory, "init", "-q", ".")
    git(directory, "add", ".")
    git(directory, "commit", "-q", "--allow-empty", "-m", "one")
    return git(directory, "rev-parse", "HEAD^{tree}")


def write(directory: Path, *names: str) -> None:
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def test_files_links_and_modes(tmp_path: Path) -> None:
    work = tmp_path / "work"
    # Names that git sorts as if directories ended with a slash.
    write(work, "a.b", "a/x", "a-b", "a0", "b/c/d/e", "b/c.d", "t\u00e4st", "line\nbreak")
    (work / "large").write_bytes(os.urandom(700_001))
    (work / "none").write_bytes(b"")
    (work / "empty/deeper").mkdir(parents=True)
    (work / "link").symlink_to("nowhere/at all")
    (work / "to-a").symlink_to("a")
    (work / "a/x").chmod(0o700)
    (work / "a.b").chmod(0o644 | 0o011)
    (work / os.fsdecode(b"\xff\xfe")).write_text("x")
    found = hash_directory(work)
    assert found == commit_tree(work)
    # The repository itself does not count.
    assert hash_directory(work) == found


def test_an_empty_directory_has_the_hash_of_the_empty_tree(tmp_path: Path) -> None:
    assert hash_directory(tmp_path) == EMPTY_TREE


def test_pipes_and_sockets_do_not_count(tmp_path: Path) -> None:
    write(tmp_path, "x")
    before = hash_directory(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / ".gitignore")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        assert hash_directory(tmp_path) == before


def test_more_nested_directories_than_python_calls(tmp_path: Path) -> None:
    directory = tmp_path
    try:
        for _ in range(1200):
            directory /= "d"
            directory.mkdir()
        write(directory, "file")
        assert hash_directory(tmp_path) != EMPTY_TREE
    finally:
        # Pytest cannot remove them.
        subprocess.run(["rm", "-r", tmp_path / "d"], check=True)


@pytest.mark.parametrize(
    "patterns",
    [
        "*.log\n!keep.log\n",
        "/top\nmid/file\n",
        "build/\n!build/x\n",
        "**/deep\n",
        "a/**/z\n",
        "a/**\n!a/b\n",
        "**\n!top\n",
        "fo?\n[a-c]x\n[!a-c]y\n[]z]\n[^x-]w\n",
        "# comment\n\\#hash\n\\!bang\n\n",
        "trailing   \nescaped\\ \n",
        "crlf\r\n*.o\r\n",
        "\ufefftop\n",
        "[broken\nback\\\nfoo\n",
        "a*b*c\n***x\nfoo**bar\n",
        "***/z\na/***\n",
        "/\n//\n!\n*/file\n",
        "a/b/\nmid/*\n!mid/x.log\n",
    ],
)
def test_ignored_files_are_those_of_git(tmp_path: Path, patterns: str) -> None:
    work = tmp_path / "work"
    write(
        work,
        *("x.log", "keep.log", "a/x.log", "a/keep.log", "top", "a/top", "mid/file", "a/mid/file"),
        *("build/x", "b/build", "deep", "a/deep/x", "a/b/deep", "a/z", "a/b/z", "a/b/c/z", "a/b/n"),
        *("foo", "fooo", "ax", "dx", "ay", "dy", "]", "z", "-w", "xw", "mw", "#hash", "!bang"),
        *("# comment", "trailing", "trailing   ", "escaped ", "escaped", "crlf", "x.o", "[broken"),
        *("back", "back\\", "abc", "aXbYc", "a-c", "foobar", "foo-bar", "a/foo/bar", "mid/x.log"),
    )
    (work / ".gitignore").write_text(patterns)
    assert hash_directory(work) == commit_tree(work)


def test_a_deeper_ignore_file_decides(tmp_path: Path) -> None:
    work = tmp_path / "work"
    write(work, "a/x.o", "a/b/x.o", "x.o", "a/b/local", "local", "out/y")
    (work / ".gitignore").write_text("*.o\nout\n")
    (work / "a/.gitignore").write_text("!*.o\n/b/local\n")
    # Git does not read it, because its directory is ignored.
    (work / "out/.gitignore").write_text("!y\n")
    (work / "linked").mkdir()
    write(work, "linked/keep")
    (work / "linked/.gitignore").symlink_to("keep")
    assert hash_directory(work) == commit_tree(work)


def test_a_file_that_grows_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "x")
    real = os.fstat

    def smaller(handle: int) -> os.stat_result:
        status = list(real(handle))
        status[6] = 0
        return os.stat_result(status)

    monkeypatch.setattr(directory_tree.os, "fstat", smaller)
    with pytest.raises(PackageError, match="changed while it was read"):
        hash_directory(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_that_cannot_be_read_are_errors(tmp_path: Path) -> None:
    write(tmp_path, "d/x", "y")
    (tmp_path / "y").chmod(0)
    with pytest.raises(HostError, match=f"cannot read {tmp_path}/y"):
        hash_directory(tmp_path)
    (tmp_path / "y").unlink()
    (tmp_path / "d").chmod(0)
    try:
        with pytest.raises(HostError, match=f"cannot read {tmp_path}/d"):
            hash_directory(tmp_path)
    finally:
        (tmp_path / "d").chmod(0o755)


def test_a_repository_without_a_commit_ignores_what_git_ignores(tmp_path: Path) -> None:
    package = tmp_path / "pkg/tool"
    write(package, "build.yml", "x.o", "sub/y", "gone")
    (tmp_path / ".gitignore").write_text("*.o\n/hidden\n")
    git(tmp_path, "init", "-q", ".")
    git(tmp_path, "add", "pkg/tool/build.yml", "pkg/tool/gone")
    (package / "gone").unlink()
    tree = WorkTree.find(package)
    assert tree is not None
    assert not tree.has_commit()
    found = tree.uncommitted_tree_hash()
    hidden = tmp_path / "hidden"
    write(hidden, "z")
    ignored = WorkTree.find(hidden)
    assert ignored is not None
    assert ignored.uncommitted_tree_hash() == hash_directory(hidden) != EMPTY_TREE
    commit_tree(tmp_path)
    assert tree.has_commit()
    assert found == git(tmp_path, "rev-parse", "HEAD:pkg/tool")


def test_another_repository_in_one_without_a_commit(tmp_path: Path) -> None:
    write(tmp_path, "x", "nested/y")
    git(tmp_path / "nested", "init", "-q", ".")
    expected = hash_directory(tmp_path)
    git(tmp_path, "init", "-q", ".")
    tree = WorkTree.find(tmp_path)
    assert tree is not None
    assert tree.uncommitted_tree_hash() == expected
    (tmp_path / "nested/y").write_text("changed")
    assert tree.uncommitted_tree_hash() != expected
