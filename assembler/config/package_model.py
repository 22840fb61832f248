"""What build.yml says of a package, as frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from assembler.config.model import Names, Spec
from assembler.config.position import Positions
from assembler.diagnostics import Diagnostic

DEFAULT_FILE = "build.yml"
DEFAULT_ORG = "linuxkit"
DEFAULT_TAG = "{{.Hash}}"
DEFAULT_DOCKERFILE = "Dockerfile"
DEFAULT_ARCHES = ("amd64", "arm64", "riscv64")
DEFAULT_GITREPO = "https://github.com/linuxkit/linuxkit"


@dataclass(frozen=True, slots=True)
class ExtraSource:
    """A directory besides the package's that is part of the build context, and of the hash."""

    source: Path
    destination: PurePosixPath


@dataclass(frozen=True, slots=True)
class DockerImages:
    """Images that a build finds as files in its context."""

    # One of the two, relative to the package.
    target: PurePosixPath | None = None
    target_dir: PurePosixPath | None = None
    # One of the two; each image is pinned by a digest.
    from_file: PurePosixPath | None = None
    images: Names = ()


@dataclass(frozen=True, slots=True)
class RecipeFile:
    """A file of the package that a recipe puts into the image, with an owner and a mode."""

    path: str
    source: str | None = None
    contents: str | None = None
    directory: bool = False
    mode: int | None = None
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class Debs:
    """A recipe: which Debian packages the image is made of, and what is done to them."""

    suite: str
    packages: Names
    components: Names = ("main",)
    exclude: Names = ()
    no_deps: bool = False
    drop: Names = ()
    links: Mapping[str, str] = field(default_factory=dict)
    users: Names = ()
    files: tuple[RecipeFile, ...] = ()
    kernel: bool = False
    # Of a kernel: only these modules, and what they need; none means all.
    modules: Names = ()
    entrypoint: Names = ()
    command: Names = ()
    env: Names = ()
    workdir: str = ""


@dataclass(frozen=True, slots=True)
class BuildFile:
    """A whole build.yml, everything not given filled in."""

    image: str
    org: str = DEFAULT_ORG
    tag: str = DEFAULT_TAG
    dockerfile: str = DEFAULT_DOCKERFILE
    arches: Names = DEFAULT_ARCHES
    extra_sources: tuple[ExtraSource, ...] = ()
    gitrepo: str = DEFAULT_GITREPO
    network: bool = False
    disable_cache: bool = False
    # How containers made of the image are set up, and the same as it is written, for the label.
    config: Spec | None = None
    label: Mapping[str, Any] | None = None
    build_args: Names = ()
    docker_images: DockerImages | None = None
    debs: Debs | None = None
    at: Positions = field(default_factory=Positions, compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Package:
    """A directory with a build.yml, both as they are now."""

    directory: Path
    build_file: Path
    build: BuildFile
    warnings: tuple[Diagnostic, ...] = field(default=(), compare=False)
