"""Options of package builds, from command line and environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from dolmen.settings import env_list_or_linuxkit, env_or_linuxkit

if TYPE_CHECKING:
    from collections.abc import Sequence

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

    variable = os.environ.get("DOLMEN_DEBIAN_KEYRING")
    return DebianOptions(
        mirrors=tuple(mirrors or env_list_or_linuxkit(os.environ, "DEBIAN_MIRROR")),
        keyring=keyring or (Path(variable) if variable else None),
        engine=engine or env_or_linuxkit(os.environ, "RECIPE_ENGINE") or "auto",
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
    """Return the builder of Dockerfiles; the environment has what the call leaves open."""
    from assembler.dockerfile import (  # noqa: PLC0415
        BuilderOptions,
        BuildKitOptions,
        parse_builder_contexts,
    )

    file = config or _env_path("BUILDER_CONFIG")
    buildkit = BuildKitOptions(
        parse_builder_contexts(contexts or env_list_or_linuxkit(os.environ, "BUILDERS")),
        buildx_name or env_or_linuxkit(os.environ, "BUILDER_NAME"),
        image or env_or_linuxkit(os.environ, "BUILDER_IMAGE"),
        file.absolute() if file else None,
        restart,
    )
    return BuilderOptions(name or env_or_linuxkit(os.environ, "BUILDER") or "auto", buildkit)


def _env_path(name: str) -> Path | None:
    text = env_or_linuxkit(os.environ, name)
    return Path(text).expanduser() if text else None


def platforms(texts: Sequence[str] | None) -> tuple[Platform, ...]:
    """Parse platforms, comma-separated or in several texts."""
    from assembler.oci import Platform  # noqa: PLC0415

    parts = [part.strip() for text in texts or () for part in text.split(",")]
    return tuple(Platform.parse(part) for part in parts if part)
