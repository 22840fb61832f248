"""A user unpacks outputs with the usual tools, completely and without warnings."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from assembler.oci.store import Store
from support.archives import E, directory, hardlink, image, symlink
from support.cpio import Found, archives_of

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen

pytestmark = pytest.mark.slow

YAML = """
init: ["made/one:1", "made/two:1"]
files:
  - {path: etc/last, contents: "from the files"}
  - {path: a/data, contents: "overridden"}
"""
CODECS = ("gzip", "zstd", "lz4", "xz", "none")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Make two images with the same inode numbers, hard links, and a directory nobody made."""
    made = Store(tmp_path / "store")
    for name, place in (("made/one:1", "a"), ("made/two:1", "b")):
        image(
            made,
            name,
            (
                directory(place, 0o711),
                E(f"{place}/data", f"data of {place}".encode() * 5000, mode=0o640, uid=7, gid=8),
                hardlink(f"{place}/link", f"{place}/data"),
                symlink(f"{place}/soft", "data"),
                E(f"{place}-alone/deep/file", b"x"),
                E(f"{place}/{'long' * 40}", b"y"),
            ),
            (hardlink(f"{place}/later", f"{place}/data"), E(f"{place}/empty")),
        )
    return made.root


def built(dolmen: Dolmen, store: Path, *options: str | Path) -> Path:
    """Build the system into the home directory."""
    yaml = dolmen.home / "system.yml"
    yaml.write_text(YAML)
    done = dolmen.run("build", "--offline", "--cache", store, "--no-sbom", *options, yaml)
    assert done.returncode == 0, done.stderr
    return dolmen.home


def quiet(command: list[str], **more: object) -> str:
    """Run a command that must not complain, and return what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=True, **more)  # type: ignore[call-overload]
    assert done.stderr.replace(" ", "") in ("", "\n") or "block" in done.stderr
    return str(done.stdout)


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_has_the_same_tree(dolmen: Dolmen, store: Path, codec: str) -> None:
    path = built(dolmen, store, "--compression", codec) / "system-initrd.img"
    archives = list(archives_of(path.read_bytes()))
    assert (len(archives) == 1) == (codec in ("gzip", "none"))
    tree = merged(archives)
    assert tree["a/data"].data == b"overridden"
    assert tree["b/data"].data == b"data of b" * 5000
    assert (tree["b/data"].mode, tree["b/data"].uid, tree["b/data"].gid) == (0o100640, 7, 8)
    assert tree["b/soft"].data == b"data"
    assert tree["etc/last"].data == b"from the files"
    # Only files that were linked in their image share an inode, and its content is with the first.
    same = [n for n, f in tree.items() if f.links > 1 and f.mode >> 12 == 0o10]
    assert sorted(same) == ["a/later", "a/link", "b/data", "b/later", "b/link"]
    assert len({tree[n].inode for n in same if n.startswith("b/")}) == 1
    assert len({tree[n].inode for n in ("a/link", "b/link")}) == 2


@pytest.mark.parametrize("codec", CODECS)
def test_directories_precede_their_files(dolmen: Dolmen, store: Path, codec: str) -> None:
    path = built(dolmen, store, "--compression", codec) / "system-initrd.img"
    seen: set[str] = set()
    for archive in archives_of(path.read_bytes()):
        for found in archive:
            parent = found.name.rpartition("/")[0]
            assert not parent or parent in seen, found.name
            if found.mode >> 12 == 0o4:
                seen.add(found.name)


def test_cpio_and_gzip_read_an_initrd(dolmen: Dolmen, store: Path, tmp_path: Path) -> None:
    if not shutil.which("cpio"):
        pytest.skip("cpio is not installed")
    path = built(dolmen, store) / "system-initrd.img"
    quiet(["gzip", "--test"], stdin=path.open("rb"))
    plain = subprocess.run(["gzip", "-dc"], stdin=path.open("rb"), capture_output=True, check=True)
    out = tmp_path / "out"
    out.mkdir()
    command = ["cpio", "--extract", "--quiet", "--no-preserve-owner", "--unconditional"]
    done = subprocess.run(command, input=plain.stdout, cwd=out, capture_output=True, check=True)
    assert done.stderr == b""
    assert (out / "etc/last").read_text() == "from the files"
    assert (out / "b/data").stat().st_nlink == 3
    assert (out / "b/later").samefile(out / "b/data")
    assert (out / "a-alone/deep/file").read_text() == "x"


def test_bsdtar_lists_an_initrd(dolmen: Dolmen, store: Path) -> None:
    if not shutil.which("bsdtar"):
        pytest.skip("bsdtar is not installed")
    path = built(dolmen, store) / "system-initrd.img"
    names = quiet(["bsdtar", "-tf", str(path)]).split()
    assert {"a/data", "b/later", "etc/last", "b-alone/deep/file"} <= set(names)


@pytest.mark.parametrize("tool", ["tar", "bsdtar"])
def test_a_tar_is_unpacked_without_warnings(
    dolmen: Dolmen, store: Path, tmp_path: Path, tool: str
) -> None:
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not installed")
    path = built(dolmen, store, "--format", "tar", "-o", "system.tar") / "system.tar"
    out = tmp_path / "out"
    out.mkdir()
    quiet([tool, "-xf", str(path), "-C", str(out), "--no-same-owner"])
    assert (out / "a/data").read_text() == "overridden"
    assert (out / "b/later").samefile(out / "b/data")
    assert (out / f"b/{'long' * 40}").read_text() == "y"
    assert (out / "a").stat().st_mode & 0o777 == 0o711


def merged(archives: list[list[Found]]) -> dict[str, Found]:
    """Return what is there after unpacking: a link has the content of what it is linked to."""
    tree: dict[str, Found] = {}
    for archive in archives:
        tree |= {found.name: found for found in archive}
    return tree
