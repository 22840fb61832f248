"""Resolve dependencies as apt does: the requested packages, then their dependencies, depth first.

A dependency that a selected package satisfies needs no other package. Otherwise its alternatives
are tried in order. Among the packages that provide a name, the one of that name comes first, then
essential packages, then those with a higher priority. An alternative that does not exist, or that
conflicts with a selected package, is skipped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from assembler.debian.archives.index import Alternatives, PackageIndex, PackageStanza, Relation
    from assembler.debian.engine_protocol import PackageRequest

# The number of attempts; each one rejects the packages that caused conflicts before.
_MAX_ATTEMPTS = 50


def resolve_packages(index: PackageIndex, request: PackageRequest) -> tuple[PackageStanza, ...]:
    """Return the requested packages and their dependencies, in no particular order."""
    requested = [_find_requested(index, text, request) for text in request.packages]
    if not request.dependencies:
        return tuple(dict.fromkeys(requested))
    excluded = {name: _find_excluded(index, name) for name in request.exclude}
    requested = [stanza for stanza in requested if stanza.name not in excluded]
    pinned = {stanza.name: stanza for stanza in requested}
    rejected: set[str] = set()
    reasons: list[str] = []
    for _ in range(_MAX_ATTEMPTS):
        attempt = _Attempt(index, pinned, excluded, frozenset(rejected))
        if attempt.run():
            return tuple(attempt.selected.values())
        reasons += attempt.reasons
        # Reject the selected packages that conflicted with a necessary one.
        rivals = attempt.rivals - rejected - pinned.keys()
        if not rivals:
            break
        rejected |= rivals
    raise PackageError.of(
        packages.UNRESOLVABLE,
        f"cannot resolve {', '.join(request.packages)} in {request.suite} for "
        f"{request.architecture}:\n" + "\n".join(dict.fromkeys(reasons)),
        "check `exclude` and the components: does a package need one that they leave out?",
    )


def _find_requested(index: PackageIndex, text: str, request: PackageRequest) -> PackageStanza:
    """Return the package for a name, or for NAME=VERSION, of a recipe."""
    name, _, version = text.partition("=")
    versions = index.versions(name)
    if version:
        for stanza in versions:
            if stanza.package.version == version:
                return stanza
        available = ", ".join(stanza.package.version for stanza in versions)
        raise PackageError.of(
            packages.VERSION_NOT_FOUND,
            f"the version {version} of {name} was not found in {request.suite} for "
            f"{request.architecture}" + (f", which has {available}" if available else ""),
            "write an available version, or only the name for the newest one",
        )
    if versions:
        return versions[0]
    providers = index.providers(name)
    if len(providers) == 1 and (only := index.candidate(providers[0])):
        return only
    raise PackageError.of(
        packages.UNRESOLVABLE,
        f"Unable to locate package {name}: {request.suite} has none for {request.architecture} "
        f"in {', '.join(request.components)}"
        + (f"; it is provided by {', '.join(sorted(providers))}" if providers else ""),
        "name one of the packages that provide it" if providers else "check the name",
    )


def _find_excluded(index: PackageIndex, name: str) -> PackageStanza:
    stanza = index.candidate(name)
    if stanza is None:
        raise PackageError.of(packages.UNRESOLVABLE, f"a package to exclude does not exist: {name}")
    return stanza


@dataclass(slots=True)
class _Frame:
    """A package whose dependencies are being resolved."""

    stanza: PackageStanza
    groups: Iterator[Alternatives]
    # The number of packages selected before it: backtracking returns to them.
    selected_before: int
    group: Alternatives = ()
    candidates: Iterator[PackageStanza] | None = None


@dataclass(slots=True)
class _Attempt:
    """One attempt at the resolution."""

    index: PackageIndex
    pinned: Mapping[str, PackageStanza]
    excluded: Mapping[str, PackageStanza]
    rejected: frozenset[str]
    selected: dict[str, PackageStanza] = field(default_factory=dict)
    # The selected and excluded packages that provide a name.
    providers: dict[str, list[PackageStanza]] = field(default_factory=dict)
    rivals: set[str] = field(default_factory=set)
    reasons: list[str] = field(default_factory=list)

    def run(self) -> bool:
        """Resolve all dependencies; tell whether it was possible."""
        for stanza in self.excluded.values():
            self._add_provider(stanza)
        for stanza in self.pinned.values():
            if not self._has_no_conflict(stanza):
                return False
            self._select(stanza)
        return all(self._satisfy_dependencies(stanza) for stanza in self.pinned.values())

    def _satisfy_dependencies(self, stanza: PackageStanza) -> bool:
        """Select the dependencies of a package, and their dependencies."""
        frames = [_Frame(stanza, iter(stanza.depends), len(self.selected))]
        while frames:
            frame = frames[-1]
            if frame.candidates is None:
                group = next(frame.groups, None)
                if group is None:
                    frames.pop()
                    if frames:
                        frames[-1].candidates = None
                elif not self._is_satisfied(group):
                    frame.group, frame.candidates = group, self._alternatives(group)
                continue
            candidate = next((o for o in frame.candidates if self._is_installable(o)), None)
            if candidate is not None:
                frames.append(_Frame(candidate, iter(candidate.depends), len(self.selected)))
                self._select(candidate)
                continue
            self._record_reason(frame)
            frames.pop()
            if not frames:
                return False
            self._backtrack(frame.selected_before)
        return True

    def _alternatives(self, group: Alternatives) -> Iterator[PackageStanza]:
        """Yield the packages that satisfy a dependency, in the order of preference."""
        for relation in group:
            providers = [*self._providers(relation)]
            if len(providers) > 1:
                providers.sort(key=partial(_rank, relation.name))
                for _, equal in groupby(providers, partial(_rank, relation.name)):
                    yield from self._sort_by_mention([*equal])
            else:
                yield from providers

    def _providers(self, relation: Relation) -> Iterator[PackageStanza]:
        for name in dict.fromkeys((relation.name, *self.index.providers(relation.name))):
            stanza = self._candidate(name)
            if stanza is not None and stanza.satisfies(relation):
                yield stanza

    def _sort_by_mention(self, stanzas: list[PackageStanza]) -> list[PackageStanza]:
        """Sort packages of equal rank as apt does: the last one mentioned comes first."""
        if len(stanzas) > 1:
            stanzas.sort(key=lambda s: self.index.first_mention(s.name), reverse=True)
        return stanzas

    def _candidate(self, name: str) -> PackageStanza | None:
        return self.pinned.get(name) or self.excluded.get(name) or self.index.candidate(name)

    def _is_satisfied(self, group: Alternatives) -> bool:
        return any(
            one.satisfies(relation)
            for relation in group
            for one in self.providers.get(relation.name, ())
        )

    def _is_installable(self, stanza: PackageStanza) -> bool:
        """Tell whether a package conflicts with no other, and its dependencies exist."""
        if stanza.name in self.selected or stanza.name in self.rejected:
            return False
        for group in stanza.depends:
            if not self._is_satisfied(group) and not self._has_provider(group):
                self.reasons.append(self._unmet_dependency(stanza, group))
                return False
        return self._has_no_conflict(stanza)

    def _has_provider(self, group: Alternatives) -> bool:
        return any(True for relation in group for _ in self._providers(relation))

    def _has_no_conflict(self, stanza: PackageStanza) -> bool:
        rivals = [*self._rivals_of(stanza)]
        for other in rivals:
            self.reasons.append(f" {stanza.name} conflicts with {other.name}")
        self.rivals |= {other.name for other in rivals}
        return not rivals

    def _rivals_of(self, stanza: PackageStanza) -> Iterator[PackageStanza]:
        for relation in stanza.conflicts:
            for other in self.providers.get(relation.name, ()):
                if self._conflicts(stanza, relation, other):
                    yield other
        names = {stanza.name, *stanza.provides}
        for other in self.selected.values():
            for relation in other.conflicts:
                if relation.name in names and self._conflicts(other, relation, stanza):
                    yield other

    def _conflicts(self, one: PackageStanza, relation: Relation, other: PackageStanza) -> bool:
        """Tell whether a relation of one package excludes another, which is not excluded yet."""
        is_excluded = other.name in self.excluded
        return one.name != other.name and not is_excluded and other.satisfies(relation)

    def _select(self, stanza: PackageStanza) -> None:
        self.selected[stanza.name] = stanza
        self._add_provider(stanza)

    def _add_provider(self, stanza: PackageStanza) -> None:
        for name in _provided_names(stanza):
            self.providers.setdefault(name, []).append(stanza)

    def _backtrack(self, count: int) -> None:
        """Keep only the first `count` selected packages."""
        for name in [*self.selected][count:]:
            stanza = self.selected.pop(name)
            for provided in _provided_names(stanza):
                self.providers[provided].remove(stanza)

    def _record_reason(self, frame: _Frame) -> None:
        self.reasons.append(self._unmet_dependency(frame.stanza, frame.group))

    def _unmet_dependency(self, stanza: PackageStanza, group: Sequence[Relation]) -> str:
        text = f" {stanza.name} {stanza.package.version} : depends on {_relations_text(group)}"
        versions = [
            f"{one.name} is {one.package.version}"
            for relation in group
            if (one := self._candidate(relation.name)) is not None and not one.satisfies(relation)
        ]
        if versions:
            return f"{text}, but {', '.join(versions)}"
        if any(relation.name in self.index for relation in group):
            return f"{text}, which is not installable with the others"
        return f"{text}, which does not exist"


def _rank(name: str, stanza: PackageStanza) -> tuple[bool, bool, int]:
    """Return the sort key of a package among those that provide a name."""
    return stanza.name != name, not stanza.essential, stanza.importance


def _provided_names(stanza: PackageStanza) -> Iterable[str]:
    return dict.fromkeys((stanza.name, *stanza.provides))


def _relations_text(group: Sequence[Relation]) -> str:
    return " | ".join(str(relation) for relation in group)
