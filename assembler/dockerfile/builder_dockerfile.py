"""The Dockerfile as a builder gets it: bases by names that we have given them, lines in place."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from assembler.dockerfile.stages import SCRATCH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assembler.dockerfile.stages import DockerfilePlan
    from assembler.dockerfile.syntax import Instruction


def rewrite_for_builder(
    plan: DockerfilePlan,
    names: Mapping[tuple[str, str], str],
    said: Mapping[int, str] = MappingProxyType({}),
    *,
    platforms: bool = True,
) -> str:
    """Return the Dockerfile with the names that the bases have in a builder, lines where they were.

    Platforms are written out, since buildah looks for a base of the target's otherwise; a builder
    that has only what it was given takes it as it is without. Instructions in `said`, by the line
    they begin at, are said in another way.
    """
    lines = plan.dockerfile.source.text.replace("\r\n", "\n").split("\n")
    needed = {stage.number for stage in plan.needed_stages()}
    for stage in plan.stages:
        is_image = stage.base.lower() != SCRATCH and not plan.find_stage(stage.base, stage.number)
        base = names.get((stage.base, stage.platform), stage.base)
        if stage.number not in needed:
            # It is not needed, and its base is not there.
            base, is_image = SCRATCH, False
            for instruction in stage.instructions:
                _replace_lines(lines, instruction, "")
        platform = stage.platform or str(plan.arguments.target)
        words = ["FROM", *([f"--platform={platform}"] if is_image and platforms else []), base]
        _replace_lines(
            lines, stage.start, " ".join([*words, *(["AS", stage.name] if stage.name else [])])
        )
        if stage.number not in needed:
            continue
        for instruction in stage.instructions:
            if instruction.line in said:
                _replace_lines(lines, instruction, said[instruction.line])
        for instruction, name in plan.file_sources(stage):
            known = names.get((name, ""))
            if known and not plan.find_stage(name, stage.number):
                for number in range(instruction.line - 1, instruction.last_line):
                    lines[number] = lines[number].replace(f"from={name}", f"from={known}")
    return "\n".join(lines)


def _replace_lines(lines: list[str], instruction: Instruction, text: str) -> None:
    for number in range(instruction.line - 1, instruction.last_line):
        lines[number] = ""
    lines[instruction.line - 1] = text
