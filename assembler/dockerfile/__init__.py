"""Dockerfiles: read, understood, and built in process or by a builder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.dockerfile.build import (
        DockerfileBuild,
        build_image,
        dockerfile_inputs,
        workspace,
    )
    from assembler.dockerfile.builders import BuilderOptions, Builders, parse_builder_contexts
    from assembler.dockerfile.buildx import BuildKitOptions, Buildx, find_buildx
    from assembler.dockerfile.options import DockerfileOptions
    from assembler.dockerfile.stages import PROXIES
    from assembler.dockerfile.storage import builder_storage_items, prune_builder_storage
    from assembler.dockerfile.syntax import read_dockerfile

_HOMES = {
    "BuildKitOptions": "buildx",
    "BuilderOptions": "builders",
    "Builders": "builders",
    "Buildx": "buildx",
    "DockerfileBuild": "build",
    "DockerfileOptions": "options",
    "PROXIES": "stages",
    "build_image": "build",
    "builder_storage_items": "storage",
    "dockerfile_inputs": "build",
    "find_buildx": "buildx",
    "parse_builder_contexts": "builders",
    "prune_builder_storage": "storage",
    "read_dockerfile": "syntax",
    "workspace": "build",
}

__all__ = [
    "PROXIES",
    "BuildKitOptions",
    "BuilderOptions",
    "Builders",
    "Buildx",
    "DockerfileBuild",
    "DockerfileOptions",
    "build_image",
    "builder_storage_items",
    "dockerfile_inputs",
    "find_buildx",
    "parse_builder_contexts",
    "prune_builder_storage",
    "read_dockerfile",
    "workspace",
]

if not TYPE_CHECKING:  # Else a type checker would take any name for granted.
    __getattr__ = front(__name__, _HOMES)
