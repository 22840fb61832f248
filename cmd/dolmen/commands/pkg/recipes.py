"""Options about Debian packages, and the engine they make."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dolmen.settings import env_list_or_linuxkit, env_or_linuxkit

if TYPE_CHECKING:
    from assembler.debian.engine import Engine
    from assembler.events import Reporter
    from assembler.oci.platform import Platform
    from dolmen.settings import Settings

DebianMirror = Annotated[
    list[str] | None,
    typer.Option(
        metavar="URL",
        help="Take Debian packages from there and not from this machine's mirrors; repeatable.  "
        "[env: DOLMEN_DEBIAN_MIRROR]",
    ),
]
DebianKeyring = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The keys that the archives are signed with.  [env: DOLMEN_DEBIAN_KEYRING]",
    ),
]
RecipeEngine = Annotated[
    str,
    typer.Option(
        "--recipe-engine",
        metavar="NAME",
        help="What chooses Debian packages: auto, apt or python.  [env: DOLMEN_RECIPE_ENGINE]",
    ),
]
Platforms = Annotated[
    list[str] | None,
    typer.Option(
        "--platforms",
        metavar="OS/ARCH,...",
        help="Build for these only, in place of build.yml's; repeatable.",
    ),
]
Refresh = Annotated[
    bool, typer.Option("--refresh", help="Ask the archives anew, however short ago it was.")
]


@dataclass(frozen=True, slots=True)
class Debian:
    """Where Debian packages come from, as the command line says it."""

    mirrors: list[str] | None = None
    keyring: Path | None = None
    engine: str = ""
    refresh: bool = False


def engine_for(settings: Settings, reporter: Reporter, debian: Debian) -> Engine:
    """Return the engine for recipes, its packages kept in the store."""
    from assembler.debian.engine import FRESH_FOR
    from assembler.debian.engines import NAMES, engine_named
    from assembler.debian.pool import Pool
    from assembler.debian.sources import Mirrors
    from assembler.debian.supply import Supply
    from assembler.oci.store import Store

    store = Store(settings.cache)
    store.layout.prepare()
    named = os.environ.get("DOLMEN_DEBIAN_KEYRING")
    supply = Supply(
        Pool(store.root.absolute() / "debs"),
        Mirrors(
            given=tuple(debian.mirrors or env_list_or_linuxkit(os.environ, "DEBIAN_MIRROR")),
            keyring=debian.keyring or (Path(named) if named else None),
        ),
        0 if debian.refresh else FRESH_FOR,
        reporter,
    )
    return engine_named(
        debian.engine or env_or_linuxkit(os.environ, "RECIPE_ENGINE") or NAMES[0], supply
    )


def platforms(texts: list[str] | None) -> tuple[Platform, ...]:
    """Read platforms, separated by commas or given one by one."""
    from assembler.oci.platform import Platform

    parts = [part.strip() for text in texts or () for part in text.split(",")]
    return tuple(Platform.parse(part) for part in parts if part)
