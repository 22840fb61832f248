"""Choosing packages as apt would: what is asked for, and what that depends on, depth first.

A dependency that something chosen already meets needs nothing more. Otherwise its alternatives are
tried in the order they are written in; among packages that provide a name, one of that name goes
first, then those that the archive calls essential or more important. An alternative that cannot be
had, or does not go with what is chosen, makes room for the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.debian.archives.index import Alternatives, PackageIndex, PackageStanza, Relation
    from assembler.debian.engine import PackageRequest

# How often the choice starts over without a package that stood in the way.
_MAX_ATTEMPTS = 50


def resolve_packages(index: PackageIndex, request: PackageRequest) -> tuple[PackageStanza, ...]:
    """Return what the request comes to, in no order that matters."""
    wanted = [_find_requested(index, text, request) for text in request.packages]
    if not request.dependencies:
        return tuple(dict.fromkeys(wanted))
    absent = {name: _find_excluded(index, name) for name in request.exclude}
    wanted = [one for one in wanted if one.name not in absent]
    pinned = {one.name: one for one in wanted}
    avoided: set[str] = set()
    reasons: list[str] = []
    for _ in range(_MAX_ATTEMPTS):
        run = _Attempt(index, pinned, absent, frozenset(avoided))
        if run.choose():
            return tuple(run.chosen.values())
        reasons += run.reasons
        # What was chosen on the way, and is in the way of what has to be, is done without.
        rivals = run.rivals - avoided - pinned.keys()
        if not rivals:
            break
        avoided |= rivals
    raise PackageError.of(
        packages.UNRESOLVABLE,
        f"{request.suite} cannot give {', '.join(request.packages)} for {request.architecture}:\n"
        + "\n".join(dict.fromkeys(reasons)),
        "is something missing that `exclude` leaves out, or a component of the archive?",
    )


def _find_requested(index: PackageIndex, text: str, request: PackageRequest) -> PackageStanza:
    """Return the package that a recipe names, perhaps with a version."""
    name, _, version = text.partition("=")
    found = index.all_of(name)
    if version:
        for one in found:
            if one.chosen.version == version:
                return one
        has = ", ".join(one.chosen.version for one in found)
        raise PackageError.of(
            packages.VERSION_NOT_FOUND,
            f"the version {version} of {name} was not found in {request.suite} for "
            f"{request.architecture}" + (f", which has {has}" if has else ""),
            "write the version that there is, or the name alone for the newest",
        )
    if found:
        return found[0]
    providers = index.providers(name)
    if len(providers) == 1 and (only := index.candidate(providers[0])):
        return only
    raise PackageError.of(
        packages.UNRESOLVABLE,
        f"Unable to locate package {name}: {request.suite} has none for {request.architecture} "
        f"in {', '.join(request.components)}"
        + (f"; it is provided by {', '.join(sorted(providers))}" if providers else ""),
        "name one of those that provide it" if providers else "is the name right?",
    )


def _find_excluded(index: PackageIndex, name: str) -> PackageStanza:
    found = index.candidate(name)
    if found is None:
        raise PackageError.of(
            packages.UNRESOLVABLE, f"a package to exclude does not exist: {name} is not to be found"
        )
    return found


@dataclass(slots=True)
class _Frame:
    """A package whose dependencies are being met."""

    stanza: PackageStanza
    groups: Iterator[Alternatives]
    # How many were chosen before it: what is after them goes if it cannot be had.
    before: int
    group: Alternatives = ()
    options: Iterator[PackageStanza] | None = None


@dataclass(slots=True)
class _Attempt:
    """One attempt at choosing."""

    index: PackageIndex
    pinned: Mapping[str, PackageStanza]
    absent: Mapping[str, PackageStanza]
    avoided: frozenset[str]
    chosen: dict[str, PackageStanza] = field(default_factory=dict)
    # Who provides a name, of those that are chosen or left out.
    providing: dict[str, list[PackageStanza]] = field(default_factory=dict)
    rivals: set[str] = field(default_factory=set)
    reasons: list[str] = field(default_factory=list)

    def choose(self) -> bool:
        """Choose all; tell whether it was possible."""
        for one in self.absent.values():
            self._provide(one)
        for one in self.pinned.values():
            if not self._goes_with(one):
                return False
            self._take(one)
        return all(self._complete(one) for one in self.pinned.values())

    def _complete(self, stanza: PackageStanza) -> bool:
        """Meet the dependencies of a package, and of those that come with it."""
        frames = [_Frame(stanza, iter(stanza.depends), len(self.chosen))]
        while frames:
            frame = frames[-1]
            if frame.options is None:
                group = next(frame.groups, None)
                if group is None:
                    frames.pop()
                    if frames:
                        frames[-1].options = None
                elif not self._is_met(group):
                    frame.group, frame.options = group, self._options(group)
                continue
            option = next((o for o in frame.options if self._may_come(o)), None)
            if option is not None:
                frames.append(_Frame(option, iter(option.depends), len(self.chosen)))
                self._take(option)
                continue
            self._explain(frame)
            frames.pop()
            if not frames:
                return False
            self._take_back(frame.before)
        return True

    def _options(self, group: Alternatives) -> Iterator[PackageStanza]:
        """Yield the packages that would meet a dependency, the one to be tried first in front."""
        for relation in group:
            fitting = [*self._fitting(relation)]
            if len(fitting) > 1:
                fitting.sort(key=partial(_rank, relation.name))
                for _, equal in groupby(fitting, partial(_rank, relation.name)):
                    yield from self._last_mentioned_first([*equal])
            else:
                yield from fitting

    def _fitting(self, relation: Relation) -> Iterator[PackageStanza]:
        for name in dict.fromkeys((relation.name, *self.index.providers(relation.name))):
            stanza = self._candidate(name)
            if stanza is not None and stanza.satisfies(relation):
                yield stanza

    def _last_mentioned_first(self, stanzas: list[PackageStanza]) -> list[PackageStanza]:
        """Decide among those that nothing else tells apart, in the way apt has it."""
        if len(stanzas) > 1:
            stanzas.sort(key=lambda s: self.index.mentioned(s.name), reverse=True)
        return stanzas

    def _candidate(self, name: str) -> PackageStanza | None:
        return self.pinned.get(name) or self.absent.get(name) or self.index.candidate(name)

    def _is_met(self, group: Alternatives) -> bool:
        return any(
            one.satisfies(relation)
            for relation in group
            for one in self.providing.get(relation.name, ())
        )

    def _may_come(self, stanza: PackageStanza) -> bool:
        """Tell whether a package goes with the others, and its dependencies exist at all."""
        if stanza.name in self.chosen or stanza.name in self.avoided:
            return False
        for group in stanza.depends:
            if not self._is_met(group) and not self._exists(group):
                self.reasons.append(self._unmet(stanza, group))
                return False
        return self._goes_with(stanza)

    def _exists(self, group: Alternatives) -> bool:
        return any(True for relation in group for _ in self._fitting(relation))

    def _goes_with(self, stanza: PackageStanza) -> bool:
        rivals = [*self._rivals_of(stanza)]
        for other in rivals:
            self.reasons.append(f" {stanza.name} does not go with {other.name}")
        self.rivals |= {other.name for other in rivals}
        return not rivals

    def _rivals_of(self, stanza: PackageStanza) -> Iterator[PackageStanza]:
        for relation in stanza.conflicts:
            for other in self.providing.get(relation.name, ()):
                if self._is_rival(stanza, relation, other):
                    yield other
        names = {stanza.name, *stanza.provides}
        for other in self.chosen.values():
            for relation in other.conflicts:
                if relation.name in names and self._is_rival(other, relation, stanza):
                    yield other

    def _is_rival(self, one: PackageStanza, relation: Relation, other: PackageStanza) -> bool:
        """Tell whether a relation of one package keeps another away; what is left out is away."""
        away = other.name in self.absent
        return one.name != other.name and not away and other.satisfies(relation)

    def _take(self, stanza: PackageStanza) -> None:
        self.chosen[stanza.name] = stanza
        self._provide(stanza)

    def _provide(self, stanza: PackageStanza) -> None:
        for name in _provided_names(stanza):
            self.providing.setdefault(name, []).append(stanza)

    def _take_back(self, count: int) -> None:
        """Leave only so many of those that are chosen."""
        for name in [*self.chosen][count:]:
            stanza = self.chosen.pop(name)
            for provided in _provided_names(stanza):
                self.providing[provided].remove(stanza)

    def _explain(self, frame: _Frame) -> None:
        self.reasons.append(self._unmet(frame.stanza, frame.group))

    def _unmet(self, stanza: PackageStanza, group: Sequence[Relation]) -> str:
        said = f" {stanza.name} {stanza.chosen.version} : depends on {_relations_text(group)}"
        versions = [
            f"{one.name} is {one.chosen.version}"
            for relation in group
            if (one := self._candidate(relation.name)) is not None and not one.satisfies(relation)
        ]
        if versions:
            return f"{said}, but {', '.join(versions)}"
        if any(relation.name in self.index for relation in group):
            return f"{said}, which cannot be had with the others"
        return f"{said}, which does not exist"


def _rank(name: str, stanza: PackageStanza) -> tuple[bool, bool, int]:
    """Return a key that puts first what is tried first of several that provide a name."""
    return stanza.name != name, not stanza.essential, stanza.importance


def _provided_names(stanza: PackageStanza) -> Iterable[str]:
    return dict.fromkeys((stanza.name, *stanza.provides))


def _relations_text(group: Sequence[Relation]) -> str:
    return " | ".join(str(relation) for relation in group)
