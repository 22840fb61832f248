"""The stable codes of diagnostics, with the explanations that `dolmen explain` prints.

Each module has the codes of one stage, in a range of its own. A number never changes its meaning;
docs/errors.md is generated from these modules.

    DM00xx  config      reading YAML: files, encoding, syntax
    DM01xx  config      the content of image.yml and build.yml
    DM02xx  images      references, the store, manifests
    DM03xx  registries  pulling and pushing
    DM04xx  layers      the content of image layers
    DM05xx  rootfs      planning the root filesystem
    DM06xx  output      encoding, formats, output files
    DM07xx  packages    building packages
    DM08xx  host        the machine that Dolmen runs on: programs, disk, network
    DM09xx  usage       the command line
    DM10xx  machine     running images, and boot failures
    DM11xx  measurement what machines measure into a TPM
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
    "measurement",
)


@dataclass(frozen=True, slots=True)
class Code:
    """A code: its number, a title, and an explanation with remedies."""

    number: int
    title: str
    explanation: str

    def __str__(self) -> str:
        """Return the form that users see, such as `DM0012`."""
        return f"DM{self.number:04}"


def all_codes() -> dict[str, Code]:
    """Return all codes by their text, in the order of their numbers."""
    found = [code for stage in STAGES for code in _codes_of(stage)]
    return {str(code): code for code in sorted(found, key=lambda c: c.number)}


def code_of(text: str) -> Code:
    """Return the code with this text, or raise KeyError; imports only the module of its stage."""
    # The stage `config` has two ranges, all others have one.
    hundreds = int(text.removeprefix("DM")) // 100
    stage = STAGES[min(max(hundreds - 1, 0), len(STAGES) - 1)]
    return {str(code): code for code in _codes_of(stage)}[text]


def _codes_of(stage: str) -> list[Code]:
    module = importlib.import_module(f"assembler.codes.{stage}")
    return [value for value in vars(module).values() if isinstance(value, Code)]
