"""Find packages in the Packages files of archives by name, and parse stanzas lazily.

A Packages file of Debian has 68,000 stanzas in 55 MB, which take minutes to parse in Python. So it
is reduced to the fields that the resolver needs; one pass of a regular expression finds the names
and the provided names; and only the stanzas that the resolver looks up are parsed.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from functools import cmp_to_key
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.debian.engine_protocol import PinnedPackage
from assembler.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

# Fields that the resolver does not follow are kept too: `first_mention` needs the names in them.
_FIELDS = (
    b"Package|Version|Architecture|Multi-Arch|Essential|Important|Priority|Filename|Size|SHA256|"
    b"Pre-Depends|Depends|Recommends|Suggests|Enhances|Replaces|Conflicts|Breaks|Provides"
)
_KEPT_FIELDS = re.compile(rb"^(?:" + _FIELDS + rb"):.*\n(?:[ \t].*\n)*|^\n", re.MULTILINE)
_NAME_FIELDS = re.compile(rb"^(Package|Provides): *(.*(?:\n[ \t].*)*)$", re.MULTILINE)
_PROVIDED_NAME = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9+.-]*)(?::[a-z0-9-]+)?\s*(?:\(=\s*([^)\s]+)\s*\))?"
)
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
_PRIORITIES = ("required", "important", "standard", "optional", "extra")
# The library logs each parse error; here a parse error raises an exception.
logging.getLogger("debian.deb822").addHandler(logging.NullHandler())
_CHUNK = 1 << 22
_MAX_STANZA_SIZE = 1 << 20


def reduce_index(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a Packages file with only the fields that the resolver needs."""
    rest = b""
    for chunk in chunks:
        text = rest + chunk
        end = text.rfind(b"\n\n") + 2
        if end == 1:
            if len(text) > _MAX_STANZA_SIZE + _CHUNK:
                raise ValueError("the index of packages has a stanza without end")
            rest = text
            continue
        yield b"".join(_KEPT_FIELDS.findall(text[:end]))
        rest = text[end:]
    if rest:
        yield b"".join(_KEPT_FIELDS.findall(rest.rstrip(b"\n") + b"\n\n"))


def compare_versions(one: str, other: str) -> int:
    """Compare two Debian versions: below 0 if `one` is older, 0 if they are equal."""
    from debian.debian_support import NativeVersion  # noqa: PLC0415 - for this engine only

    a, b = NativeVersion(one), NativeVersion(other)
    return (a > b) - (a < b)


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation to a package: one alternative of a dependency, or a conflict."""

    name: str
    archqual: str = ""
    operator: str = ""
    version: str = ""

    def accepts(self, version: str) -> bool:
        """Tell whether a version satisfies the relation."""
        return not self.operator or _COMPARISONS[self.operator](
            compare_versions(version, self.version)
        )

    def __str__(self) -> str:
        """Return the relation in the syntax of control files."""
        name = f"{self.name}:{self.archqual}" if self.archqual else self.name
        return f"{name} ({self.operator} {self.version})" if self.operator else name


Alternatives = tuple[Relation, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PackageStanza:
    """A package of an archive, with the fields that the resolver needs."""

    package: PinnedPackage
    priority: int
    multi_arch: str
    essential: bool
    importance: int
    depends: tuple[Alternatives, ...]
    conflicts: tuple[Relation, ...]
    # The version of each provided name, or an empty string.
    provides: Mapping[str, str]

    @property
    def name(self) -> str:
        """Return the package's name."""
        return self.package.name

    def satisfies(self, relation: Relation) -> bool:
        """Tell whether the package satisfies a relation, by its own name or a provided one."""
        if relation.archqual == "any" and self.multi_arch != "allowed":
            return False
        if relation.name == self.name:
            return relation.accepts(self.package.version)
        if relation.name not in self.provides:
            return False
        version = self.provides[relation.name]
        return not relation.operator or (bool(version) and relation.accepts(version))


@dataclass(frozen=True, slots=True)
class IndexText:
    """A reduced Packages file, and the pin priority of its archive."""

    text: bytes = field(repr=False)
    priority: int


class PackageIndex:
    """The packages of several Packages files; of equal packages, the first file's is preferred."""

    def __init__(self, sources: Sequence[IndexText], architecture: str) -> None:
        """Find the names and the provided names."""
        self._sources = sources
        self._architecture = architecture
        self._offsets: dict[str, list[tuple[int, int]]] = {}
        self._providers: dict[str, list[str]] = {}
        self._parsed: dict[str, tuple[PackageStanza, ...]] = {}
        for number, source in enumerate(sources):
            name = ""
            for match in _NAME_FIELDS.finditer(source.text):
                value = match[2].decode("utf-8", "replace")
                if match[1] == b"Package":
                    name = value.strip()
                    self._offsets.setdefault(name, []).append((number, match.start()))
                else:
                    for provided, _ in _PROVIDED_NAME.findall(value):
                        self._providers.setdefault(provided, []).append(name)

    def __contains__(self, name: str) -> bool:
        """Tell whether an archive has a package of this name."""
        return name in self._offsets

    def versions(self, name: str) -> tuple[PackageStanza, ...]:
        """Return all versions of a package, the candidate first."""
        if name not in self._parsed:
            stanzas = [self._stanza(*offset) for offset in self._offsets.get(name, ())]
            installable = [
                s for s in stanzas if s.package.architecture in (self._architecture, "all")
            ]
            self._parsed[name] = tuple(sorted(installable, key=cmp_to_key(_compare_preference)))
        return self._parsed[name]

    def candidate(self, name: str) -> PackageStanza | None:
        """Return the version of a package that is installed by default."""
        versions = self.versions(name)
        return versions[0] if versions else None

    def providers(self, name: str) -> tuple[str, ...]:
        """Return the packages that provide a name."""
        return tuple(dict.fromkeys(self._providers.get(name, ())))

    def first_mention(self, name: str) -> tuple[int, int]:
        """Return the file and the offset of the first mention of a package in any stanza."""
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
                packages.NO_MIRROR, f"the package index has a malformed entry for {name}: {error}"
            ) from error


def _compare_preference(one: PackageStanza, other: PackageStanza) -> int:
    """Compare two versions of a package, so that the candidate sorts first."""
    return (other.priority - one.priority) or compare_versions(
        other.package.version, one.package.version
    )


def _parse_stanza(fields: Mapping[str, str], name: str, priority: int) -> PackageStanza:
    size, sha256, path = int(fields["Size"]), fields["SHA256"], fields["Filename"]
    path = path.removeprefix("./")
    if not _SHA256.fullmatch(sha256) or not _PATH.fullmatch(path) or ".." in path.split("/"):
        raise ValueError("the field Filename or SHA256 is invalid")
    importance = fields.get("Priority", "")
    depends = (
        *_parse_relations(fields.get("Pre-Depends", "")),
        *_parse_relations(fields.get("Depends", "")),
    )
    conflicts = (
        relation
        for key in ("Conflicts", "Breaks")
        for alternatives in _parse_relations(fields.get(key, ""))
        for relation in alternatives
    )
    return PackageStanza(
        PinnedPackage(name, fields["Version"], fields["Architecture"], path, size, sha256),
        priority,
        multi_arch=fields.get("Multi-Arch", "no"),
        essential=fields.get("Essential", "no") == "yes",
        importance=(
            _PRIORITIES.index(importance) if importance in _PRIORITIES else len(_PRIORITIES)
        ),
        depends=depends,
        conflicts=tuple(conflicts),
        provides=dict(_PROVIDED_NAME.findall(fields.get("Provides", ""))),
    )


def _parse_relations(text: str) -> Iterator[Alternatives]:
    from debian.deb822 import PkgRelation  # noqa: PLC0415 - 46 ms, for this engine only

    text = text.strip(" ,\n")
    for alternatives in PkgRelation.parse_relations(text) if text else ():
        yield tuple(
            _parse_relation(relation["name"], relation["archqual"], relation["version"])
            for relation in alternatives
        )


def _parse_relation(name: str, archqual: str | None, version: tuple[str, str] | None) -> Relation:
    operator, operand = version or ("", "")
    if not _NAME.fullmatch(name) or (version and operator not in _COMPARISONS):
        raise ValueError(f"not a relation of packages: {name[:80]!r} {operator}")
    return Relation(name, archqual or "", operator, operand)
