"""The checks that a schema cannot express: they compare values, or know Linux."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.config.checks.containers import check_container_spec, check_label_spec
from assembler.config.checks.disk import check_verified
from assembler.config.checks.files import check_files
from assembler.config.checks.names import KnownNames, check_ids, check_names
from assembler.config.checks.ports import check_firewall
from assembler.config.checks.system import check_system

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.config.model import Config
    from assembler.diagnostics import Diagnostic

__all__ = [
    "IncompleteSections",
    "KnownNames",
    "check_config",
    "check_container_spec",
    "check_ids",
    "check_label_spec",
]


@dataclass(frozen=True, slots=True)
class IncompleteSections:
    """Sections that may lack entries because of other mistakes; references to them pass."""

    volumes: bool = False
    containers: bool = False
    kernel: bool = False


def check_config(config: Config, incomplete: IncompleteSections) -> Iterator[Diagnostic]:
    """Check a merged config."""
    known = KnownNames.from_config(
        config,
        volumes_complete=not incomplete.volumes,
        containers_complete=not incomplete.containers,
    )
    yield from check_system(config, kernel_complete=not incomplete.kernel)
    yield from check_names(config)
    yield from check_firewall(config)
    yield from check_verified(config, known)
    for container in (*config.onboot, *config.onshutdown, *config.services):
        yield from check_container_spec(container, known)
        yield from check_ids(container, known)
    yield from check_files(config.files, known)
