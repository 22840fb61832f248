"""The images of `init`, which become the root filesystem."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from assembler.oci import Reference
from assembler.rootfs.plan import ImageTree, JoinedDatabase, Origin, Part, Rules

if TYPE_CHECKING:
    from assembler.config.model import Config
    from assembler.rootfs.options import Resolved

# What apk knows of the packages in a tree; images of LinuxKit are made of them.
APK_DATABASE = "lib/apk/db/installed"


def init_parts(config: Config, resolved: Resolved) -> Iterator[Part]:
    """Yield the trees one over the other, and the joined database of their packages."""
    images = [resolved.images[Reference.parse(text)] for text in config.init]
    for number, image in enumerate(images):
        place = config.positions.place_of("init", number)
        yield ImageTree(
            Origin(str(image.reference), f"init[{number}]", place), image, "", Rules.ROOT
        )
    if len(images) > 1:
        origin = Origin("LINUXKIT.apkinit", "init", config.positions.place_of("init"))
        yield JoinedDatabase(origin, tuple(images), APK_DATABASE)
