"""A system with everything in it that makes encoders stumble, for tests of whole builds."""

from __future__ import annotations

import random
import shutil
from typing import TYPE_CHECKING

from assembler.oci.store import Store
from support.archives import E, directory, hardlink, image, symlink
from support.loaders import loader_files
from support.programs import ARM64, kernel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_LONG = "/".join(f"a-directory-with-a-rather-long-name-{n:03}" for n in range(7))
_XATTRS = {
    "SCHILY.xattr.user.note": "kept",
    "SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00\x04\x00\x00",
}

RICH = """\
kernel: {image: 'example/kernel:6.1', cmdline: 'console=ttyS0'}
init: ['example/init:v1', 'example/runc:v1', 'example/nasty:1', 'made/root:1']
volumes:
  - {name: blank}
  - {name: data, image: 'example/voldata:1'}
  - {name: layout, image: 'example/multi:1', format: oci}
onboot:
  - {name: one, image: 'example/plain:1', command: [a]}
  - {name: two, image: 'example/times:1', command: [a], binds: ['data:/data']}
onshutdown:
  - {name: last, image: 'example/links:1', command: [a]}
services:
  - {name: sparse, image: 'example/sparse:1', command: [a]}
  - {name: again, image: 'example/plain:1', command: [a], readonly: true}
  - {name: mixed, image: 'example/mixed:1', command: [a]}
  - {name: made, image: 'made/service:1', command: [a]}
files:
  - {path: etc/system.yml, metadata: yaml}
  - {path: etc/system.json, metadata: json}
  - {path: etc/größe, contents: "äöü"}
  - {path: etc/copied, source: copied.bin, mode: "0644"}
  - {path: tmp, directory: true, mode: "1777"}
  - {path: var/link, symlink: ../tmp}
"""


# Goes over RICH, for formats that UEFI boots.
EFI = """\
kernel: {image: 'made/kernel:1', tar: none, cmdline: 'console=ttyS0'}
"""
BOOTLOADERS = "made/bootloaders:1"


def add_boot_images(store: Store) -> None:
    """Add what stands in for a kernel with an EFI stub, and for the package of boot loaders."""
    image(store, "made/kernel:1", (E("kernel", kernel()), E("kernel-arm64", kernel(machine=ARM64))))
    image(store, BOOTLOADERS, tuple(loader_files()))


def rich_store(conformance: Path, root: Path) -> Store:
    """Copy the conformance images, and add images that are larger and odder."""
    shutil.copytree(conformance, root)
    store = Store(root)
    chance = random.Random(5)
    words = [chance.randbytes(chance.randrange(2, 9)) for _ in range(400)]
    soft = b"".join(chance.choices(words, k=300_000))
    image(store, "made/root:1", *_root(soft, chance.randbytes(700_000)))
    image(store, "made/service:1", *_service(soft[:400_000]))
    add_boot_images(store)
    return store


def rich_project(directory: Path) -> Path:
    """Write image.yml and what it takes from the disk, and return the directory."""
    directory.mkdir(parents=True)
    (directory / "image.yml").write_text(RICH, encoding="utf-8")
    (directory / "efi.yml").write_text(EFI, encoding="utf-8")
    (directory / "copied.bin").write_bytes(bytes(range(256)) * 40)
    return directory


def _root(soft: bytes, hard: bytes) -> Sequence[Sequence[E]]:
    return (
        (
            directory("usr"),
            directory("usr/bin", 0o711, mtime=1_500_000_000.25),
            E("usr/bin/soft", soft, mode=0o755),
            E("usr/bin/hard", hard, mode=0o4755),
            hardlink("usr/bin/again", "usr/bin/soft"),
            hardlink("usr/bin/first", "usr/bin/hard"),
            E("usr/bin/ping", b"ping", mode=0o755, pax=_XATTRS),
            directory("gone"),
            E("gone/file", b"1"),
            directory("hidden"),
            E("hidden/old", b"2"),
            E(f"{_LONG}/file", b"long", uid=3_000_000, gid=2_500_000),
            symlink("long-link", "../" + _LONG),
            E("ünïcode/ß", b"3"),
        ),
        (
            E(".wh.gone"),
            E("hidden/.wh..wh..opq"),
            E("hidden/new", b"4"),
            E("usr/bin/hard", b"replaced, its other name is not", mode=0o755),
            hardlink("usr/bin/third", "usr/bin/soft"),
        ),
    )


def _service(soft: bytes) -> Sequence[Sequence[E]]:
    files = [E(f"srv/{n % 13}/{n:04}", soft[n * 90 : n * 120]) for n in range(1200)]
    links = [hardlink(f"links/{n}", f"srv/{n % 13}/{n:04}") for n in range(40)]
    return (
        (directory("srv"), directory("links"), *files, *links),
        tuple(E(f"srv/{n % 13}/.wh.{n:04}") for n in range(50, 70)),
    )
