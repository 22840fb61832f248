"""The checks of the kernel, of volumes, and of sections without effect."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from assembler.codes import config as codes
from assembler.config.diagnostics import error, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.config.model import Config, Volume
    from assembler.diagnostics import Diagnostic

# Also those that Unicode counts as line breaks; the kernel treats tabs as spaces.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


def check_system(config: Config, *, kernel_complete: bool) -> Iterator[Diagnostic]:
    """Check everything except containers and files."""
    kernel = config.kernel
    if kernel is not None and kernel_complete and not kernel.image:
        keys = [k for k in ("cmdline", "binary", "tar", "ucode") if getattr(kernel, k)]
        if keys:
            yield warning(
                codes.NO_EFFECT,
                f"the kernel has no image, so {' and '.join(keys)} has no effect",
                kernel.positions.lookup(keys[0]).key,
                "name the kernel image: image: …",
            )
    if kernel is not None and kernel.cmdline is not None:
        found = _CONTROL.search(kernel.cmdline.rstrip("\n "))
        if found is not None:
            yield error(
                codes.BAD_CMDLINE,
                f"the command line has {_character_name(found[0])}",
                kernel.positions.place_of("cmdline"),
                "write it as one line; `cmdline: >-` joins the lines that follow",
            )
    if config.trust is not None:
        yield warning(
            codes.NO_EFFECT,
            "`trust` has no effect",
            config.positions.lookup("trust").key,
            "pin images by digest instead: image: name:tag@sha256:…",
        )
    for volume in config.volumes:
        yield from _check_volume(volume)


def _character_name(character: str) -> str:
    if character == "\n":
        return "a line break"
    return f"the control character U+{ord(character):04X}"


def _check_volume(volume: Volume) -> Iterator[Diagnostic]:
    if volume.format == "oci" and not volume.image:
        yield warning(
            codes.NO_EFFECT,
            "`format: oci` has no effect without an image: the volume is empty",
            volume.positions.place_of("format"),
        )
    elif volume.platforms and volume.format != "oci":
        yield warning(
            codes.NO_EFFECT,
            "`platforms` has no effect without `format: oci`: the volume has the content for the "
            "system's own architecture",
            volume.positions.lookup("platforms").key,
        )
