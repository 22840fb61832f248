"""The image of `dolmen run`: a path, or YAML files that are built first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from assembler.codes import usage
from assembler.errors import UsageError
from assembler.machine import ImageToBuild

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from assembler.build import BuildOptions
    from dolmen.settings import Settings

_PREFIX = "built"


def image_argument(
    settings: Settings, paths: Sequence[str], build_options: Callable[[], BuildOptions]
) -> str | ImageToBuild:
    """Return the path of an image, or YAML files with a function that builds them.

    `build_options` is called only for YAML files.
    """
    files = tuple(p for p in paths if p.lower().endswith((".yml", ".yaml")))
    if files and len(files) != len(paths):
        raise UsageError.of(usage.BAD_OPTION, "YAML files and an image cannot be run together")
    if not files:
        if len(paths) != 1:
            raise UsageError.of(
                usage.BAD_OPTION,
                "no image to run" if not paths else "only one image can be run",
                "use `dolmen run qemu image.yml`, or the prefix or path of an image",
            )
        return paths[0]

    def build_image(directory: Path) -> Path:
        from assembler.build import build  # noqa: PLC0415 - not for a finished image
        from dolmen.progress import progress_reporter  # noqa: PLC0415

        with progress_reporter(settings) as reporter:
            options = replace(build_options(), name=_PREFIX, directory=directory)
            result = build(files, options, progress=reporter.emit)
        disk = next((o.path for o in result.outputs if o.role == "disk" and o.path), None)
        return disk or directory / _PREFIX

    return ImageToBuild(files, build_image)
