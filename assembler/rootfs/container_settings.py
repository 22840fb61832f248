"""The settings of one container, merged from the image's label and the YAML."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from assembler.config import BindNS, Container, ContainerSpec, Runtime
from assembler.diagnostics import Diagnostic, Remark
from assembler.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from assembler.codes import Code
    from assembler.config import Positions
    from assembler.diagnostics import Place
    from assembler.oci import Image

_T = TypeVar("_T")

# Texts for which an empty text in the YAML means the label's.
_TEXTS = ("net", "pid", "ipc", "uts", "userns", "hostname", "cwd")
_ADDED_TO = {"capabilities": "capabilities_add", "binds": "binds_add"}
YAML_NAMES = {f.name: f.metadata.get("yaml", f.name) for f in fields(ContainerSpec)}


@dataclass(frozen=True, slots=True)
class ListItem:
    """A text of a list, its place, and whether it comes from a label."""

    text: str
    place: Place | None
    from_label: bool


@dataclass(frozen=True, slots=True)
class ContainerSettings:
    """The merged settings of a container; all later steps use only these."""

    container: Container
    image: Image
    # All fields with their final values.
    spec: ContainerSpec
    # The source of each field: the container of the YAML, or the label.
    sources: Mapping[str, ContainerSpec]
    items: Mapping[str, tuple[ListItem, ...]]

    @property
    def name(self) -> str:
        """Return the container's name."""
        return self.container.name

    def from_label(self, name: str) -> bool:
        """Tell whether a field's value comes from the label."""
        return name in self.sources and self.sources[name] is not self.container

    def place(self, name: str, *path: str | int) -> Place | None:
        """Return the place of a field's value."""
        positions = self.sources.get(name, self.container).positions
        return positions.place_of(YAML_NAMES.get(name, name), *path)

    def error(self, code: Code, message: str, *hints: str, place: Place | None) -> PlanError:
        """Make an error; an error in a label names the image and its use."""
        return PlanError([self.with_image_remark(Diagnostic(code, message, place, hints))])

    def with_image_remark(self, diagnostic: Diagnostic) -> Diagnostic:
        """Add a remark about the image to a diagnostic in a label."""
        used = self.container.positions.place_of("image")
        here = diagnostic.place
        inside = used is None or here is None or here.source == used.source
        if inside or any(r.place == used for r in diagnostic.remarks):
            return diagnostic
        assert used is not None  # noqa: S101 - for the type checker, see `inside`
        remark = Remark(f"the image of {self.name!r} has this in its label", used)
        return replace(diagnostic, remarks=(*diagnostic.remarks, remark))


def merge_settings(container: Container, image: Image, label: ContainerSpec) -> ContainerSettings:
    """Merge the YAML over the label; config_json adds the image's config."""
    values: dict[str, Any] = {}
    sources: dict[str, ContainerSpec] = {}
    for field in fields(ContainerSpec):
        name = field.name
        if name == "positions" or name in _ADDED_TO.values():
            continue
        mine, theirs = getattr(container, name), getattr(label, name)
        mine_counts = bool(mine) if name in _TEXTS else mine is not None
        if not mine_counts and theirs is None:
            values[name] = mine
            continue
        values[name] = mine if mine_counts else theirs
        sources[name] = container if mine_counts else label
    values["runtime"] = _runtime(container.runtime, label.runtime)
    items = {
        name: tuple(_list_items(container, label, name)) for name in YAML_NAMES if _is_list(name)
    }
    spec = ContainerSpec(positions=container.positions, **values)
    return ContainerSettings(container, image, spec, sources, items)


def _is_list(name: str) -> bool:
    return name in ("capabilities", "ambient", "binds", "tmpfs", "rlimits")


def _list_items(container: Container, label: ContainerSpec, name: str) -> Iterator[ListItem]:
    """Yield the YAML's list, or else the label's list and the YAML's additions."""
    if getattr(container, name) is not None:
        yield from _each(container, name, from_label=False)
        return
    seen: set[str] = set()
    found = list(_each(label, name, from_label=True))
    if name in _ADDED_TO:
        added = list(_each(container, _ADDED_TO[name], from_label=False))
        found = _joined_capabilities(found, added) if name == "capabilities" else found + added
    for word in found:
        if word.text not in seen:
            yield word
        seen.add(word.text)


def _joined_capabilities(theirs: list[ListItem], added: list[ListItem]) -> list[ListItem]:
    """Add to a list; `all` and `none` stand alone."""
    for alone in (theirs, added):
        if [w.text.lower() for w in alone] == ["all"]:
            return alone
    if [w.text.lower() for w in theirs] == ["none"] and added:
        return added
    return theirs + added


def _each(spec: ContainerSpec, name: str, *, from_label: bool) -> Iterator[ListItem]:
    positions: Positions = spec.positions
    for number, text in enumerate(getattr(spec, name) or ()):
        yield ListItem(text, positions.place_of(YAML_NAMES[name], number), from_label)


def _runtime(mine: Runtime | None, theirs: Runtime | None) -> Runtime:
    """Merge the settings for the init system, member by member."""
    mine, theirs = mine or Runtime(), theirs or Runtime()
    return Runtime(
        cgroups=_either(mine.cgroups, theirs.cgroups),
        mkdir=_either(mine.mkdir, theirs.mkdir),
        mounts=_either(mine.mounts, theirs.mounts),
        interfaces=_either(mine.interfaces, theirs.interfaces),
        bind_ns=_namespaces(mine.bind_ns or BindNS(), theirs.bind_ns or BindNS()),
        namespace=_either(mine.namespace, theirs.namespace),
        positions=mine.positions,
    )


def _namespaces(mine: BindNS, theirs: BindNS) -> BindNS:
    names = [f.name for f in fields(BindNS) if f.name != "positions"]
    return BindNS(
        **{n: _either(getattr(mine, n), getattr(theirs, n)) for n in names},
        positions=mine.positions,
    )


def _either(mine: _T | None, theirs: _T | None) -> _T | None:
    return theirs if mine is None else mine
