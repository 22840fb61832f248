"""A user joins initrds of several codecs; a real kernel unpacks them, with links and overrides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assembler.oci.store import Store
from support.archives import E, directory, hardlink, image
from support.booting import Run, System

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen

pytestmark = [pytest.mark.slow, pytest.mark.boot]

COMPLAINTS = ("unpacking failed", "junk", "invalid magic", "Decoding failed", "broken padding")


def test_archives_of_every_codec_are_one_tree(
    dolmen: Dolmen, tiny_system: System, tmp_path: Path
) -> None:
    store = Store(tiny_system.store)
    # The same inode numbers in each, so that links across pieces would show.
    for name in ("one", "two"):
        entries = (
            directory(name),
            E(f"{name}/data", name.encode() * 30_000),
            hardlink(f"{name}/link", f"{name}/data"),
        )
        image(store, f"pieces/{name}:1", entries)
    pieces = [tiny_system.initrd]
    for number, (codec, init) in enumerate(
        {"zstd": ["one"], "none": ["two"], "xz": ["one", "two"], "lz4": [], "gzip": []}.items()
    ):
        yaml = tmp_path / f"{codec}.yml"
        images = ", ".join(f'"pieces/{name}:1"' for name in init)
        # Each piece overrides a file of the one before it.
        yaml.write_text(
            f"init: [{images}]\nfiles:\n  - {{path: last, contents: '{number} {codec}'}}\n"
            f"  - {{path: of-{codec}, contents: '{codec}'}}\n"
        )
        words = ("--cache", store.root, "--no-sbom", "--compression", codec, "--dir", tmp_path)
        done = dolmen.run("build", "--offline", *words, yaml)
        assert done.returncode == 0, done.stderr
        pieces.append((tmp_path / f"{codec}-initrd.img").read_bytes())
    whole = b"".join(piece + bytes(-len(piece) % 4) for piece in pieces)
    prefix = tiny_system.variant(tmp_path / "variant", initrd=whole, cmdline="console=ttyS0")
    with Run.start(dolmen, "run", prefix, "--mem", "256", "--stop-timeout", "1s") as run:
        boot = run.expect("the system is up").string
        run.type("for f in one two; do stat -c '%h %s' /$f/data; done")
        run.expect(r"\n2 90000\r?\n2 90000")
        run.type("[ $(stat -c %i /one/data) = $(stat -c %i /one/link) ] && echo linked=1")
        run.expect("\nlinked=1")
        run.type("[ $(stat -c %i /one/data) != $(stat -c %i /two/data) ] && echo apart=1")
        run.expect("\napart=1")
        run.type("cmp /two/data /two/link && echo same=1")
        run.expect("\nsame=1")
        run.type("cat /last; echo; cat /of-*; echo")
        run.expect(r"\n4 gzip\r?\ngziplz4nonexzzstd")
        run.type("poweroff -f")
        assert run.end() == 0
    assert not [c for c in COMPLAINTS if c in boot]
