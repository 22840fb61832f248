"""Dockerfiles: the parser, the plan, and builds in process or by a builder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.dockerfile.build import DockerfileBuild, build_image, dockerfile_inputs
    from assembler.dockerfile.builders import BuilderOptions, Builders, parse_builder_contexts
    from assembler.dockerfile.buildx import (
        BuildKitOptions,
        Buildx,
        check_local_daemon,
        find_buildx,
    )
    from assembler.dockerfile.dependent_commands import (
        DEPENDENT,
        subordinate_ids_of_root,
        unshare_words,
    )
    from assembler.dockerfile.options import DockerfileOptions
    from assembler.dockerfile.package_context import read_package_context
    from assembler.dockerfile.stages import PROXIES, DockerfileArguments, plan_dockerfile
    from assembler.dockerfile.storage import builder_storage_items, prune_builder_storage
    from assembler.dockerfile.syntax import Dockerfile, read_dockerfile
    from assembler.dockerfile.user_namespace import namespace_command
    from assembler.dockerfile.workspace import open_workspace

_HOMES = {
    "BuildKitOptions": "buildx",
    "BuilderOptions": "builders",
    "Builders": "builders",
    "Buildx": "buildx",
    "DEPENDENT": "dependent_commands",
    "Dockerfile": "syntax",
    "DockerfileArguments": "stages",
    "DockerfileBuild": "build",
    "DockerfileOptions": "options",
    "PROXIES": "stages",
    "build_image": "build",
    "builder_storage_items": "storage",
    "check_local_daemon": "buildx",
    "dockerfile_inputs": "build",
    "find_buildx": "buildx",
    "namespace_command": "user_namespace",
    "open_workspace": "workspace",
    "parse_builder_contexts": "builders",
    "plan_dockerfile": "stages",
    "prune_builder_storage": "storage",
    "read_dockerfile": "syntax",
    "read_package_context": "package_context",
    "subordinate_ids_of_root": "dependent_commands",
    "unshare_words": "dependent_commands",
}

__all__ = [
    "DEPENDENT",
    "PROXIES",
    "BuildKitOptions",
    "BuilderOptions",
    "Builders",
    "Buildx",
    "Dockerfile",
    "DockerfileArguments",
    "DockerfileBuild",
    "DockerfileOptions",
    "build_image",
    "builder_storage_items",
    "check_local_daemon",
    "dockerfile_inputs",
    "find_buildx",
    "namespace_command",
    "open_workspace",
    "parse_builder_contexts",
    "plan_dockerfile",
    "prune_builder_storage",
    "read_dockerfile",
    "read_package_context",
    "subordinate_ids_of_root",
    "unshare_words",
]

if not TYPE_CHECKING:  # Else a type checker would take any name for granted.
    __getattr__ = front(__name__, _HOMES)
