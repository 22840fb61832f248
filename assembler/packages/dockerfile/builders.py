"""Builders: what carries out instructions that are not done in process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from assembler import tools
from assembler.codes import packages
from assembler.errors import PackageError

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.events import Reporter
    from assembler.oci.store import Store
    from assembler.packages.dockerfile.assembling import Ingredients
    from assembler.packages.dockerfile.stages import Plan
    from assembler.packages.dockerfile.syntax import Instruction
    from assembler.packages.images import Made

AUTO, BUILDAH = "auto", "buildah"
NAMES = (AUTO, BUILDAH)


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

    def choose(self, plan: Plan, needing: Instruction) -> Builder:
        """Return the builder to use for an instruction that cannot be done in process."""
        _ = plan
        if tools.find("buildah") is None:
            what = f"{needing.keyword} is carried out by a builder, and buildah is not installed"
            raise PackageError.of(
                packages.NO_BUILDER,
                what,
                tools.TOOLS["buildah"].install,
                place=needing.place(),
            )
        from assembler.packages.dockerfile.buildah import Buildah  # noqa: PLC0415

        return Buildah(tools.need("buildah"), self.storage, self.reporter)
