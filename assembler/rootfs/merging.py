"""One container's wishes made one: the image's config, its label, then the YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from assembler.config.model import BindNS, Container, ContainerSpec, Runtime
from assembler.diagnostics import Diagnostic, Remark
from assembler.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.codes import Code
    from assembler.config.positions import Positions
    from assembler.diagnostics import Place
    from assembler.oci import Image

_T = TypeVar("_T")

# Texts of which an empty one in the YAML leaves the word to the label.
_WORDS = ("net", "pid", "ipc", "uts", "userns", "hostname", "cwd")
_ADDED_TO = {"capabilities": "capabilities_add", "binds": "binds_add"}
YAML_NAMES = {f.name: f.metadata.get("yaml", f.name) for f in fields(ContainerSpec)}


@dataclass(frozen=True, slots=True)
class Word:
    """A text of a list, where it was written, and whether that was in a label."""

    text: str
    place: Place | None
    from_label: bool


@dataclass(frozen=True, slots=True)
class Merged:
    """What is asked of a container, all told; later stages see nothing but this."""

    container: Container
    image: Image
    # Every field with its final value.
    spec: ContainerSpec
    # Which of the two said it last: the container of the YAML, or the label.
    said_by: Mapping[str, ContainerSpec]
    words: Mapping[str, tuple[Word, ...]]

    @property
    def name(self) -> str:
        """Return the container's name."""
        return self.container.name

    def from_label(self, name: str) -> bool:
        """Tell whether the label has the last word on a field."""
        return name in self.said_by and self.said_by[name] is not self.container

    def place(self, name: str, *path: str | int) -> Place | None:
        """Return where a field's value was written."""
        positions = self.said_by.get(name, self.container).positions
        return positions.place_of(YAML_NAMES.get(name, name), *path)

    def error(self, code: Code, message: str, *hints: str, place: Place | None) -> PlanError:
        """Make an error; one in a label says whose image it is, and where that is used."""
        return PlanError([self.explained(Diagnostic(code, message, place, hints))])

    def explained(self, diagnostic: Diagnostic) -> Diagnostic:
        """Add to a diagnostic about the label which image has it, and who uses that image."""
        used = self.container.positions.place_of("image")
        here = diagnostic.place
        inside = used is None or here is None or here.source == used.source
        if inside or any(r.place == used for r in diagnostic.remarks):
            return diagnostic
        assert used is not None  # noqa: S101 - for the type checker, see `inside`
        remark = Remark(f"the image of {self.name!r} has this in its label", used)
        return replace(diagnostic, remarks=(*diagnostic.remarks, remark))


def merged(container: Container, image: Image, label: ContainerSpec) -> Merged:
    """Put the YAML over the label; what the image's config says has its turn in the spec."""
    values: dict[str, Any] = {}
    said_by: dict[str, ContainerSpec] = {}
    for field in fields(ContainerSpec):
        name = field.name
        if name == "positions" or name in _ADDED_TO.values():
            continue
        mine, theirs = getattr(container, name), getattr(label, name)
        mine_counts = bool(mine) if name in _WORDS else mine is not None
        if not mine_counts and theirs is None:
            values[name] = mine
            continue
        values[name] = mine if mine_counts else theirs
        said_by[name] = container if mine_counts else label
    values["runtime"] = _runtime(container.runtime, label.runtime)
    words = {name: tuple(_words(container, label, name)) for name in YAML_NAMES if _is_list(name)}
    spec = ContainerSpec(positions=container.positions, **values)
    return Merged(container, image, spec, said_by, words)


def _is_list(name: str) -> bool:
    return name in ("capabilities", "ambient", "binds", "tmpfs", "rlimits")


def _words(container: Container, label: ContainerSpec, name: str) -> Iterator[Word]:
    """Yield a list's texts: the YAML's, or else the label's and what the YAML adds to them."""
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


def _joined_capabilities(theirs: list[Word], added: list[Word]) -> list[Word]:
    """Add to a list that may be a single `all` or `none`, each of which stands alone."""
    for alone in (theirs, added):
        if [w.text.lower() for w in alone] == ["all"]:
            return alone
    if [w.text.lower() for w in theirs] == ["none"] and added:
        return added
    return theirs + added


def _each(spec: ContainerSpec, name: str, *, from_label: bool) -> Iterator[Word]:
    positions: Positions = spec.positions
    for number, text in enumerate(getattr(spec, name) or ()):
        yield Word(text, positions.place_of(YAML_NAMES[name], number), from_label)


def _runtime(mine: Runtime | None, theirs: Runtime | None) -> Runtime:
    """Merge what is told to the init system, member by member."""
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
