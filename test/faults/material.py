"""What all rounds use and none changes: images, projects, packages, archives; made once per run."""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.events import NullReporter
from assembler.oci.archive_export import ExportOptions, export_archive
from assembler.oci.reference import Reference
from assembler.oci.store import Store
from support.archives import E, directory, hardlink, image, symlink
from support.damage import packed_image
from support.debian import Content, Deb, Link, make_archive
from support.loaders import loader_files
from support.programs import kernel

if TYPE_CHECKING:
    from pathlib import Path

HOST = "127.0.0.1:5000"
ARCHIVE = "127.0.0.1:5080"
KERNEL, LOADERS = f"{HOST}/made/kernel:1", f"{HOST}/made/loaders:1"
# By reference, the compression of the layer.
ROOTS = {
    f"{HOST}/made/gzip:1": "gzip",
    f"{HOST}/made/plain:1": "plain",
    f"{HOST}/made/zstd:1": "zstd",
    f"{HOST}/made/sums:1": "zstd-checksum",
}
_YEAR = 365 * 24 * 3600
_YAML = f"""\
kernel: {{image: '{KERNEL}', tar: none, cmdline: 'console=ttyS0'}}
init: ['{HOST}/made/gzip:1', '{HOST}/made/plain:1']
services:
  - {{name: one, image: '{HOST}/made/zstd:1', command: [a], binds: ['/etc:/etc']}}
  - {{name: two, image: '{HOST}/made/sums:1', command: [b], readonly: true}}
files:
  - {{path: etc/own, contents: "x"}}
  - {{path: etc/copied, source: copied.bin}}
"""
_DOCKERFILE = f"""\
FROM {HOST}/made/gzip:1
COPY data.txt large.bin /srv/
ENTRYPOINT ["/srv/data.txt"]
"""
_RECIPE = """\
image: tool
org: example
arches: [amd64]
debs:
  suite: trixie
  packages: [tool]
  files: [{path: /etc/said, contents: "said"}]
"""


@dataclass(frozen=True)
class Material:
    """The paths below the folder of the material."""

    root: Path

    @property
    def images(self) -> Path:
        """Return the store that registries serve, which no command uses."""
        return self.root / "images"

    @property
    def project(self) -> Path:
        """Return the directory with image.yml, packages and archives."""
        return self.root / "project"

    @property
    def stores(self) -> Path:
        """Return the directory with stores that rounds begin with."""
        return self.root / "stores"

    @property
    def references(self) -> Path:
        """Return the directory with the results of undisturbed commands."""
        return self.root / "references"


def make_material(root: Path) -> Material:
    """Make everything; the same bytes each time, apart from times."""
    made = Material(root)
    made.stores.mkdir(parents=True)
    made.references.mkdir()
    chance = random.Random(11)
    words = [chance.randbytes(chance.randrange(2, 9)) for _ in range(300)]
    soft = b"".join(chance.choices(words, k=60_000))
    store = Store(made.images)
    for number, (name, compression) in enumerate(ROOTS.items()):
        packed_image(store, name, _tree(number, chance.randbytes(150_000), soft), compression)
    image(store, KERNEL, (E("kernel", kernel()),))
    image(store, LOADERS, tuple(loader_files()))
    _write_project(made.project, chance)
    archive = made.project / "images.tar"
    exported = ExportOptions(Reference.parse(next(iter(ROOTS))))
    with archive.open("wb") as file:
        export_archive(store, exported, file, NullReporter())
    # Old enough for `cache clean` to remove what no name needs.
    store.add_bytes(chance.randbytes(50_000))
    old = time.time() - _YEAR
    for path in made.root.rglob("*"):
        os.utime(path, (old, old), follow_symlinks=False)
    return made


def _tree(number: int, hard: bytes, soft: bytes) -> list[E]:
    start = number * 30_000
    return [
        directory("usr"),
        directory("usr/bin", 0o711),
        E("usr/bin/hard", hard, mode=0o4755),
        E("usr/bin/soft", soft[start : start + 150_000], mode=0o755),
        hardlink("usr/bin/again", "usr/bin/soft"),
        symlink("bin", "usr/bin"),
        *(E(f"srv/{n:03}", soft[n * 50 : n * 50 + 900]) for n in range(60)),
        E("long/" + "n" * 120, b"long name", pax={"SCHILY.xattr.user.note": "yes"}),
    ]


def _write_project(project: Path, chance: random.Random) -> None:
    files: dict[str, bytes] = {
        "image.yml": _YAML.encode(),
        "copied.bin": bytes(range(256)) * 40,
        "dockerfile/build.yml": b"image: app\norg: example\narches: [amd64]\n",
        "dockerfile/Dockerfile": _DOCKERFILE.encode(),
        "dockerfile/data.txt": b"text\n" * 500,
        "dockerfile/large.bin": chance.randbytes(200_000),
        "recipe/build.yml": _RECIPE.encode(),
    }
    for name, content in files.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    library: dict[str, Content] = {
        "usr/lib/libtool.so.1": chance.randbytes(90_000),
        "usr/lib/x": Link("libtool.so.1"),
    }
    needs = {"Depends": "libtool (>= 2:1.0)"}
    program: dict[str, Content] = {"usr/bin/tool": chance.randbytes(60_000)}
    debs = [
        Deb("libtool", "2:1.0+b1", files=library),
        Deb("tool", files=program, fields=needs, compression="zst"),
    ]
    make_archive(project / "archive", debs)
