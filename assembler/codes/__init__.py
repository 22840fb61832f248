"""The stable codes of diagnostics, each with the explanation `dolmen explain` gives.

Each module holds the codes of one stage, in a range of its own. A code is never reused for another
meaning; docs/errors.md is made from these tables.

    DM00xx  config      reading YAML: files, encoding, syntax
    DM01xx  config      what image.yml and build.yml say
    DM02xx  images      references, the store, manifests
    DM03xx  registries  pulling and pushing
    DM04xx  layers      what is inside an image's layers
    DM05xx  rootfs      laying the system out
    DM06xx  output      encoding, formats, output files
    DM07xx  packages    building packages
    DM08xx  host        the machine Dolmen runs on: tools, disk, network
    DM09xx  usage       the command line
    DM10xx  machine     running images, and why they do not boot
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass

STAGES = (
    "config",
    "images",
    "registries",
    "layers",
    "rootfs",
    "output",
    "packages",
    "host",
    "usage",
    "machine",
)


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of mistake: its number, a title, and what to know and do about it."""

    number: int
    title: str
    explanation: str

    def __str__(self) -> str:
        """Return the code as users see it, `DM0012`."""
        return f"DM{self.number:04}"


def all_codes() -> dict[str, Code]:
    """Return every code by its text, in order of numbers."""
    found = [
        value
        for stage in STAGES
        for value in vars(importlib.import_module(f"assembler.codes.{stage}")).values()
        if isinstance(value, Code)
    ]
    return {str(code): code for code in sorted(found, key=lambda c: c.number)}
