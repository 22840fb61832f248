"""The model of build.yml, and of the package it describes: frozen data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assembler.config.positions import Positions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path, PurePosixPath

    from assembler.config.model import ContainerSpec, Strings
    from assembler.diagnostics import Diagnostic

DEFAULT_FILE = "build.yml"
DEFAULT_ORG = "linuxkit"
DEFAULT_TAG = "{{.Hash}}"
DEFAULT_DOCKERFILE = "Dockerfile"
DEFAULT_ARCHES = ("amd64", "arm64", "riscv64")
DEFAULT_LDFLAGS = ("-s", "-w", "-buildid=")
DEFAULT_GITREPO = "https://github.com/linuxkit/linuxkit"


@dataclass(frozen=True, slots=True)
class ExtraSource:
    """Another directory that is part of the build context and of the package's hash."""

    source: Path
    destination: PurePosixPath


@dataclass(frozen=True, slots=True)
class DockerImages:
    """Images that are written as files into the build context."""

    # Exactly one of these two is set; both are relative to the package.
    target: PurePosixPath | None = None
    target_dir: PurePosixPath | None = None
    # Exactly one of these two is set; each image is pinned by a digest.
    from_file: PurePosixPath | None = None
    images: Strings = ()


@dataclass(frozen=True, slots=True)
class RecipeFile:
    """A file that a recipe adds to the image, with its owner and mode."""

    path: str
    source: str | None = None
    contents: str | None = None
    directory: bool = False
    mode: int | None = None
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class DebsRecipe:
    """A recipe, the section `debs`: the Debian packages of the image, and changes to them."""

    suite: str
    packages: Strings
    components: Strings = ("main",)
    exclude: Strings = ()
    no_deps: bool = False
    drop: Strings = ()
    links: Mapping[str, str] = field(default_factory=dict)
    users: Strings = ()
    files: tuple[RecipeFile, ...] = ()
    # Whether it is a whole system that systemd starts.
    systemd: bool = False
    kernel: bool = False
    # The kernel modules to keep, with their dependencies; empty means all.
    modules: Strings = ()
    # Only the firmware that the modules ask for is kept.
    firmware: bool = False
    entrypoint: Strings = ()
    command: Strings = ()
    env: Strings = ()
    workdir: str = ""


@dataclass(frozen=True, slots=True)
class GoPrograms:
    """The section `go`: programs to compile into the image."""

    # The image with Go: its name, or `@dolmen:pkg:DIRECTORY`.
    toolchain: str
    # By the path in the image, without its leading slash: the directory of package main.
    programs: Mapping[str, str]
    ldflags: Strings = DEFAULT_LDFLAGS


@dataclass(frozen=True, slots=True)
class LinuxSource:
    """The section `linux`: a kernel to compile into the image."""

    # The image with compilers: its name, or `@dolmen:pkg:DIRECTORY`.
    toolchain: str
    # Files of options, later ones decide; after `tree:`, files of the source itself.
    config: Strings
    # The image gets what modules are compiled with, instead of the kernel.
    headers: bool = False
    # Variables for the kernel's make, NAME=VALUE.
    make: Strings = ()


@dataclass(frozen=True, slots=True)
class BuildFile:
    """The content of a build.yml, with defaults for missing keys."""

    image: str
    org: str = DEFAULT_ORG
    tag: str = DEFAULT_TAG
    dockerfile: str = DEFAULT_DOCKERFILE
    arches: Strings = DEFAULT_ARCHES
    extra_sources: tuple[ExtraSource, ...] = ()
    gitrepo: str = DEFAULT_GITREPO
    network: bool = False
    disable_cache: bool = False
    # The settings of containers made from the image, and the same as plain data for the label.
    config: ContainerSpec | None = None
    label: Mapping[str, Any] | None = None
    build_args: Strings = ()
    docker_images: DockerImages | None = None
    debs: DebsRecipe | None = None
    go: GoPrograms | None = None
    linux: LinuxSource | None = None
    positions: Positions = field(default_factory=Positions, compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Package:
    """A package: a directory with a build.yml."""

    directory: Path
    build_file: Path
    build: BuildFile
    warnings: tuple[Diagnostic, ...] = field(default=(), compare=False)
