"""What programs that a Dockerfile runs may use, besides what is in their stage."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DockerfileOptions:
    """The options a builder works on; build.yml sets them for a package, options for a run."""

    network: bool = False
    # Whether steps that were carried out before may be taken from the builder's cache.
    cached: bool = True
    # Agents and keys for RUN --mount=type=ssh: ID, or ID=SOCKET|KEY.
    ssh: tuple[str, ...] = ()
    # Who looks into the result and lists what is in it: an image, the builder's own scanner if
    # it is empty, none if it is None.
    scanner: str | None = None
    # Who is to carry them out, if somebody wants one by name: an image of another is not wanted.
    builder: str = ""
