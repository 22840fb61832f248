"""The names of packages: git's tree hash, the tag with it, and the full reference.

The same sources have the same name everywhere. The rules are LinuxKit's, so both tools give a
package the same name, if it is in git. Elsewhere the hash is that of the files' contents.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assembler.codes import packages
from assembler.config import DEFAULT_TAG
from assembler.diagnostics import Severity
from assembler.errors import ImageError, PackageError
from assembler.oci import Reference
from assembler.packages.checked_out import CheckedOutDirectory
from assembler.packages.directory_tree import hash_directory
from assembler.packages.git import WorkTree
from assembler.packages.gotemplate import TemplateError, expand, unknown_fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.config import Package
    from assembler.diagnostics import Diagnostic, Place

HEAD = "HEAD"
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_NO_TAG = "latest"
_DEVELOPMENT = "dev"
_SHORT_HASH = 7


@dataclass(frozen=True, slots=True)
class Naming:
    """The naming options of a call; they override build.yml."""

    org: str | None = None
    tag: str | None = None
    # Used instead of the tree hash.
    hash: str | None = None
    commit: str = HEAD
    # A parent directory whose tree is hashed instead of the package's own.
    hash_path: Path | None = None
    force_dirty: bool = False

    def for_development(self, user: str) -> Naming:
        """Return the naming for development images: `USER/IMAGE:dev`."""
        return replace(
            self,
            org=user if self.org is None else self.org,
            hash=_DEVELOPMENT if self.hash is None else self.hash,
        )


@dataclass(frozen=True, slots=True)
class PackageName:
    """The name of a package's image, and the hash in it."""

    org: str
    image: str
    tag: str
    hash: str
    dirty: bool = False
    warnings: tuple[Diagnostic, ...] = ()
    # Of the tag in build.yml.
    place: Place | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        """Return the name as Docker takes it."""
        return f"{self.org}/{self.image}:{self.tag}"

    @property
    def canonical(self) -> str:
        """Return the name with its registry."""
        first, slash, rest = str(self).partition("/")
        has_registry = slash and ("." in first or ":" in first or first == "localhost")
        return str(self) if has_registry or "/" in rest else f"docker.io/{self}"

    def as_json(self) -> dict[str, Any]:
        """Return the name for scripts."""
        return {
            "name": str(self),
            "canonical": self.canonical,
            "tag": self.tag,
            "hash": self.hash,
            "dirty": self.dirty,
        }

    def as_release(self, release: str) -> PackageName:
        """Return the name of a release; uncommitted changes are an error."""
        if self.dirty:
            raise PackageError.of(
                packages.DIRTY_RELEASE,
                f"{self.image} has uncommitted changes, so it cannot be released as {release}",
                "commit the changes, then release",
            )
        return _check_tag(replace(self, tag=release, place=None))

    def reference(self) -> Reference:
        """Return the name as a reference for the store and for registries."""
        return Reference.parse(str(_check_tag(self)))


def is_lasting(name: PackageName) -> bool:
    """Tell whether the name contains a hash, so that it always means the same content."""
    return name.hash not in ("", _DEVELOPMENT)


def derive_name(package: Package, naming: Naming) -> PackageName:
    """Return the name of the package's image."""
    build = package.build
    digest, dirty = _hash_sources(package, naming)
    template = naming.tag if naming.tag is not None else build.tag
    if CheckedOutDirectory.find(package.directory) is not None:
        # Else a foreign repository could give its image the name of another.
        template = DEFAULT_TAG
    place = None if naming.tag is not None else build.positions.place_of("tag")
    fields = {"Hash": digest}
    try:
        tag = expand(template, fields)
        unknown = unknown_fields(template, fields)
    except TemplateError as error:
        raise PackageError.of(
            packages.BAD_TAG_TEMPLATE,
            f"invalid tag template {template!r} of package {build.image}: {error}",
            "use {{.Hash}} for the hash of the package",
            place=place,
        ) from error
    org = build.org if naming.org is None else naming.org
    name = PackageName(org, build.image, tag or _NO_TAG, digest, dirty, place=place)
    return replace(name, warnings=_name_warnings(name, unknown, package, place))


def _name_warnings(
    name: PackageName, unknown: tuple[str, ...], package: Package, place: Place | None
) -> tuple[Diagnostic, ...]:
    """Return warnings about a name that no image can have."""
    hints = tuple(f"unknown field {field}; the only field is {{{{.Hash}}}}" for field in unknown)
    try:
        name.reference()
    except PackageError as error:
        found, where = error.diagnostics[0], place
    except ImageError as error:
        found, where = error.diagnostics[0], package.build.positions.place_of("image")
        found = replace(found, code=packages.BAD_NAME)
    else:
        return ()
    return (replace(found, place=where, hints=hints, severity=Severity.WARNING),)


def _check_tag(name: PackageName) -> PackageName:
    if not _TAG.fullmatch(name.tag):
        raise PackageError.of(
            packages.BAD_TAG,
            f"invalid tag {name.tag!r} of package {name.image}: no registry accepts it",
            place=name.place,
        )
    return name


def _hash_sources(package: Package, naming: Naming) -> tuple[str, bool]:
    """Return the hash, and whether the package has uncommitted changes."""
    base = _hashed_directory(package, naming)
    if CheckedOutDirectory.find(base) is not None:
        return _hash_checked_out(package, base, naming), False
    work_tree = WorkTree.find(base)
    if work_tree is None:
        return _hash_uncommitted(package, base, None, naming)
    try:
        return _hash_committed(package, work_tree, naming)
    except PackageError:
        if naming.commit != HEAD or work_tree.has_commit():
            raise
    return _hash_uncommitted(package, base, work_tree, naming)


def _hash_committed(package: Package, work_tree: WorkTree, naming: Naming) -> tuple[str, bool]:
    """Return the hash of a package from its commit."""
    sources = [_source_hash(package, i, naming) for i in range(len(package.build.extra_sources))]
    if naming.hash is not None:
        return naming.hash, False
    tree = work_tree.tree_hash(naming.commit)
    if tree is None:
        raise PackageError.of(
            packages.NOT_COMMITTED,
            f"the package {package.directory} is not committed"
            + ("" if naming.commit == HEAD else f" at {naming.commit}"),
            f"git add {package.directory}; git commit",
        )
    tree = _join_hashes(tree, sources)
    if not (naming.force_dirty or (naming.commit == HEAD and work_tree.is_dirty())):
        return tree, False
    content = WorkTree(package.directory, "").content_hash()
    return f"{tree}-dirty-{content[:_SHORT_HASH]}", True


def _hash_uncommitted(
    package: Package, base: Path, work_tree: WorkTree | None, naming: Naming
) -> tuple[str, bool]:
    """Return the hash of a package that no commit has, from the contents of its files."""
    sources = [_source_directory(package, i) for i in range(len(package.build.extra_sources))]
    if naming.hash is not None:
        return naming.hash, False
    found = [_uncommitted_tree(base, work_tree)]
    found += [_uncommitted_tree(source, WorkTree.find(source)) for source in sources]
    tree = _join_hashes(found[0], found[1:])
    if naming.force_dirty:
        return f"{tree}-dirty-{tree[:_SHORT_HASH]}", True
    return tree, False


def _hash_checked_out(package: Package, base: Path, naming: Naming) -> str:
    """Return the hash of a package of a checkout: that of its commit."""
    if naming.hash is not None:
        return naming.hash
    sources = [_source_directory(package, i) for i in range(len(package.build.extra_sources))]
    found = [CheckedOutDirectory.find(directory) for directory in (base, *sources)]
    hashes = [directory.tree_hash() for directory in found if directory is not None]
    return _join_hashes(hashes[0], hashes[1:])


def _uncommitted_tree(directory: Path, work_tree: WorkTree | None) -> str:
    return hash_directory(directory) if work_tree is None else work_tree.uncommitted_tree_hash()


def _join_hashes(tree: str, sources: Sequence[str]) -> str:
    """Return the hash of a package and its extra sources."""
    if not sources:
        return tree
    text = "".join([tree, *sources])
    return hashlib.sha1(text.encode("ascii"), usedforsecurity=False).hexdigest()


def _hashed_directory(package: Package, naming: Naming) -> Path:
    if naming.hash_path is None:
        return package.directory
    wanted = Path(naming.hash_path).absolute().resolve()
    if not package.directory.resolve().is_relative_to(wanted):
        raise PackageError.of(
            packages.BAD_HASH_PATH,
            f"the hash path {naming.hash_path} is not a parent directory of {package.directory}",
        )
    return wanted


def _source_directory(package: Package, index: int) -> Path:
    source = package.build.extra_sources[index].source
    place = package.build.positions.place_of("extra-sources", index)
    directory = package.directory / source
    if not directory.is_dir():
        what = "is not a directory" if directory.exists() else "does not exist"
        raise PackageError.of(
            packages.BAD_SOURCE,
            f"the extra source {source} {what}",
            f"its path is {directory}",
            place=place,
        )
    return directory


def _source_hash(package: Package, index: int, naming: Naming) -> str:
    source = package.build.extra_sources[index].source
    place = package.build.positions.place_of("extra-sources", index)
    directory = _source_directory(package, index)
    work_tree = WorkTree.find(directory)
    if work_tree is None:
        raise PackageError.of(
            packages.BAD_SOURCE,
            f"the extra source {source} is not in a git repository",
            "commit it: its tree hash is part of the package's tag",
            place=place,
        )
    digest = work_tree.tree_hash(naming.commit)
    if digest is None:
        raise PackageError.of(
            packages.BAD_SOURCE,
            f"the extra source {source} is not committed",
            f"git add {directory}; git commit",
            place=place,
        )
    return digest
