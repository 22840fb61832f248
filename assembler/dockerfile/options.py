"""The options of a build: what RUN may use, and which builder and scanner."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DockerfileOptions:
    """The options of a build; build.yml sets them for a package, a call overrides them."""

    # Whether RUN has network access.
    network: bool = False
    # Whether the builder may reuse cached steps.
    cached: bool = True
    # SSH agents and keys for RUN --mount=type=ssh: ID, or ID=SOCKET|KEY.
    ssh: tuple[str, ...] = ()
    # The image of BuildKit's SBOM scanner; empty for the default one, None for no scan.
    scanner: str | None = None
    # The builder that the caller requests; empty for any. An image of another is out of date.
    builder: str = ""
