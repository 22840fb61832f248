"""The archives of Debian packages: dpkg reads them, and the same files give the same bytes."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from release.deb import Deb
from release.tree import File, compress_gzip, parents_of, tar_of

if TYPE_CHECKING:
    from pathlib import Path

TREE = {
    "usr/bin/tool": File(b"#!/bin/sh\n", 0o755),
    "usr/lib/tool/data": File(b"x" * 3001),
    "usr/lib/tool/link": File(link="../../bin/tool"),
}
TIME = 1700000000


def made(tmp_path: Path) -> Path:
    path = tmp_path / "tool.deb"
    path.write_bytes(Deb("amd64", "Me <me@example.org>", TREE, TIME).content())
    return path


def dpkg(*words: str | Path) -> str:
    done = subprocess.run(["dpkg-deb", *words], capture_output=True, text=True, check=True)
    return done.stdout


def test_dpkg_lists_the_files_with_root_as_owner(tmp_path: Path) -> None:
    lines = [line.split() for line in dpkg("--contents", made(tmp_path)).splitlines()]
    assert [(words[0], words[1], words[5]) for words in lines] == [
        ("drwxr-xr-x", "root/root", "./"),
        ("drwxr-xr-x", "root/root", "./usr/"),
        ("drwxr-xr-x", "root/root", "./usr/bin/"),
        ("-rwxr-xr-x", "root/root", "./usr/bin/tool"),
        ("drwxr-xr-x", "root/root", "./usr/lib/"),
        ("drwxr-xr-x", "root/root", "./usr/lib/tool/"),
        ("-rw-r--r--", "root/root", "./usr/lib/tool/data"),
        ("lrwxrwxrwx", "root/root", "./usr/lib/tool/link"),
    ]


def test_dpkg_unpacks_the_files(tmp_path: Path) -> None:
    root = tmp_path / "root"
    dpkg("--extract", made(tmp_path), root)
    assert (root / "usr/lib/tool/data").read_bytes() == b"x" * 3001
    assert (root / "usr/lib/tool/link").resolve() == root / "usr/bin/tool"
    assert (root / "usr/bin/tool").stat().st_mtime == TIME


def test_the_control_file_has_the_installed_size_by_debians_rules(tmp_path: Path) -> None:
    # Two files of 1 and 3 KiB, a link, and 4 directories.
    assert dpkg("--field", made(tmp_path), "Installed-Size").strip() == str(1 + 3 + 1 + 4)


def test_the_sums_are_those_of_the_files(tmp_path: Path) -> None:
    root = tmp_path / "root"
    dpkg("--raw-extract", made(tmp_path), root)
    check = ["md5sum", "--check", "--quiet", "DEBIAN/md5sums"]
    subprocess.run(check, cwd=root, check=True)
    assert len((root / "DEBIAN/md5sums").read_text().splitlines()) == 2


def test_the_order_of_files_does_not_matter() -> None:
    assert tar_of(dict(reversed(TREE.items())), TIME) == tar_of(TREE, TIME)


def test_the_directories_above_are_named_once() -> None:
    assert parents_of(["a/b/c", "a/d"]) == ["a", "a/b"]


def test_compressed_documents_have_no_time() -> None:
    assert compress_gzip("text")[4:8] == bytes(4)
