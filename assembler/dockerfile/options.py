"""The options of a build: what RUN may use, and which builder and scanner."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DockerfileOptions:
    """The options of a build; build.yml sets them for a package, a call overrides them."""

    # Whether RUN has network access; never if `offline`.
    network: bool = False
    # Whether the builder may reuse cached steps.
    cached: bool = True
    # SSH agents and keys for RUN --mount=type=ssh: ID, or ID=SOCKET|KEY.
    ssh: tuple[str, ...] = ()
    # The image of BuildKit's SBOM scanner; empty for the default one, None for no scan.
    scanner: str | None = None
    # The builder that the caller requests; empty for any. An image of another is out of date.
    builder: str = ""
    # Nothing may be fetched, by a builder either.
    offline: bool = False

    @property
    def run_network(self) -> bool:
        """Tell whether RUN has network access in this call."""
        return self.network and not self.offline

    @property
    def no_network_hint(self) -> str:
        """Return the hint for a RUN that failed, if it had no network."""
        if self.run_network:
            return ""
        if self.network:
            return "RUN has no network because of --offline"
        return "RUN has no network unless build.yml says `network: true`"
