"""Builds of Dockerfiles in process: stage by stage, without a tool or a daemon."""

from __future__ import annotations

import copy
import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assembler.codes import packages
from assembler.dockerfile.archives import open_archive
from assembler.dockerfile.base_images import image_layers, layer_blob, read_image_config
from assembler.dockerfile.copy_layer import (
    Accounts,
    CopyAttributes,
    CopyLayer,
    parse_mode,
    parse_owner,
)
from assembler.dockerfile.file_tree import FileNode, ImageFileTree, resolve_links
from assembler.dockerfile.heredocs import HeredocFiles, heredoc_files, is_heredoc
from assembler.dockerfile.stage_config import StageConfig
from assembler.dockerfile.stages import SCRATCH
from assembler.dockerfile.words import WordError
from assembler.errors import LayerError, PackageError
from assembler.oci import (
    FILE,
    HARD_LINK,
    Platform,
    WrittenImage,
    WrittenLayer,
    add_image_with_config,
    add_layer,
    format_timestamp,
    platform_json,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from assembler.dockerfile.build_inputs import BuildInputs
    from assembler.dockerfile.file_tree import FileTree
    from assembler.dockerfile.stages import DockerfilePlan, Stage
    from assembler.dockerfile.syntax import Instruction
    from assembler.oci import LayerBlob, Store

_MAX_ACCOUNTS_SIZE = 1 << 20
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_COPY_FLAGS = {"COPY": {"from", "chown", "chmod", "link"}, "ADD": {"chown", "chmod", "link"}}


def build_in_process(store: Store, plan: DockerfilePlan, inputs: BuildInputs) -> WrittenImage:
    """Build the image of the last stage, and put it into the store."""
    stages: dict[int, _StageBuild] = {}
    for stage in plan.needed_stages():
        stages[stage.number] = _StageBuild.start(store, plan, stage, inputs, stages)
        stages[stage.number].run()
    return stages[plan.target.number].write_image()


@dataclass(slots=True)
class _StageBuild:
    """The build of a stage."""

    store: Store
    plan: DockerfilePlan
    stage: Stage
    inputs: BuildInputs
    stage_builds: Mapping[int, _StageBuild]
    config: StageConfig
    platform: Platform
    layers: list[WrittenLayer] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    # The tree so far, read at its first use.
    nodes: dict[str, FileNode] | None = None

    @classmethod
    def start(
        cls,
        store: Store,
        plan: DockerfilePlan,
        stage: Stage,
        inputs: BuildInputs,
        stage_builds: Mapping[int, _StageBuild],
    ) -> _StageBuild:
        """Return the build of a stage, with the config and the layers of its base."""
        base_stage = plan.find_stage(stage.base, stage.number)
        if base_stage is not None:
            base = stage_builds[base_stage.number]
            config = StageConfig(plan, copy.deepcopy(base.config.values))
            history, layers = [*base.history], [*base.layers]
            return cls(
                store, plan, stage, inputs, stage_builds, config, base.platform, layers, history
            )
        target = plan.arguments.target
        if stage.base.lower() == SCRATCH:
            platform = Platform.parse(stage.platform) if stage.platform else target
            config = StageConfig(plan, {"Env": [_PATH]})
            return cls(store, plan, stage, inputs, stage_builds, config, platform)
        image = inputs.base_images.get(stage.base, stage.platform)
        document = read_image_config(store, image)
        config = StageConfig(plan, copy.deepcopy(document.get("config") or {}))
        config.author = str(document.get("author") or "")
        history = [h for h in document.get("history") or [] if isinstance(h, dict)]
        platform = image.config.platform if image.config.platform.architecture else target
        layers = image_layers(store, image)
        return cls(store, plan, stage, inputs, stage_builds, config, platform, layers, history)

    def run(self) -> None:
        """Carry out the instructions."""
        for instruction in self.stage.instructions:
            layers_before = len(self.layers)
            if instruction.keyword in _COPY_FLAGS:
                self._copy(instruction)
            else:
                unknown = sorted(instruction.flags)
                if unknown:
                    raise instruction.error(
                        f"{instruction.keyword} has no flag --{unknown[0]}",
                        word=f"--{unknown[0]}",
                    )
                self.config.apply(instruction)
                if instruction.keyword == "WORKDIR":
                    self._make_workdir(instruction)
            self._add_history(instruction, len(self.layers) == layers_before)

    def file_tree(self) -> ImageFileTree:
        """Return the tree of the stage so far."""
        name = self.stage.name or self.stage.base
        layers = [layer_blob(self.store, name, layer.descriptor) for layer in self.layers]
        return self._tree(name, layers)

    def _tree(self, name: str, layers: Sequence[LayerBlob]) -> ImageFileTree:
        return ImageFileTree(name, layers, self.inputs.workspace, limits=self.inputs.limits)

    def write_image(self) -> WrittenImage:
        """Put the image into the store."""
        created = format_timestamp(self.inputs.time)
        config = dict(self.config.values)
        labels = {**(config.get("Labels") or {}), **self.inputs.labels}
        if labels:
            config["Labels"] = labels
        document = {
            **platform_json(self.platform),
            "created": created,
            "config": {key: value for key, value in config.items() if value},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in self.layers]},
            "history": self.history,
        }
        if self.config.author:
            document["author"] = self.config.author
        annotations = self.inputs.annotations
        return WrittenImage(
            add_image_with_config(self.store, self.layers, document, self.platform, annotations)
        )

    def _load_nodes(self) -> dict[str, FileNode]:
        if self.nodes is None:
            self.nodes = dict(self.file_tree().nodes) if self.layers else {}
        return self.nodes

    def _add_history(self, instruction: Instruction, empty: bool) -> None:  # noqa: FBT001
        entry: dict[str, Any] = {
            "created": format_timestamp(self.inputs.time),
            "created_by": " ".join([instruction.keyword, *instruction.text.split()]),
        }
        if empty:
            entry["empty_layer"] = True
        self.history.append(entry)

    def _make_workdir(self, instruction: Instruction) -> None:
        tree = self._load_nodes()
        layer = CopyLayer(tree, instruction, CopyAttributes(time=self.inputs.time))
        layer.make_directory(resolve_links(tree, self.config.workdir))
        if layer.entries:
            self.layers.append(add_layer(self.store, layer.tar(None)))

    def _copy(self, instruction: Instruction) -> None:
        unknown = sorted(instruction.flags.keys() - _COPY_FLAGS[instruction.keyword])
        if unknown:
            raise instruction.error(
                f"{instruction.keyword} does not support --{unknown[0]}", word=f"--{unknown[0]}"
            )
        words = [
            word if is_heredoc(word) else self.config.expand(instruction, word)
            for word in instruction.words
        ]
        if len(words) < 2:
            raise instruction.error(
                f"{instruction.keyword} needs a source and a destination",
                f"write {instruction.keyword} SOURCE DESTINATION",
            )
        *sources, target = words
        if len(sources) > 1 and not target.endswith(("/", "/.")) and target != ".":
            raise instruction.error(
                f"several sources cannot be copied to one file {target}",
                f"write {target}/ if it is a directory",
                word=target,
            )
        tree, tree_name = self._source_tree(instruction)
        attributes = CopyAttributes(
            parse_owner(instruction, self._flag(instruction, "chown"), self._accounts(instruction)),
            parse_mode(instruction, self._flag(instruction, "chmod")),
            self.inputs.time,
        )
        destination = posixpath.join(self.config.workdir, target)
        archives = self._find_archives(instruction, tree, sources)
        paths = [s for s in sources if s not in archives and not is_heredoc(s)]
        if paths:
            layer = CopyLayer(self._load_nodes(), instruction, attributes)
            layer.copy(tree, paths, destination, tree_name)
            self.layers.append(add_layer(self.store, layer.tar(tree)))
        if instruction.heredocs:
            heredocs = self._heredoc_files(instruction)
            layer = CopyLayer(self._load_nodes(), instruction, attributes)
            layer.copy(heredocs, [*heredocs.files], destination, "the Dockerfile")
            self.layers.append(add_layer(self.store, layer.tar(heredocs)))
        for source, archive in archives.items():
            unpacked = ImageFileTree(
                source, [archive], self.inputs.workspace, limits=self.inputs.limits
            )
            layer = CopyLayer(self._load_nodes(), instruction, attributes)
            try:
                layer.copy_tree(unpacked, destination)
                self.layers.append(add_layer(self.store, layer.tar(unpacked)))
            except LayerError as error:
                raise PackageError.of(
                    packages.BAD_CONTEXT,
                    error.diagnostics[0].message,
                    "ADD unpacks tar archives; COPY copies a file as it is",
                    place=instruction.place(source),
                ) from error

    def _flag(self, instruction: Instruction, name: str) -> str:
        return self.config.expand(instruction, instruction.flags.get(name, ""))

    def _heredoc_files(self, instruction: Instruction) -> HeredocFiles:
        try:
            return heredoc_files(instruction, self.config, self.inputs.time)
        except WordError as error:
            raise instruction.error(str(error), word="<<") from error

    def _source_tree(self, instruction: Instruction) -> tuple[FileTree, str]:
        """Return the tree to copy from, and its name for messages."""
        name = instruction.flags.get("from")
        if name is None:
            return self.inputs.context, "the build context"
        stage = self.plan.find_stage(name, self.stage.number)
        if stage is not None:
            return self.stage_builds[stage.number].file_tree(), f"the stage {name}"
        image = self.inputs.base_images.get(name)
        layers = [layer_blob(self.store, name, d) for d in image.manifest.layers]
        return ImageFileTree(
            name, layers, self.inputs.workspace, limits=self.inputs.limits
        ), f"the image {name}"

    def _find_archives(
        self, instruction: Instruction, tree: FileTree, sources: list[str]
    ) -> dict[str, LayerBlob]:
        """Return the sources that ADD unpacks, each as a layer."""
        if instruction.keyword != "ADD":
            return {}
        context = self.inputs.context
        found = {}
        for source in sources:
            path = posixpath.normpath("/" + source).lstrip("/")
            if path in tree.nodes and tree.nodes[path].kind == FILE:
                archive = open_archive(context.paths[path], self.inputs.workspace)
                if archive is not None:
                    found[source] = archive
        return found

    def _accounts(self, instruction: Instruction) -> Accounts:
        """Return the users of the stage; --chown with numbers needs none."""
        owner = self._flag(instruction, "chown")
        if not owner or all(p.isdigit() for p in owner.split(":")):
            return Accounts()
        nodes = self._load_nodes()
        passwd, group = (_content_path(nodes, path) for path in ("etc/passwd", "etc/group"))
        readable = [p for p in (passwd, group) if p in nodes and _is_small_file(nodes[p])]
        texts = dict.fromkeys((passwd, group), "")
        with self.file_tree().contents(readable) as contents:
            for path in readable:
                texts[path] = b"".join(contents(path)).decode("utf-8", "replace")
        return Accounts(texts[passwd], texts[group])


def _content_path(nodes: Mapping[str, FileNode], path: str) -> str:
    """Return the path that has the content of a file, with all links followed."""
    resolved = resolve_links(nodes, path)
    node = nodes.get(resolved)
    return node.link if node is not None and node.kind == HARD_LINK else resolved


def _is_small_file(node: FileNode) -> bool:
    return node.kind == FILE and node.size < _MAX_ACCOUNTS_SIZE
