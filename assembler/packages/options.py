"""The options of package builds: one frozen type for all packages of a call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.config import DEFAULT_FILE
from assembler.debian import DebianOptions
from assembler.dockerfile import BuilderOptions, DockerfileOptions
from assembler.oci import ImageSources
from assembler.packages.build_arguments import BuildArguments
from assembler.packages.tags import Naming

if TYPE_CHECKING:
    from assembler.config import BuildFile
    from assembler.oci import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageBuildOptions:
    """The options of a call that builds packages."""

    build_file: str = DEFAULT_FILE
    naming: Naming = field(default_factory=Naming)
    # The tag of a release; uncommitted changes are an error.
    release: str | None = None
    # The platforms to build for; by default those of build.yml.
    platforms: tuple[Platform, ...] = ()
    skip_platforms: tuple[Platform, ...] = ()
    arguments: BuildArguments = field(default_factory=BuildArguments)
    # The Dockerfile; overrides build.yml.
    dockerfile: str | None = None
    # Build images that the store or a registry has already.
    force: bool = False
    # Fetch images that a registry has instead of building them.
    fetch: bool = False
    push: bool = False
    # Push the index TAG, too, not only the images TAG-ARCH.
    index: bool = True
    # Load the images into the local Docker daemon.
    load: bool = False
    # Build nothing: push or load the images in the store.
    no_build: bool = False
    # Network and cache of RUN; None means build.yml's.
    network: bool | None = None
    cache: bool | None = None
    # SSH agents and keys for RUN --mount=type=ssh.
    ssh: tuple[str, ...] = ()
    # The image of BuildKit's SBOM scanner; empty for the default one, None for no scan.
    scanner: str | None = None
    builder: BuilderOptions = field(default_factory=BuilderOptions)
    debian: DebianOptions = field(default_factory=DebianOptions)
    sources: ImageSources = field(default_factory=ImageSources)

    @property
    def fetches(self) -> bool:
        """Tell whether the images have to be in the store at the end."""
        return self.fetch or self.push or self.load

    def dockerfile_options(self, build: BuildFile) -> DockerfileOptions:
        """Return the build terms of a package's Dockerfile."""
        return DockerfileOptions(
            build.network if self.network is None else self.network,
            not build.disable_cache if self.cache is None else self.cache,
            self.ssh,
            self.scanner,
            self.builder.requested,
            self.sources.offline,
        )

    def for_dependency(self) -> PackageBuildOptions:
        """Return the options for dependencies: organisation, engines and sources only."""
        return PackageBuildOptions(
            naming=Naming(org=self.naming.org),
            builder=self.builder,
            debian=self.debian,
            sources=self.sources,
        )
