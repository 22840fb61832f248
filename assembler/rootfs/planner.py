"""Planning: from a config and its images to the plan, with all sections in order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from assembler.rootfs.containers import container_parts
from assembler.rootfs.diagnostic_collector import DiagnosticCollector
from assembler.rootfs.file_access import warn_about_unreadable_files
from assembler.rootfs.files import clean_path, file_parts
from assembler.rootfs.firewall import firewall_parts
from assembler.rootfs.ids import Ids
from assembler.rootfs.init_trees import init_parts
from assembler.rootfs.kernel import boot, kernel_parts
from assembler.rootfs.plan import (
    EntryKind,
    GeneratedEntry,
    GeneratedPart,
    ImageTree,
    Origin,
    Part,
    Plan,
)
from assembler.rootfs.verified import verified_system
from assembler.rootfs.volumes import Volumes, volume_parts

if TYPE_CHECKING:
    from assembler.config import Config
    from assembler.oci import Image
    from assembler.rootfs.container_programs import PlannedContainer
    from assembler.rootfs.plan_options import PlanOptions, ResolvedImages


def make_plan(config: Config, resolved: ResolvedImages, options: PlanOptions) -> Plan:
    """Return the plan, or raise a PlanError with all errors."""
    findings = DiagnosticCollector()
    ids, volumes = Ids.of(config), Volumes.of(config)
    parts: list[Part] = []
    start = boot(config, resolved, options, findings)
    if start is not None:
        parts += kernel_parts(config, start, findings)
    parts += init_parts(config, resolved)
    parts += volume_parts(config, resolved, findings)
    containers: list[PlannedContainer] = []
    names = (ids, volumes)
    parts += container_parts(config, resolved, options, names, findings, containers)
    parts += firewall_parts(config, containers, findings)
    parts += file_parts(config, options, ids, findings)
    findings.raise_errors()
    warn_about_unreadable_files(containers, parts, findings)
    return Plan(
        options.architecture,
        tuple(parts),
        start,
        findings.warnings,
        tuple(program for c in containers if (program := c.program()) is not None),
        config.positions.place,
        config.positions.place_of("init"),
        verified_system(config, resolved),
    )


def installed_images(plan: Plan) -> tuple[tuple[Image, str], ...]:
    """Return every image of the system with its prefix, in order, for an SBOM."""
    kernel = ((plan.boot.kernel.image, ""),) if plan.boot is not None else ()
    trees = ((p.image, p.prefix) for p in plan.parts if isinstance(p, ImageTree))
    return (*kernel, *trees)


def append_file(plan: Plan, path: str, content: bytes) -> Plan:
    """Return the plan with one more file at its end, such as an SBOM."""
    entry = GeneratedEntry(clean_path(path), EntryKind.FILE, 0o644, content)
    return replace(plan, parts=(*plan.parts, GeneratedPart(Origin("", ""), (entry,))))
