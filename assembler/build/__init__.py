"""Build images: from YAML files to outputs, through every stage.

build(files, options, ...)     build, or find that nothing has changed -> BuildResult
plan(files, options, ...)      resolve everything and write nothing -> SystemPlan
validate(files)                check files -> ValidationResult
merged_yaml(files)             the files as one image.yml
lock_references(files, sources) write the locks of references -> LockedReference
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.build.inputs import read_inputs
    from assembler.build.locking import LockedReference, lock_references
    from assembler.build.options import BuildKeywords, BuildOptions, SbomOptions
    from assembler.build.pipeline import build, merged_yaml, plan
    from assembler.build.preparation import prepare
    from assembler.build.result import BuildResult, PlannedPart
    from assembler.build.system_plan import SystemPlan
    from assembler.build.validation import ValidationResult, validate

_HOMES = {
    "BuildKeywords": "options",
    "BuildOptions": "options",
    "BuildResult": "result",
    "LockedReference": "locking",
    "PlannedPart": "result",
    "SbomOptions": "options",
    "SystemPlan": "system_plan",
    "ValidationResult": "validation",
    "build": "pipeline",
    "lock_references": "locking",
    "merged_yaml": "pipeline",
    "plan": "pipeline",
    "prepare": "preparation",
    "read_inputs": "inputs",
    "validate": "validation",
}

__all__ = [
    "BuildKeywords",
    "BuildOptions",
    "BuildResult",
    "LockedReference",
    "PlannedPart",
    "SbomOptions",
    "SystemPlan",
    "ValidationResult",
    "build",
    "lock_references",
    "merged_yaml",
    "plan",
    "prepare",
    "read_inputs",
    "validate",
]

if not TYPE_CHECKING:  # Else a type checker would take any name for granted.
    __getattr__ = front(__name__, _HOMES)
