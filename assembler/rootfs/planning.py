"""From a configuration and its images to the plan: all sections in their order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from assembler.rootfs.containers import container_parts
from assembler.rootfs.diagnostic_collector import DiagnosticCollector
from assembler.rootfs.files import clean_path, file_parts
from assembler.rootfs.ids import Ids
from assembler.rootfs.initial import init_parts
from assembler.rootfs.kernel import boot, kernel_parts
from assembler.rootfs.plan import Entry, ImageTree, Kind, Made, Origin, Part, Plan
from assembler.rootfs.volumes import Volumes, volume_parts

if TYPE_CHECKING:
    from assembler.config.model import Config
    from assembler.oci import Image
    from assembler.rootfs.options import PlanOptions, Resolved


def make_plan(config: Config, resolved: Resolved, options: PlanOptions) -> Plan:
    """Return the plan, or raise a PlanError with everything that is wrong."""
    findings = DiagnosticCollector()
    ids, volumes = Ids.of(config), Volumes.of(config)
    parts: list[Part] = []
    start = boot(config, resolved, options, findings)
    if start is not None:
        parts += kernel_parts(config, start, findings)
    parts += init_parts(config, resolved)
    parts += volume_parts(config, resolved, findings)
    parts += container_parts(config, resolved, options, ids, volumes, findings)
    parts += file_parts(config, options, ids, findings)
    findings.raise_errors()
    return Plan(options.architecture, tuple(parts), start, findings.warnings)


def laid_out(plan: Plan) -> tuple[tuple[Image, str], ...]:
    """Return every image that is in the system with its prefix, in order: what an SBOM is of."""
    kernel = ((plan.boot.kernel.image, ""),) if plan.boot is not None else ()
    trees = ((p.image, p.prefix) for p in plan.parts if isinstance(p, ImageTree))
    return (*kernel, *trees)


def with_file(plan: Plan, path: str, content: bytes) -> Plan:
    """Return the plan with a file at its end that nothing in the YAML asked for, as an SBOM."""
    entry = Entry(clean_path(path), Kind.FILE, 0o644, content)
    return replace(plan, parts=(*plan.parts, Made(Origin("", ""), (entry,))))
