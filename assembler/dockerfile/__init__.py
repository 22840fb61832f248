"""Dockerfiles: read, understood, and built in process or by a builder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.dockerfile.builders import BuilderOptions, Builders, read_contexts
    from assembler.dockerfile.buildx import BuildKitOptions, Buildx, found_buildx
    from assembler.dockerfile.order import DockerOrder, inputs_now, make, workspace
    from assembler.dockerfile.stages import PROXIES
    from assembler.dockerfile.storage import builder_storage_items, prune_builder_storage
    from assembler.dockerfile.syntax import read_dockerfile
    from assembler.dockerfile.terms import Terms

_HOMES = {
    "BuildKitOptions": "buildx",
    "BuilderOptions": "builders",
    "Builders": "builders",
    "Buildx": "buildx",
    "DockerOrder": "order",
    "PROXIES": "stages",
    "Terms": "terms",
    "builder_storage_items": "storage",
    "found_buildx": "buildx",
    "inputs_now": "order",
    "make": "order",
    "prune_builder_storage": "storage",
    "read_contexts": "builders",
    "read_dockerfile": "syntax",
    "workspace": "order",
}

__all__ = [
    "PROXIES",
    "BuildKitOptions",
    "BuilderOptions",
    "Builders",
    "Buildx",
    "DockerOrder",
    "Terms",
    "builder_storage_items",
    "found_buildx",
    "inputs_now",
    "make",
    "prune_builder_storage",
    "read_contexts",
    "read_dockerfile",
    "workspace",
]

if not TYPE_CHECKING:  # Else a type checker would take any name for granted.
    __getattr__ = front(__name__, _HOMES)
