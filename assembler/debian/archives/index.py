"""The packages of archives, by name: their indexes reduced to what choosing needs, read lazily.

An index of Debian's has 68,000 stanzas in 55 MB. Parsing all of it takes minutes in Python, so what
is kept is one text with the fields that matter; names and what packages provide are found in it by
one pass of a regular expression, and only stanzas that somebody asks for are parsed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cmp_to_key

from assembler.codes import packages
from assembler.debian.engine import PinnedPackage
from assembler.errors import PackageError

# Relations that are not followed are kept for their names: what is mentioned first comes first.
_FIELDS = (
    b"Package|Version|Architecture|Multi-Arch|Essential|Important|Priority|Filename|Size|SHA256|"
    b"Pre-Depends|Depends|Recommends|Suggests|Enhances|Replaces|Conflicts|Breaks|Provides"
)
_KEPT = re.compile(rb"^(?:" + _FIELDS + rb"):.*\n(?:[ \t].*\n)*|^\n", re.MULTILINE)
_HEADS = re.compile(rb"^(Package|Provides): *(.*(?:\n[ \t].*)*)$", re.MULTILINE)
_PROVIDED = re.compile(r"([A-Za-z0-9][A-Za-z0-9+.-]*)(?::[a-z0-9-]+)?\s*(?:\(=\s*([^)\s]+)\s*\))?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.-]*")
_COMPARISONS: Mapping[str, Callable[[int], bool]] = {
    "<<": lambda order: order < 0,
    "<": lambda order: order <= 0,
    "<=": lambda order: order <= 0,
    "=": lambda order: order == 0,
    ">=": lambda order: order >= 0,
    ">": lambda order: order >= 0,
    ">>": lambda order: order > 0,
}
_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+:~_/-]*\.deb")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_IMPORTANCE = ("required", "important", "standard", "optional", "extra")
# The library says where it cannot read something; here that is an error, which says it better.
logging.getLogger("debian.deb822").addHandler(logging.NullHandler())
_CHUNK = 1 << 22
_MAX_STANZA_SIZE = 1 << 20


def reduce_index(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield of an index what choosing among packages needs."""
    rest = b""
    for chunk in chunks:
        text = rest + chunk
        whole = text.rfind(b"\n\n") + 2
        if whole == 1:
            if len(text) > _MAX_STANZA_SIZE + _CHUNK:
                raise ValueError("the index of packages has a stanza without end")
            rest = text
            continue
        yield b"".join(_KEPT.findall(text[:whole]))
        rest = text[whole:]
    if rest:
        yield b"".join(_KEPT.findall(rest.rstrip(b"\n") + b"\n\n"))


def compare_versions(one: str, other: str) -> int:
    """Compare two versions as Debian orders them: less than 0 if `one` is older, 0 if the same."""
    from debian.debian_support import NativeVersion  # noqa: PLC0415 - for this engine only

    a, b = NativeVersion(one), NativeVersion(other)
    return (a > b) - (a < b)


@dataclass(frozen=True, slots=True)
class Relation:
    """One alternative of a dependency, or a package that another does not go with."""

    name: str
    qualifier: str = ""
    sign: str = ""
    version: str = ""

    def accepts(self, version: str) -> bool:
        """Tell whether a version is one that is meant."""
        return not self.sign or _COMPARISONS[self.sign](compare_versions(version, self.version))

    def __str__(self) -> str:
        """Return it as it is written."""
        name = f"{self.name}:{self.qualifier}" if self.qualifier else self.name
        return f"{name} ({self.sign} {self.version})" if self.sign else name


Alternatives = tuple[Relation, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PackageStanza:
    """A package of an archive, as far as choosing needs it."""

    chosen: PinnedPackage
    priority: int
    multi_arch: str
    essential: bool
    importance: int
    depends: tuple[Alternatives, ...]
    conflicts: tuple[Relation, ...]
    # Each name with its version, or nothing.
    provides: Mapping[str, str]

    @property
    def name(self) -> str:
        """Return the package's name."""
        return self.chosen.name

    def satisfies(self, relation: Relation) -> bool:
        """Tell whether the package is what a relation means, by its own name or a provided one."""
        if relation.qualifier == "any" and self.multi_arch != "allowed":
            return False
        if relation.name == self.name:
            return relation.accepts(self.chosen.version)
        if relation.name not in self.provides:
            return False
        version = self.provides[relation.name]
        return not relation.sign or (bool(version) and relation.accepts(version))


@dataclass(frozen=True, slots=True)
class IndexText:
    """An index, and how much its packages count."""

    text: bytes = field(repr=False)
    priority: int


class PackageIndex:
    """All packages of several indexes; the earlier one goes first where all else is the same."""

    def __init__(self, sources: Sequence[IndexText], architecture: str) -> None:
        """Find the names in the indexes."""
        self._sources = sources
        self._architecture = architecture
        self._places: dict[str, list[tuple[int, int]]] = {}
        self._providers: dict[str, list[str]] = {}
        self._parsed: dict[str, tuple[PackageStanza, ...]] = {}
        for number, source in enumerate(sources):
            name = ""
            for match in _HEADS.finditer(source.text):
                value = match[2].decode("utf-8", "replace")
                if match[1] == b"Package":
                    name = value.strip()
                    self._places.setdefault(name, []).append((number, match.start()))
                else:
                    for provided, _ in _PROVIDED.findall(value):
                        self._providers.setdefault(provided, []).append(name)

    def __contains__(self, name: str) -> bool:
        """Tell whether an archive has a package of that name."""
        return name in self._places

    def all_of(self, name: str) -> tuple[PackageStanza, ...]:
        """Return every version of a package, the one to be taken first."""
        if name not in self._parsed:
            found = [self._stanza(*place) for place in self._places.get(name, ())]
            mine = [s for s in found if s.chosen.architecture in (self._architecture, "all")]
            self._parsed[name] = tuple(sorted(mine, key=cmp_to_key(_compare_preference)))
        return self._parsed[name]

    def candidate(self, name: str) -> PackageStanza | None:
        """Return the version of a package that is taken if nothing else is asked for."""
        found = self.all_of(name)
        return found[0] if found else None

    def providers(self, name: str) -> tuple[str, ...]:
        """Return the packages that say they provide a name."""
        return tuple(dict.fromkeys(self._providers.get(name, ())))

    def mentioned(self, name: str) -> tuple[int, int]:
        """Return where a package is first spoken of, by itself or another."""
        word = re.compile(
            rb"^(?:" + _FIELDS + rb"):(?:.*[ ,|])?" + re.escape(name.encode()) + rb"(?=[ ,:(]|$)",
            re.MULTILINE,
        )
        for number, source in enumerate(self._sources):
            match = word.search(source.text)
            if match:
                return number, match.end()
        return len(self._sources), 0

    def _stanza(self, number: int, start: int) -> PackageStanza:
        from debian.deb822 import Deb822  # noqa: PLC0415 - 46 ms, for this engine only

        source = self._sources[number]
        end = source.text.find(b"\n\n", start)
        fields = Deb822(source.text[start : end if end >= 0 else None].decode("utf-8", "replace"))
        name = fields.get("Package", "")
        try:
            return _parse_stanza(fields, name, source.priority)
        except (KeyError, ValueError) as error:
            raise PackageError.of(
                packages.NO_MIRROR, f"the archive's entry of {name} is broken: {error}"
            ) from error


def _compare_preference(one: PackageStanza, other: PackageStanza) -> int:
    """Compare two versions of a package: the one to be taken is the lesser."""
    return (other.priority - one.priority) or compare_versions(
        other.chosen.version, one.chosen.version
    )


def _parse_stanza(fields: Mapping[str, str], name: str, priority: int) -> PackageStanza:
    size, sha256, path = int(fields["Size"]), fields["SHA256"], fields["Filename"]
    path = path.removeprefix("./")
    if not _SHA256.fullmatch(sha256) or not _PATH.fullmatch(path) or ".." in path.split("/"):
        raise ValueError("its file or its sha256 is not named as it should be")
    importance = fields.get("Priority", "")
    depends = (
        *_parse_relations(fields.get("Pre-Depends", "")),
        *_parse_relations(fields.get("Depends", "")),
    )
    conflicts = (
        one
        for key in ("Conflicts", "Breaks")
        for group in _parse_relations(fields.get(key, ""))
        for one in group
    )
    return PackageStanza(
        PinnedPackage(name, fields["Version"], fields["Architecture"], path, size, sha256),
        priority,
        multi_arch=fields.get("Multi-Arch", "no"),
        essential=fields.get("Essential", "no") == "yes",
        importance=(
            _IMPORTANCE.index(importance) if importance in _IMPORTANCE else len(_IMPORTANCE)
        ),
        depends=depends,
        conflicts=tuple(conflicts),
        provides=dict(_PROVIDED.findall(fields.get("Provides", ""))),
    )


def _parse_relations(text: str) -> Iterator[Alternatives]:
    from debian.deb822 import PkgRelation  # noqa: PLC0415 - 46 ms, for this engine only

    text = text.strip(" ,\n")
    for group in PkgRelation.parse_relations(text) if text else ():
        yield tuple(_parse_relation(one["name"], one["archqual"], one["version"]) for one in group)


def _parse_relation(name: str, qualifier: str | None, version: tuple[str, str] | None) -> Relation:
    sign, wanted = version or ("", "")
    if not _NAME.fullmatch(name) or (version and sign not in _COMPARISONS):
        raise ValueError(f"not a relation of packages: {name[:80]!r} {sign}")
    return Relation(name, qualifier or "", sign, wanted)
