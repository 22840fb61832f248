"""Select and open the archive engine: apt if the machine has it, else the one in Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler import tools
from assembler.codes import usage
from assembler.errors import UsageError

if TYPE_CHECKING:
    from assembler.debian.engine_context import EngineContext
    from assembler.debian.engine_protocol import ArchiveEngine
    from assembler.debian.options import DebianOptions
    from assembler.events import Reporter
    from assembler.oci import Store

ENGINE_NAMES = ("auto", "apt", "python")


def open_archive_engine(
    store: Store, options: DebianOptions, reporter: Reporter, *, offline: bool = False
) -> ArchiveEngine:
    """Return the engine in the options, with a package pool in the store."""
    from assembler.debian.engine_context import EngineContext  # noqa: PLC0415
    from assembler.debian.engine_protocol import INDEX_MAX_AGE  # noqa: PLC0415 - not every build has recipes
    from assembler.debian.pool import PackagePool  # noqa: PLC0415
    from assembler.debian.sources import DebianMirrors  # noqa: PLC0415

    store.layout.prepare()
    context = EngineContext(
        PackagePool(store.root.absolute() / "debs", reporter),
        DebianMirrors(specs=options.mirrors, keyring=options.keyring),
        0 if options.refresh else INDEX_MAX_AGE,
        reporter,
        offline,
    )
    return select_engine(options.engine, context)


def select_engine(name: str, context: EngineContext) -> ArchiveEngine:
    """Return the engine of this name; `auto` is apt if this machine has it."""
    if name not in ENGINE_NAMES:
        raise UsageError.of(
            usage.BAD_OPTION,
            f"there is no engine {name!r} for recipes",
            f"there are {', '.join(ENGINE_NAMES)}",
        )
    if name == "apt" or (name == "auto" and tools.find_program("apt-get") is not None):
        from assembler.debian.apt import AptEngine  # noqa: PLC0415

        return AptEngine(context)
    from assembler.debian.archives.python_engine import PythonEngine  # noqa: PLC0415

    return PythonEngine(context)
