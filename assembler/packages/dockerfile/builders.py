"""Builders: what carries out instructions that are not done in process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from assembler import tools
from assembler.codes import packages
from assembler.errors import PackageError
from assembler.oci.platform import Platform
from assembler.packages.dockerfile.buildkit import BuildKitOptions

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.events import Reporter
    from assembler.oci.store import Store
    from assembler.packages.dockerfile.assembling import Ingredients
    from assembler.packages.dockerfile.stages import Plan
    from assembler.packages.dockerfile.syntax import Instruction
    from assembler.packages.images import Made

AUTO, BUILDAH, BUILDKIT = "auto", "buildah", "buildkit"
NAMES = (AUTO, BUILDAH, BUILDKIT)


class Builder(Protocol):
    """Whatever can build a Dockerfile."""

    @property
    def name(self) -> str:
        """Return its name and version."""

    def build(self, store: Store, plan: Plan, ingredients: Ingredients, *, network: bool) -> Made:
        """Make the image of the last stage, and put it into the store."""


@dataclass(frozen=True, slots=True)
class Builders:
    """The builders there may be, and which one is wanted."""

    # Where builders keep what they need again.
    storage: Path
    reporter: Reporter
    wanted: str = AUTO
    buildkit: BuildKitOptions = field(default_factory=BuildKitOptions)

    def choose(self, plan: Plan, needing: Instruction) -> Builder:
        """Return the builder to use for an instruction that cannot be done in process.

        Whoever has named machines for BuildKit means them to be used; else buildah, which needs
        nothing running, goes first.
        """
        named = str(plan.arguments.target) in self.buildkit.contexts
        buildah, docker = tools.find("buildah"), tools.find("docker")
        if docker is not None and self._wants_buildkit(named=named, there=buildah is not None):
            from assembler.packages.dockerfile.buildkit import BuildKit  # noqa: PLC0415

            return BuildKit(docker, self.buildkit, self.reporter)
        if buildah is not None and self.wanted in (AUTO, BUILDAH):
            from assembler.packages.dockerfile.buildah import Buildah  # noqa: PLC0415

            return Buildah(buildah, self.storage, self.reporter)
        program = "docker" if self.wanted == BUILDKIT else "buildah"
        raise PackageError.of(
            packages.NO_BUILDER,
            f"{needing.keyword} is carried out by a builder, and {program} is not installed",
            tools.TOOLS[program].install,
            place=needing.place(),
        )

    def _wants_buildkit(self, *, named: bool, there: bool) -> bool:
        return self.wanted == BUILDKIT or (self.wanted == AUTO and (named or not there))


def read_contexts(texts: Sequence[str]) -> dict[str, str]:
    """Read which context of Docker builds for which platform: `linux/arm64=CONTEXT`."""
    found = {}
    for text in (part.strip() for given in texts for part in given.split(",")):
        if not text:
            continue
        platform, equals, context = text.partition("=")
        if not equals or not context:
            raise PackageError.of(
                packages.NO_BUILDER, f"not a builder: {text!r}", "write linux/arm64=CONTEXT"
            )
        found[str(Platform.parse(platform))] = context
    return found
