"""What the schema cannot say: the checks that need more than one value, or know Linux."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.config.checks.containers import check_spec
from assembler.config.checks.files import check_files
from assembler.config.checks.names import Known, check_ids, check_names
from assembler.config.checks.system import check_system

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.config.model import Config
    from assembler.diagnostics import Diagnostic

__all__ = ["Gaps", "Known", "check_config", "check_ids", "check_spec"]


@dataclass(frozen=True, slots=True)
class Gaps:
    """What may be missing because of other mistakes, so that nothing is said about its absence."""

    volumes: bool = False
    names: bool = False
    kernel: bool = False


def check_config(config: Config, gaps: Gaps) -> Iterator[Diagnostic]:
    """Check a merged configuration."""
    known = Known.of(config, volumes_complete=not gaps.volumes, names_complete=not gaps.names)
    yield from check_system(config, kernel_complete=not gaps.kernel)
    yield from check_names(config)
    for container in (*config.onboot, *config.onshutdown, *config.services):
        yield from check_spec(container, known)
        yield from check_ids(container, known)
    yield from check_files(config.files, known)
