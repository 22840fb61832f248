"""A user lists images: `dolmen cache ls` and `dolmen cache inspect`."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from assembler.oci import media_types
from assembler.oci.platform import Platform
from assembler.oci.reference import Reference
from assembler.oci.store import Store
from support.pictures import ARM64, Painter

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Give a store with an image app:1 of two platforms, of which one is there, and base."""
    store = Store(tmp_path / "cache")
    painter = Painter(store)
    amd = painter.image({"a": b"1"}, labels={media_types.CONFIG_LABEL: '{"binds": ["/x:/x"]}'})
    arm = painter.image({"a": b"2"}, ARM64)
    said = painter.image({"s": b"bom"}, Platform("unknown", "unknown"))
    note = {
        media_types.ATTESTATION: media_types.ATTESTATION_MANIFEST,
        media_types.ATTESTED_DIGEST: amd.digest,
    }
    store.put("docker.io/example/app:1", painter.index(amd, arm, replace(said, annotations=note)))
    store.put("docker.io/library/base:latest", painter.image({"b": bytes(10_000)}, ARM64))
    store.path(arm.digest).unlink()
    return store.root


def test_a_table(dolmen: Dolmen, cache: Path) -> None:
    shown = dolmen.run("--cache", cache, "cache", "ls").stdout.splitlines()
    assert shown[0].split() == ["IMAGE", "PLATFORMS", "SIZE", "USED", "DIGEST"]
    assert shown[1].split()[:2] == ["docker.io/example/app:1", "linux/amd64,(linux/arm64)"]
    assert shown[2].split()[:2] == ["docker.io/library/base:latest", "linux/arm64"]


def test_json(dolmen: Dolmen, cache: Path) -> None:
    rows = json.loads(dolmen.run("cache", "ls", "--json", "--cache", cache).stdout)
    assert [r["name"] for r in rows] == ["docker.io/example/app:1", "docker.io/library/base:latest"]
    assert rows[0]["platforms"] == ["linux/amd64"]
    assert rows[0]["notFetched"] == ["linux/arm64"]
    assert all(r["complete"] and r["size"] > 0 and r["used"].startswith("20") for r in rows)


def test_a_missing_store_is_an_empty_list(dolmen: Dolmen, tmp_path: Path) -> None:
    done = dolmen.run("cache", "ls", "--json", "--cache", tmp_path / "none")
    assert (done.returncode, json.loads(done.stdout)) == (0, [])
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("variable", ["DOLMEN_CACHE", "LINUXKIT_CACHE", "XDG_CACHE_HOME"])
def test_the_environment_sets_the_store(dolmen: Dolmen, cache: Path, variable: str) -> None:
    if variable == "XDG_CACHE_HOME":
        shutil.copytree(cache, cache.parent / "xdg" / "dolmen")
        cache = cache.parent / "xdg"
    shown = dolmen.run("cache", "ls", env={variable: str(cache)}).stdout
    assert "docker.io/example/app:1" in shown


def test_a_cache_of_another_tool(dolmen: Dolmen, conformance_layout: Path) -> None:
    rows = json.loads(dolmen.run("cache", "ls", "--json", "--cache", conformance_layout).stdout)
    assert len(rows) == 80
    assert all(r["complete"] for r in rows)


def test_inspect_shows_config_and_layers(dolmen: Dolmen, cache: Path) -> None:
    done = dolmen.run("cache", "inspect", "example/app:1", "--platform", "amd64", "--cache", cache)
    lines = {line[:12].strip(): line[12:] for line in done.stdout.splitlines()}
    assert lines["name"] == "docker.io/example/app:1"
    assert lines["platforms"] == "linux/amd64, (linux/arm64)"
    assert lines["cmd"] == '["/bin/true"]'
    assert lines["layers"].endswith("vnd.oci.image.layer.v1.tar+gzip")
    assert lines["labels"] == 'org.mobyproject.config={"binds": ["/x:/x"]}'
    assert "attested" in lines


def test_inspect_prints_json(dolmen: Dolmen, cache: Path) -> None:
    done = dolmen.run("cache", "inspect", "--json", "example/app:1", "--cache", cache)
    found = json.loads(done.stdout)
    assert found["manifest"]["layers"] == found["layers"]
    assert found["config"]["config"]["Cmd"] == ["/bin/true"]
    assert found["label"] == '{"binds": ["/x:/x"]}'
    assert len(found["index"]["manifests"]) == 3
    assert found["platforms"] == ["linux/amd64"]


def test_the_only_platform_is_the_default(dolmen: Dolmen, cache: Path) -> None:
    done = dolmen.run("cache", "inspect", "--json", "base", "--cache", cache)
    assert json.loads(done.stdout)["platform"] == "linux/arm64"
    done = dolmen.run("cache", "inspect", "base", "--platform", "riscv64", "--cache", cache)
    assert done.returncode == 1
    assert "docker.io/library/base:latest has linux/arm64, not linux/riscv64" in done.stderr


def test_an_unknown_name(dolmen: Dolmen, cache: Path) -> None:
    done = dolmen.run("cache", "inspect", "example/app:2", "--cache", cache)
    assert done.returncode == 1
    assert "docker.io/example/app:2 is not in the store" in done.stderr
    assert "of this repository the store has docker.io/example/app:1" in done.stderr


def test_a_directory_with_other_files_is_refused(dolmen: Dolmen, tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text("garbage")
    done = dolmen.run("cache", "ls", "--cache", tmp_path)
    assert done.returncode == 1
    assert "error[DM0209]" in done.stderr
    assert "Traceback" not in done.stderr


def test_rows_fit_a_terminal(dolmen: Dolmen, tmp_path: Path) -> None:
    """On a terminal digests are short and long names have lines of their own; pipes get all."""
    store = Store(tmp_path / "cache")
    name = "registry.example.com/an/organisation/an-image-of-some-length:1.0"
    descriptor = Painter(store).image({"a": b"1"})
    store.put(Reference.parse(name), descriptor)
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    subprocess.run(
        [sys.executable, "-m", "dolmen", "cache", "ls", "--cache", str(store.root)],
        env=dolmen.environment() | {"COLUMNS": "80"},
        stdin=subprocess.DEVNULL,
        stdout=follower,
        check=True,
    )
    os.close(follower)
    lines = os.read(leader, 1 << 16).decode().splitlines()
    os.close(leader)
    assert max(map(len, lines)) <= 80
    assert name in lines
    assert lines[-1].endswith(descriptor.digest[: len("sha256:") + 12])
    assert descriptor.digest in dolmen.run("cache", "ls", "--cache", store.root).stdout
