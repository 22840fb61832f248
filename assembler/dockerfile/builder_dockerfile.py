"""The Dockerfile for a builder: it has the builder's names of base images, and the same lines."""

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
    replacements: Mapping[int, str] = MappingProxyType({}),
    *,
    platforms: bool = True,
) -> str:
    """Return the Dockerfile with the builder's names of base images; line numbers stay the same.

    `replacements` has new texts of instructions by the number of their first line. FROM names the
    platform, since buildah looks for an image of the target's otherwise; without `platforms`, a
    builder uses the image that it was given.
    """
    lines = plan.dockerfile.source.text.replace("\r\n", "\n").split("\n")
    needed = {stage.number for stage in plan.needed_stages()}
    for stage in plan.stages:
        is_image = stage.base.lower() != SCRATCH and not plan.find_stage(stage.base, stage.number)
        base = names.get((stage.base, stage.platform), stage.base)
        if stage.number not in needed:
            # Its base image was not fetched.
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
            if instruction.line in replacements:
                _replace_lines(lines, instruction, replacements[instruction.line])
        for instruction, name in plan.file_sources(stage):
            builder_name = names.get((name, ""))
            if builder_name and not plan.find_stage(name, stage.number):
                for number in range(instruction.line - 1, instruction.last_line):
                    lines[number] = lines[number].replace(f"from={name}", f"from={builder_name}")
    return "\n".join(lines)


def _replace_lines(lines: list[str], instruction: Instruction, text: str) -> None:
    for number in range(instruction.line - 1, instruction.last_line):
        lines[number] = ""
    lines[instruction.line - 1] = text
