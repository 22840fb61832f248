"""Heredocs (<<EOF): the files that COPY makes of them, and instructions without them."""

from __future__ import annotations

import copy
import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.dockerfile.base_images import read_image_config
from assembler.dockerfile.file_tree import Contents, FileNode
from assembler.dockerfile.stage_config import CONFIG_KEYWORDS, DEFAULT_SHELL, StageConfig
from assembler.dockerfile.stages import SCRATCH
from assembler.dockerfile.syntax import HEREDOC
from assembler.dockerfile.words import expand_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from assembler.dockerfile.build_inputs import BuildInputs
    from assembler.dockerfile.stages import DockerfilePlan
    from assembler.dockerfile.syntax import Instruction
    from assembler.oci import Store

# The named context with the files of heredocs.
HEREDOC_CONTEXT = "dolmen-texts"


@dataclass(frozen=True, slots=True)
class HeredocFiles:
    """The heredocs of an instruction as files to copy, named after their delimiters."""

    files: Mapping[str, bytes]
    time: int
    rooted: bool = True

    @property
    def nodes(self) -> Mapping[str, FileNode]:
        """Return the files."""
        return {n: FileNode(size=len(data), mtime=self.time) for n, data in self.files.items()}

    @contextmanager
    def contents(self, paths: Collection[str]) -> Iterator[Contents]:
        """Give a reader of contents."""
        _ = paths
        yield lambda path: iter((self.files[path],))


def is_heredoc(word: str) -> bool:
    """Tell whether a word begins a heredoc."""
    return HEREDOC.fullmatch(word) is not None


def heredoc_files(instruction: Instruction, config: StageConfig, time: int) -> HeredocFiles:
    """Return the files of a COPY; variables are expanded unless the delimiter is quoted."""
    return HeredocFiles(
        {
            heredoc.name: (
                heredoc.content
                if heredoc.quoted
                else expand_text(heredoc.content, config.variables)
            ).encode()
            for heredoc in instruction.heredocs
        },
        time,
    )


@dataclass(frozen=True, slots=True)
class HeredocReplacements:
    """What a builder gets instead of heredocs that it does not support."""

    # Instructions by the number of their first line.
    lines: Mapping[int, str] = field(default_factory=dict)
    # Files by their paths in the named context.
    files: Mapping[str, bytes] = field(default_factory=dict)


def replace_heredocs(
    store: Store, plan: DockerfilePlan, inputs: BuildInputs
) -> HeredocReplacements:
    """Return every instruction that has heredocs without them."""
    lines: dict[int, str] = {}
    files: dict[str, bytes] = {}
    for instruction, config in _heredoc_instructions(store, plan, inputs):
        if instruction.keyword == "RUN":
            lines[instruction.line] = _run_as_list(instruction, config)
            continue
        words = instruction.text.split()
        others = [w for w in words[:-1] if not is_heredoc(w)]
        if others or "from" in instruction.flags:
            raise instruction.error(
                f"buildah does not support {instruction.keyword} with a heredoc and other sources",
                f"write two instructions, one for {others[0] if others else 'the heredoc'}",
                word=others[0] if others else "--from",
            )
        found = heredoc_files(instruction, config, inputs.time).files
        files |= {f"{instruction.line}/{name}": data for name, data in found.items()}
        sources = " ".join(f"{instruction.line}/{name}" for name in found)
        flags = _format_flags(instruction)
        lines[instruction.line] = f"COPY {flags}--from={HEREDOC_CONTEXT} {sources} {words[-1]}"
    return HeredocReplacements(lines, files)


def _heredoc_instructions(
    store: Store, plan: DockerfilePlan, inputs: BuildInputs
) -> Iterator[tuple[Instruction, StageConfig]]:
    """Yield the instructions with heredocs, each with the config of its stage before it."""
    if not any(i.heredocs for stage in plan.needed_stages() for i in stage.instructions):
        return
    configs: dict[int, StageConfig] = {}
    for stage in plan.needed_stages():
        base = plan.find_stage(stage.base, stage.number)
        if base is not None:
            values = configs[base.number].values
        elif stage.base.lower() == SCRATCH:
            values = {}
        else:
            image = inputs.base_images.get(stage.base, stage.platform)
            values = read_image_config(store, image).get("config") or {}
        config = configs[stage.number] = StageConfig(plan, copy.deepcopy(values))
        for instruction in stage.instructions:
            if instruction.heredocs:
                yield instruction, config
            if instruction.keyword in CONFIG_KEYWORDS:
                config.apply(instruction)


def _run_as_list(instruction: Instruction, config: StageConfig) -> str:
    """Return a RUN in exec form: its script is an argument of the shell."""
    first = instruction.heredocs[0]
    if is_heredoc(instruction.text):
        if first.content.startswith("#!"):
            raise instruction.error(
                "buildah does not support a heredoc with an interpreter (#!)",
                f"name the interpreter in the instruction: RUN python3 <<{first.name}",
                word="<<",
            )
        script = first.content
    else:
        script = instruction.text
        for heredoc in instruction.heredocs:
            script += f"\n{heredoc.content}{heredoc.name}"
        script += "\n"
    shell = config.values.get("Shell") or DEFAULT_SHELL
    return f"RUN {_format_flags(instruction)}{json.dumps([*shell, script])}"


def _format_flags(instruction: Instruction) -> str:
    pairs = ((k, v) for k, values in instruction.flags.items() for v in values.split("\n"))
    return "".join(f"--{name}={value} " for name, value in pairs)
