"""A user inspects files of any name."""

from __future__ import annotations

import io
import json
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from support.booting import archive

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen

FILES = {f"etc/file{n:02}": (0o100644, b"x" * n) for n in range(30)}


def test_an_initrd_in_a_terminal(dolmen: Dolmen, tmp_path: Path) -> None:
    path = tmp_path / "whatever"
    path.write_bytes(archive(FILES))
    told = dolmen.run("inspect", path).stdout
    assert told.startswith(f"{path}: initrd, ")
    assert "  compression: gzip\n" in told
    assert "  files: 30\n" in told
    # A few, and how to see the others.
    assert "etc/file00" in told
    assert "etc/file29" not in told
    assert "--files lists all" in told
    assert "etc/file29  29 B" in dolmen.run("inspect", "--files", path).stdout


def test_json_for_a_script(dolmen: Dolmen, tmp_path: Path) -> None:
    path = tmp_path / "initrd.img"
    path.write_bytes(archive(FILES))
    found = json.loads(dolmen.run("inspect", "--json", path).stdout)
    assert (found["kind"], found["entries"], found["archives"]) == ("initrd", 30, 1)
    assert {"path": "etc/file07", "size": 7} in found["files"]


def test_a_broken_file_is_reported_with_its_readable_parts(dolmen: Dolmen, tmp_path: Path) -> None:
    path = tmp_path / "initrd.img"
    path.write_bytes(archive(FILES)[:-40])
    done = dolmen.run("inspect", path)
    assert done.returncode == 1
    assert "problem: it is cut short" in done.stdout
    assert "error[DM0642]" in done.stderr
    assert "cut short" in done.stderr
    assert "etc/file00" in done.stdout


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
def test_a_compressed_initrd_that_is_cut_off(dolmen: Dolmen, tmp_path: Path, part: float) -> None:
    path = tmp_path / "initrd.img"
    files = {f"f{n}": (0o100644, os.urandom(5000)) for n in range(30)}
    whole = archive(files)
    path.write_bytes(whole[: int(len(whole) * part)])
    done = dolmen.run("inspect", path)
    assert done.returncode == 1
    assert "compression: gzip" in done.stdout
    size = path.stat().st_size
    assert f"it is cut short: the archive at byte 0 of {size}, after 'f" in done.stderr


def test_an_unknown_file(dolmen: Dolmen, tmp_path: Path) -> None:
    path = tmp_path / "noise"
    path.write_bytes(bytes(range(256)) * 20)
    done = dolmen.run("inspect", path)
    assert done.returncode == 1
    assert "DM0618" in done.stderr
    missing = dolmen.run("inspect", tmp_path / "missing")
    assert missing.returncode == 1
    assert "No such file" in missing.stderr
    folder = dolmen.run("inspect", tmp_path)
    assert folder.returncode == 1
    assert "Traceback" not in folder.stderr


def test_a_pipe_is_refused_at_once(dolmen: Dolmen, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for words in (
        ("inspect", "pipe"),
        ("run", "qemu", "pipe"),
        ("cache", "import", "pipe"),
        ("metadata", "create", "cd.iso", "--file", "pipe"),
    ):
        done = dolmen.run(*words, cwd=tmp_path)
        assert done.returncode == 1
        assert "pipe" in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "cd.iso").exists()


def test_the_open_ports_of_a_firewall(dolmen: Dolmen, tmp_path: Path) -> None:
    rules = b"#!/usr/sbin/nft -f\n# Open: 22/tcp from 10.0.0.0/8, 80/tcp\ntable inet firewall\n"
    path = tmp_path / "initrd.img"
    for content, shown in ((rules, "open: 22/tcp from 10.0.0.0/8, 80/tcp"), (b"x", "rules in")):
        path.write_bytes(archive({"a": (0o100644, b"a"), "etc/nftables.conf": (0o100644, content)}))
        assert f"  firewall: {shown}" in dolmen.run("inspect", path).stdout
        with tarfile.open(tmp_path / "image.tar", "w") as tar:
            member = tarfile.TarInfo("etc/nftables.conf")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        found = json.loads(dolmen.run("inspect", "--json", tmp_path / "image.tar").stdout)
        assert found["firewall"].startswith(shown)
