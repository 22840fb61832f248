"""Go programs, compiled by a toolchain from an image that runs straight out of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.golang.compilation import GoBuild, compile_programs
    from assembler.golang.toolchain import (
        prune_toolchains,
        toolchains_directory,
        toolchains_size,
        verify_toolchains,
    )

_HOMES = {
    "GoBuild": "compilation",
    "compile_programs": "compilation",
    "prune_toolchains": "toolchain",
    "toolchains_directory": "toolchain",
    "toolchains_size": "toolchain",
    "verify_toolchains": "toolchain",
}

__all__ = [
    "GoBuild",
    "compile_programs",
    "prune_toolchains",
    "toolchains_directory",
    "toolchains_size",
    "verify_toolchains",
]

if not TYPE_CHECKING:  # Else a type checker would take any name for granted.
    __getattr__ = front(__name__, _HOMES)
