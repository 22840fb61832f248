"""The images of `init`, which become the root filesystem."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.oci import Reference
from assembler.rootfs.plan import ImageTree, MergedPackageDatabase, Origin, Part, TreeRules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.config import Config
    from assembler.rootfs.plan_options import ResolvedImages

# apk's database of the packages in a tree; LinuxKit's images consist of apk packages.
APK_DATABASE = "lib/apk/db/installed"


def init_parts(config: Config, resolved: ResolvedImages) -> Iterator[Part]:
    """Yield the trees one over the other, and the merged database of their packages."""
    images = [resolved.images[Reference.parse(text)] for text in config.init]
    for number, image in enumerate(images):
        place = config.positions.place_of("init", number)
        yield ImageTree(
            Origin(str(image.reference), f"init[{number}]", place), image, "", TreeRules.ROOT
        )
    if len(images) > 1:
        origin = Origin("LINUXKIT.apkinit", "init", config.positions.place_of("init"))
        yield MergedPackageDatabase(origin, tuple(images), APK_DATABASE)
