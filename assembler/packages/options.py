"""The options of package builds: one frozen type for all packages of a call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.config.package_model import DEFAULT_FILE
from assembler.debian.options import DebianOptions
from assembler.dockerfile.builders import BuilderOptions
from assembler.dockerfile.terms import Terms
from assembler.oci import ImageSources
from assembler.packages.build_arguments import BuildArguments
from assembler.packages.tags import Naming

if TYPE_CHECKING:
    from assembler.config.package_model import BuildFile
    from assembler.oci import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageBuildOptions:
    """Everything that a caller can say about building packages."""

    build_file: str = DEFAULT_FILE
    naming: Naming = field(default_factory=Naming)
    # Name it as a release with this tag; nothing may be uncommitted.
    release: str | None = None
    # Build for these only; by default, for those of build.yml.
    platforms: tuple[Platform, ...] = ()
    skip_platforms: tuple[Platform, ...] = ()
    arguments: BuildArguments = field(default_factory=BuildArguments)
    # The Dockerfile, instead of build.yml's.
    dockerfile: str | None = None
    # Build even what the store or a registry has.
    force: bool = False
    # Fetch what a registry has instead of building it.
    fetch: bool = False
    push: bool = False
    # Push the index TAG, and not the images TAG-ARCH alone.
    index: bool = True
    # Load the images into the local Docker daemon.
    load: bool = False
    # Build nothing: push or load what the store has.
    no_build: bool = False
    # Network and cache during RUN; None leaves them to build.yml.
    network: bool | None = None
    cache: bool | None = None
    # Agents and keys for RUN --mount=type=ssh.
    ssh: tuple[str, ...] = ()
    # The image of BuildKit's SBOM scanner; empty for its own, None for no scan.
    scanner: str | None = None
    builder: BuilderOptions = field(default_factory=BuilderOptions)
    debian: DebianOptions = field(default_factory=DebianOptions)
    sources: ImageSources = field(default_factory=ImageSources)

    @property
    def fetches(self) -> bool:
        """Tell whether images have to be in the store in the end."""
        return self.fetch or self.push or self.load

    def terms_for(self, build: BuildFile) -> Terms:
        """Return what programs of a package's Dockerfile may use."""
        return Terms(
            build.network if self.network is None else self.network,
            not build.disable_cache if self.cache is None else self.cache,
            self.ssh,
            self.scanner,
            self.builder.requested,
        )

    def for_dependency(self) -> PackageBuildOptions:
        """Return the options for a package that another one needs: names and engines only."""
        return PackageBuildOptions(
            naming=Naming(org=self.naming.org),
            builder=self.builder,
            debian=self.debian,
            sources=self.sources,
        )
