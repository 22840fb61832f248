"""Builders: programs for the instructions that are not supported in process."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from assembler import tools
from assembler.codes import packages, usage
from assembler.dockerfile.buildx import BuildKitOptions, Buildx, find_buildx
from assembler.dockerfile.offline import check_environment_daemon
from assembler.errors import PackageError, UsageError
from assembler.oci import Platform

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from assembler.dockerfile.build_inputs import BuildInputs
    from assembler.dockerfile.options import DockerfileOptions
    from assembler.dockerfile.stages import DockerfilePlan
    from assembler.dockerfile.syntax import Instruction
    from assembler.events import Reporter
    from assembler.oci import Store, WrittenImage

AUTO, BUILDAH, BUILDKIT, DOCKER = "auto", "buildah", "buildkit", "docker"
BUILDER_NAMES = (AUTO, BUILDKIT, BUILDAH, DOCKER)


class Builder(Protocol):
    """A program that builds Dockerfiles."""

    @property
    def name(self) -> str:
        """Return its name and version."""

    def build(
        self, store: Store, plan: DockerfilePlan, inputs: BuildInputs, options: DockerfileOptions
    ) -> WrittenImage:
        """Build the image of the last stage, and put it into the store."""

    def planned_commands(self, plan: DockerfilePlan, options: DockerfileOptions) -> tuple[str, ...]:
        """Return the commands of the build, for people to read."""


@dataclass(slots=True)
class _DockerLookup:
    """A lookup of Docker and its contexts, done once per run."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    found: tuple[Path | None, BuildKitOptions] | None = None

    def find(self, options: BuildKitOptions) -> tuple[Path | None, BuildKitOptions]:
        """Return docker if it has BuildKit, and the options with all contexts."""
        with self.lock:
            if self.found is None:
                docker = tools.find_program("docker")
                self.found = find_buildx(docker, options) if docker else (None, options)
            return self.found


@dataclass(frozen=True, slots=True)
class BuilderOptions:
    """The options of a call for the builder."""

    # auto, buildkit, buildah or docker.
    name: str = AUTO
    buildkit: BuildKitOptions = field(default_factory=BuildKitOptions)

    def __post_init__(self) -> None:
        """Refuse an unknown builder."""
        if self.name not in BUILDER_NAMES:
            raise UsageError.of(
                usage.BAD_OPTION,
                f"unknown builder {self.name!r}",
                f"choose one of {', '.join(BUILDER_NAMES)}",
            )

    @property
    def requested(self) -> str:
        """Return the name of the builder that the caller requests; empty for any."""
        return "" if self.name == AUTO else self.name


@dataclass(frozen=True, slots=True)
class Builders:
    """The builders of this machine, and the options that choose one."""

    # The directory where builders keep images and caches.
    storage: Path
    reporter: Reporter
    options: BuilderOptions = field(default_factory=BuilderOptions)
    _docker: _DockerLookup = field(default_factory=_DockerLookup, repr=False, compare=False)

    def choose(
        self, plan: DockerfilePlan, instruction: Instruction, *, offline: bool = False
    ) -> Builder:
        """Return the builder for a plan, because of an instruction not supported in process.

        BuildKit comes first if a context is named for the platform, then buildah, which needs no
        daemon, then any BuildKit. Docker's classic builder is the last resort. If `offline`,
        buildah comes first: its network can be taken away.
        """
        requested, buildah = self.options.name, tools.find_program("buildah")
        if requested in (AUTO, BUILDKIT):
            docker, options = self._docker.find(self.options.buildkit)
            has_context = options.context(plan.arguments.target) is not None and not offline
            if docker is not None and (requested == BUILDKIT or has_context or buildah is None):
                from assembler.dockerfile.buildkit import BuildKit  # noqa: PLC0415

                return BuildKit(Buildx(docker, options, self.reporter, offline), self.reporter)
        if buildah is not None and requested in (AUTO, BUILDAH):
            from assembler.dockerfile.buildah import Buildah  # noqa: PLC0415

            return Buildah(buildah, self.storage, self.reporter, offline)
        if requested in (AUTO, DOCKER):
            from assembler.dockerfile.classic_builder import ClassicBuilder, daemon_responds  # noqa: PLC0415

            if offline:
                check_environment_daemon()
            if requested == DOCKER:
                tools.require_extra("docker")
            if daemon_responds():
                return ClassicBuilder(self.reporter)
        raise PackageError.of(
            packages.NO_BUILDER,
            f"{instruction.keyword} needs a builder, and {_MISSING[requested]}",
            _HINTS[requested],
            place=instruction.place(),
        )


_MISSING = {
    AUTO: "neither buildah nor `docker buildx` nor a Docker daemon is available",
    BUILDKIT: "`docker buildx` is not installed",
    BUILDAH: "buildah is not installed",
    DOCKER: "no Docker daemon responds",
}
_HINTS = {
    AUTO: tools.TOOLS["buildah"].install,
    BUILDKIT: tools.install_command("docker.io", "docker-buildx"),
    BUILDAH: tools.TOOLS["buildah"].install,
    DOCKER: "check that `docker info` works, or install buildah",
}


def parse_builder_contexts(texts: Sequence[str]) -> dict[str, str]:
    """Parse the Docker contexts of platforms: `linux/arm64=CONTEXT`."""
    found = {}
    for text in (part.strip() for given in texts for part in given.split(",")):
        if not text:
            continue
        platform, equals, context = text.partition("=")
        if not equals or not context:
            raise PackageError.of(
                packages.NO_BUILDER, f"invalid builder {text!r}", "write linux/arm64=CONTEXT"
            )
        found[str(Platform.parse(platform))] = context
    return found
