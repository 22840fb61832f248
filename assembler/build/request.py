"""What a build is asked for, as frozen data, the command line left behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.events import Reporter
    from assembler.oci.platform import Platform
    from assembler.oci.registry.options import RegistryOptions

# The last is the hash in the packages' names, if it is not git's.
BuildPackages = Callable[["Sequence[Path]", "Platform", "Reporter", str | None], None]
DEFAULT_SBOM = "sbom.spdx.json"


@dataclass(frozen=True, slots=True)
class Supply:
    """Where images come from."""

    store: Path
    registries: RegistryOptions | None = None
    # No socket is opened; what is missing is an error.
    offline: bool = False
    pull: bool = False
    docker: bool = False
    # Builds packages that `@pkg:` names and nobody has; nothing if they are not to be built.
    build_packages: BuildPackages | None = None
    # The tar of an earlier build, whose parts stand in for images that cannot be had.
    input_tar: Path | None = None


@dataclass(frozen=True, slots=True)
class SbomRequest:
    """Which file the joined SPDX document becomes, and when it says it was made."""

    name: str = DEFAULT_SBOM
    created: int | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A system to be planned."""

    supply: Supply
    architecture: str
    decompress_kernel: bool = False
    sbom: SbomRequest | None = field(default_factory=SbomRequest)
    # Whether boot loaders are needed, and the image they come from if it is named.
    needs_bootloaders: bool = False
    bootloaders: str = ""
    # The same for programs that make filesystems and that this machine lacks.
    needs_imagetools: bool = False
    imagetools: str = ""
    # The image with the firmware of a machine, if one is named and some output needs it.
    firmware: str = ""
