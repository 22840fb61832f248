"""What concerns the system as a whole: the kernel, volumes, and sections without effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.codes import config as codes
from assembler.config.findings import warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.config.model import Config, Volume
    from assembler.diagnostics import Diagnostic


def check_system(config: Config, *, kernel_complete: bool) -> Iterator[Diagnostic]:
    """Check what is not a container or a file."""
    kernel = config.kernel
    if kernel is not None and kernel_complete and not kernel.image:
        given = [k for k in ("cmdline", "binary", "tar", "ucode") if getattr(kernel, k)]
        if given:
            yield warning(
                codes.NO_EFFECT,
                f"the kernel has no image, so {' and '.join(given)} has no effect",
                kernel.at.within(given[0]).key,
                "name the image that holds the kernel: image: …",
            )
    if config.trust is not None:
        yield warning(
            codes.NO_EFFECT,
            "`trust` has no effect",
            config.at.within("trust").key,
            "pin images by digest instead: image: name:tag@sha256:…",
        )
    for volume in config.volumes:
        yield from _volume(volume)


def _volume(volume: Volume) -> Iterator[Diagnostic]:
    if volume.format == "oci" and not volume.image:
        yield warning(
            codes.NO_EFFECT,
            "`format: oci` has no effect without an image: the volume is empty",
            volume.at.of("format"),
        )
    elif volume.platforms and volume.format != "oci":
        yield warning(
            codes.NO_EFFECT,
            "`platforms` has no effect but with `format: oci`: the content is that of the "
            "system's own architecture",
            volume.at.within("platforms").key,
        )
