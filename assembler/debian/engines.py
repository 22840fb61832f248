"""Which engine recipes are followed with: apt where there is one, else our own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler import tools
from assembler.codes import usage
from assembler.errors import UsageError

if TYPE_CHECKING:
    from assembler.debian.engine import ArchiveEngine
    from assembler.debian.engine_context import EngineContext

ENGINE_NAMES = ("auto", "apt", "python")


def select_engine(name: str, supply: EngineContext) -> ArchiveEngine:
    """Return the engine of that name; `auto` is apt if this machine has it."""
    if name not in ENGINE_NAMES:
        raise UsageError.of(
            usage.BAD_OPTION,
            f"there is no engine {name!r} for recipes",
            f"there are {', '.join(ENGINE_NAMES)}",
        )
    if name == "apt" or (name == "auto" and tools.find_program("apt-get") is not None):
        from assembler.debian.apt import AptEngine  # noqa: PLC0415

        return AptEngine(supply)
    from assembler.debian.archives.python_engine import PythonEngine  # noqa: PLC0415

    return PythonEngine(supply)
