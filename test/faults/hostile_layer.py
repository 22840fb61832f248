"""Hostile layers: what an image may hold; an error, or outputs that are safe and reproducible."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from typing import TYPE_CHECKING

from assembler.oci import media_types
from assembler.oci.store import Store
from faults import invariants
from faults.hostile_entries import drawn_entries
from faults.kind import Outcome
from support.archives import resolved, tar
from support.damage import COMPRESSIONS

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from faults.bench import Bench

_NAME = "127.0.0.1:5000/made/hostile:1"
_FORMATS = ("tar", "kernel+initrd", "raw-efi", "oci", "tar-kernel-initrd")
# No output is larger, and no file that a hostile size asks for fills the disk.
_LARGEST = 256 << 20


class HostileLayer:
    """An image with layers that no one should unpack."""

    name = "hostile-layer"

    def run(self, bench: Bench) -> Outcome:
        """Build and export a hostile image twice, in stores that know nothing of each other."""
        chance = bench.chance
        shutil.rmtree(bench.store)
        shutil.copytree(bench.material.images, bench.store)
        _add_image(bench, Store(bench.store))
        fresh = bench.place / "more"
        shutil.copytree(bench.store, fresh)
        yaml = bench.home / "image.yml"
        yaml.write_text(
            "kernel: {image: '127.0.0.1:5000/made/kernel:1', tar: none, cmdline: x}\n"
            f"init: ['127.0.0.1:5000/made/gzip:1', '{_NAME}']\n"
            f"services: [{{name: s, image: '{_NAME}', command: [a]}}]\n"
        )
        bench.accept_outside()
        words: tuple[str, ...] = ("cache", "export", "--format", "filesystem", "-o")
        words = (*words, "{out}/tree.tar", _NAME)
        if chance.random() < 0.7:
            formats = chance.choice(_FORMATS)
            words = ("build", "--offline", "--format", formats, "--bootloaders")
            words = (*words, "127.0.0.1:5000/made/loaders:1", "--dir", "{out}", str(yaml))
        limit = ("prlimit", f"--fsize={_LARGEST}")
        first = bench.run(words, before=limit)
        made = invariants.digests(bench.out)
        if first.status == 0:
            bench.complain(_unsafe(bench.out))
        elif made:
            bench.complain([f"an error leaves outputs: {', '.join(made)}"])
        shutil.rmtree(bench.out)
        bench.out.mkdir()
        shutil.rmtree(bench.store)
        fresh.rename(bench.store)
        second = bench.run(words, before=limit)
        if (first.status, made) != (second.status, invariants.digests(bench.out)):
            bench.complain([f"not the same again: {first.said[-200:]!r} {second.said[-200:]!r}"])
        bench.run(("cache", "verify"))
        bench.clean()
        return Outcome.RIGHT if first.status == 0 else Outcome.REFUSED


def _add_image(bench: Bench, store: Store) -> None:
    """Add an image of some layers, with odd entries, odd bytes, or odd statements about them."""
    chance = bench.chance
    layers, diffs = [], []
    for _ in range(chance.choice((1, 1, 1, 2))):
        entries = drawn_entries(chance)
        bench.note("layer: " + ", ".join(f"{e.name[:40]!r}" for e in entries)[:300])
        form = chance.choice((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT))
        data = _damaged(bench, tar(entries, form))
        pack, media_type = COMPRESSIONS[chance.choice(sorted(COMPRESSIONS))]
        packed = pack(data)
        if chance.random() < 0.15:
            packed = packed[: chance.randrange(len(packed))]
            bench.note(f"the compressed layer is cut after {len(packed)} bytes")
        if chance.random() < 0.05:
            media_type = chance.choice((media_types.OCI_LAYER_ZSTD, "application/x-odd"))
        layers.append(store.add_bytes(packed, media_type))
        diff = hashlib.sha256(data).hexdigest()
        diffs.append("sha256:" + (diff if chance.random() < 0.95 else "0" * 64))
    config = {
        "os": "linux",
        "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": diffs},
        "config": {"Labels": {"odd": "\x1b]0;title\x07\n"}, "Entrypoint": ["\x1b[2J"]},
    }
    text = json.dumps(config).encode()
    resolved(store, _NAME, store.add_bytes(text, media_types.OCI_CONFIG), layers, text)


def _damaged(bench: Bench, data: bytes) -> bytes:
    """Return a tar as it is, or one that lies."""
    chance = bench.chance
    way = chance.choice(("", "", "", "", "", "", "cut", "flip", "size", "zeros", "noise"))
    changed = bytearray(data)
    if way == "cut":
        changed = changed[: chance.randrange(len(data))]
    elif way == "flip":
        for _ in range(chance.randint(1, 5)):
            changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif way == "size":
        _lie_about_size(changed, chance)
    elif way == "zeros":
        changed += bytes(chance.choice((1 << 20, 32 << 20, 300 << 20)))
    elif way == "noise":
        changed += chance.randbytes(3000)
    bench.note(f"the tar of {len(data)} bytes: {way or 'unchanged'}")
    return bytes(changed)


def _lie_about_size(data: bytearray, chance: random.Random) -> None:
    """Write another size into a header, with a right checksum."""
    at = chance.randrange(len(data) // 512) * 512
    sizes = (b"77777777777\0", b"\x80" + b"\xff" * 11, b"00000000001\0", b"-0000000001\0")
    data[at + 124 : at + 136] = chance.choice(sizes)
    data[at + 148 : at + 156] = b" " * 8
    data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])


def _unsafe(folder: Path) -> list[str]:
    """Return the members of outputs that a program would unpack outside of its directory."""
    found = []
    for path in folder.glob("*.tar"):
        with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as archive:
            links: set[str] = set()
            for member in archive:
                parts = member.name.split("/")
                above = {"/".join(parts[:n]) for n in range(1, len(parts))}
                if member.name.startswith("/") or ".." in parts:
                    found.append(f"{path.name} has a path that leads out: {member.name!r}")
                if above & links:
                    found.append(f"{path.name} has a path through a link: {member.name!r}")
                if member.islnk() and (
                    member.linkname.startswith("/") or ".." in (member.linkname.split("/"))
                ):
                    found.append(f"{path.name} has a hard link out: {member.linkname!r}")
                (links.add if member.issym() else links.discard)(member.name)
    return found
