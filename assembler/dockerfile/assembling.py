"""Building a Dockerfile in process: stage by stage, COPY by COPY, without a tool or a daemon."""

from __future__ import annotations

import copy
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assembler.codes import packages
from assembler.dockerfile.bases import config_of, layers_of, stored
from assembler.dockerfile.build_inputs import BuildInputs
from assembler.dockerfile.copying import (
    Accounts,
    Attributes,
    Laying,
    read_mode,
    read_owner,
)
from assembler.dockerfile.heredocs import Texts, is_text, texts_of
from assembler.dockerfile.settings import Config
from assembler.dockerfile.stages import SCRATCH
from assembler.dockerfile.trees import ImageFiles, Node, resolved
from assembler.dockerfile.unpacking import opened_archive
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
from assembler.oci import LayerBlob as StoredLayer

if TYPE_CHECKING:
    from assembler.dockerfile.stages import Plan, Stage
    from assembler.dockerfile.syntax import Instruction
    from assembler.dockerfile.trees import Files
    from assembler.oci import Store

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_FLAGS = {"COPY": {"from", "chown", "chmod", "link"}, "ADD": {"chown", "chmod", "link"}}


def assemble(store: Store, plan: Plan, ingredients: BuildInputs) -> WrittenImage:
    """Make the image of the last stage."""
    stages: dict[int, _Stage] = {}
    for stage in plan.needed():
        stages[stage.number] = _Stage.begun(store, plan, stage, ingredients, stages)
        stages[stage.number].run()
    return stages[plan.target.number].image()


@dataclass(slots=True)
class _Stage:
    """A stage under way."""

    store: Store
    plan: Plan
    stage: Stage
    ingredients: BuildInputs
    others: Mapping[int, _Stage]
    config: Config
    platform: Platform
    layers: list[WrittenLayer] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    # What is there so far, read when it is first needed.
    root: dict[str, Node] | None = None

    @classmethod
    def begun(
        cls,
        store: Store,
        plan: Plan,
        stage: Stage,
        ingredients: BuildInputs,
        others: Mapping[int, _Stage],
    ) -> _Stage:
        """Return the stage as its FROM leaves it."""
        before = plan.stage(stage.base, stage.number)
        if before is not None:
            base = others[before.number]
            config = Config(plan, copy.deepcopy(base.config.inner))
            history, layers = [*base.history], [*base.layers]
            return cls(
                store, plan, stage, ingredients, others, config, base.platform, layers, history
            )
        target = plan.arguments.target
        if stage.base.lower() == SCRATCH:
            platform = Platform.parse(stage.platform) if stage.platform else target
            config = Config(plan, {"Env": [_PATH]})
            return cls(store, plan, stage, ingredients, others, config, platform)
        image = ingredients.bases.get(stage.base, stage.platform)
        document = config_of(store, image)
        config = Config(plan, copy.deepcopy(document.get("config") or {}))
        config.author = str(document.get("author") or "")
        history = [h for h in document.get("history") or [] if isinstance(h, dict)]
        platform = image.config.platform if image.config.platform.architecture else target
        layers = layers_of(store, image)
        return cls(store, plan, stage, ingredients, others, config, platform, layers, history)

    def run(self) -> None:
        """Carry out the instructions."""
        for instruction in self.stage.instructions:
            before = len(self.layers)
            if instruction.keyword in _FLAGS:
                self._copy(instruction)
            else:
                unknown = sorted(instruction.flags)
                if unknown:
                    raise instruction.wrong(
                        f"{instruction.keyword} has no --{unknown[0]}", word=f"--{unknown[0]}"
                    )
                self.config.apply(instruction)
                if instruction.keyword == "WORKDIR":
                    self._make_workdir(instruction)
            self._note(instruction, len(self.layers) == before)

    def files(self) -> ImageFiles:
        """Return the files of the stage as they are now."""
        what = self.stage.name or self.stage.base
        layers = [stored(self.store, what, layer.descriptor) for layer in self.layers]
        return ImageFiles(what, layers, self.ingredients.workspace)

    def image(self) -> WrittenImage:
        """Put the image into the store."""
        created = format_timestamp(self.ingredients.time)
        inner = dict(self.config.inner)
        labels = {**(inner.get("Labels") or {}), **self.ingredients.labels}
        if labels:
            inner["Labels"] = labels
        document = {
            **platform_json(self.platform),
            "created": created,
            "config": {key: value for key, value in inner.items() if value},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in self.layers]},
            "history": self.history,
        }
        if self.config.author:
            document["author"] = self.config.author
        annotations = self.ingredients.annotations
        return WrittenImage(
            add_image_with_config(self.store, self.layers, document, self.platform, annotations)
        )

    def _tree(self) -> dict[str, Node]:
        if self.root is None:
            self.root = dict(self.files().nodes) if self.layers else {}
        return self.root

    def _note(self, instruction: Instruction, empty: bool) -> None:  # noqa: FBT001
        entry: dict[str, Any] = {
            "created": format_timestamp(self.ingredients.time),
            "created_by": " ".join([instruction.keyword, *instruction.text.split()]),
        }
        if empty:
            entry["empty_layer"] = True
        self.history.append(entry)

    def _make_workdir(self, instruction: Instruction) -> None:
        tree = self._tree()
        laying = Laying(tree, instruction, Attributes(time=self.ingredients.time))
        laying.make_directory(resolved(tree, self.config.workdir))
        if laying.copies:
            self.layers.append(add_layer(self.store, laying.tar(None)))

    def _copy(self, instruction: Instruction) -> None:
        unknown = sorted(instruction.flags.keys() - _FLAGS[instruction.keyword])
        if unknown:
            raise instruction.wrong(
                f"{instruction.keyword} has no --{unknown[0]} here", word=f"--{unknown[0]}"
            )
        words = [
            word if is_text(word) else self.config.expand(instruction, word)
            for word in instruction.words
        ]
        if len(words) < 2:
            raise instruction.wrong(
                f"{instruction.keyword} needs a source and a destination",
                f"write {instruction.keyword} SOURCE DESTINATION",
            )
        *sources, target = words
        if len(sources) > 1 and not target.endswith(("/", "/.")) and target != ".":
            raise instruction.wrong(
                f"several files cannot all become {target}",
                f"write {target}/ if it is a directory",
                word=target,
            )
        files, missing = self._source(instruction)
        attributes = Attributes(
            read_owner(instruction, self._flag(instruction, "chown"), self._accounts(instruction)),
            read_mode(instruction, self._flag(instruction, "chmod")),
            self.ingredients.time,
        )
        place = posixpath.join(self.config.workdir, target)
        archives = self._archives(instruction, files, sources)
        plain = [s for s in sources if s not in archives and not is_text(s)]
        if plain:
            laying = Laying(self._tree(), instruction, attributes)
            laying.lay(files, plain, place, missing)
            self.layers.append(add_layer(self.store, laying.tar(files)))
        if instruction.heredocs:
            texts = self._texts(instruction)
            laying = Laying(self._tree(), instruction, attributes)
            laying.lay(texts, [*texts.files], place, "the Dockerfile")
            self.layers.append(add_layer(self.store, laying.tar(texts)))
        for source, layer in archives.items():
            unpacked = ImageFiles(source, [layer], self.ingredients.workspace)
            laying = Laying(self._tree(), instruction, attributes)
            try:
                laying.lay_tree(unpacked, place)
                self.layers.append(add_layer(self.store, laying.tar(unpacked)))
            except LayerError as error:
                raise PackageError.of(
                    packages.BAD_CONTEXT,
                    error.diagnostics[0].message,
                    "ADD unpacks tar archives; COPY copies a file as it is",
                    place=instruction.place(source),
                ) from error

    def _flag(self, instruction: Instruction, name: str) -> str:
        return self.config.expand(instruction, instruction.flags.get(name, ""))

    def _texts(self, instruction: Instruction) -> Texts:
        try:
            return texts_of(instruction, self.config, self.ingredients.time)
        except WordError as error:
            raise instruction.wrong(str(error), word="<<") from error

    def _source(self, instruction: Instruction) -> tuple[Files, str]:
        name = instruction.flags.get("from")
        if name is None:
            return self.ingredients.context, "the build context"
        stage = self.plan.stage(name, self.stage.number)
        if stage is not None:
            return self.others[stage.number].files(), f"the stage {name}"
        image = self.ingredients.bases.get(name)
        layers = [stored(self.store, name, d) for d in image.manifest.layers]
        return ImageFiles(name, layers, self.ingredients.workspace), f"the image {name}"

    def _archives(
        self, instruction: Instruction, files: Files, sources: list[str]
    ) -> dict[str, StoredLayer]:
        """Return the sources that ADD unpacks."""
        if instruction.keyword != "ADD":
            return {}
        context = self.ingredients.context
        found = {}
        for source in sources:
            path = posixpath.normpath("/" + source).lstrip("/")
            if path in files.nodes and files.nodes[path].kind == FILE:
                layer = opened_archive(context.places[path], self.ingredients.workspace)
                if layer is not None:
                    found[source] = layer
        return found

    def _accounts(self, instruction: Instruction) -> Accounts:
        """Return the users of the stage, if --chown may name one."""
        owner = self._flag(instruction, "chown")
        if not owner or all(p.isdigit() for p in owner.split(":")):
            return Accounts()
        files, tree = self.files(), self._tree()
        paths = [resolved(tree, p) for p in ("etc/passwd", "etc/group")]
        real = [tree[p].link if p in tree and tree[p].kind == HARD_LINK else p for p in paths]
        there = [p for p in real if p in tree and tree[p].kind == FILE and tree[p].size < 1 << 20]
        texts = dict.fromkeys(real, "")
        with files.contents(there) as contents:
            for path in there:
                texts[path] = b"".join(contents(path)).decode("utf-8", "replace")
        return Accounts(texts[real[0]], texts[real[1]])
