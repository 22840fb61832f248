"""Options of package builds, from the command line and the settings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dolmen.setting_values import path_of, text_of, texts_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from assembler.debian import DebianOptions
    from assembler.dockerfile import BuilderOptions
    from assembler.oci import Platform
    from assembler.packages import BuildArguments, PackageBuildOptions


def environment_options() -> PackageBuildOptions:
    """Return the options for missing packages in `dolmen build`."""
    from assembler.packages import PackageBuildOptions  # noqa: PLC0415

    return PackageBuildOptions(
        arguments=build_arguments(), debian=debian_options(), builder=builder_options()
    )


def build_arguments(files: Sequence[Path] | None = None) -> BuildArguments:
    """Return the build arguments of files and of the environment."""
    from assembler.packages import BuildArguments, read_argument_file  # noqa: PLC0415

    pairs = tuple(pair for path in files or () for pair in read_argument_file(path))
    return BuildArguments(pairs, dict(os.environ))


def debian_options(
    mirrors: Sequence[str] | None = None,
    keyring: Path | None = None,
    engine: str = "",
    *,
    refresh: bool = False,
) -> DebianOptions:
    """Return the sources of Debian packages."""
    from assembler.debian import DebianOptions  # noqa: PLC0415

    return DebianOptions(
        mirrors=tuple(mirrors or texts_of("debian.mirror")),
        keyring=keyring or path_of("debian.keyring"),
        engine=engine or text_of("debian.engine"),
        refresh=refresh,
    )


def builder_options(
    name: str = "",
    contexts: Sequence[str] | None = None,
    buildx_name: str = "",
    image: str = "",
    config: Path | None = None,
    *,
    restart: bool = False,
) -> BuilderOptions:
    """Return the builder of Dockerfiles; the settings have what the call leaves open."""
    from assembler.dockerfile import (  # noqa: PLC0415
        BuilderOptions,
        BuildKitOptions,
        parse_builder_contexts,
    )

    file = config or path_of("buildkit.config")
    buildkit = BuildKitOptions(
        parse_builder_contexts(contexts or texts_of("buildkit.contexts")),
        buildx_name or text_of("buildkit.name"),
        image or text_of("buildkit.image"),
        file.absolute() if file else None,
        restart,
    )
    return BuilderOptions(name or text_of("packages.builder"), buildkit)


def platforms(texts: Sequence[str] | None) -> tuple[Platform, ...]:
    """Parse platforms, comma-separated or in several texts."""
    from assembler.oci import Platform  # noqa: PLC0415

    parts = [part.strip() for text in texts or () for part in text.split(",")]
    return tuple(Platform.parse(part) for part in parts if part)
