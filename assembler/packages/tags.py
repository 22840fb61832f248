"""The names of packages: a hash of what is in git, a tag made of it, and the full reference.

The hash is that of the package's tree in a commit, so the same sources have the same name
everywhere. The rules are LinuxKit's, so that both call a package by the same name.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.diagnostics import Severity
from assembler.errors import ImageError, PackageError
from assembler.oci import Reference
from assembler.packages.git import WorkTree
from assembler.packages.gotemplate import TemplateError, expand, unknown_fields

if TYPE_CHECKING:
    from assembler.config.package_model import Package
    from assembler.diagnostics import Diagnostic, Place

HEAD = "HEAD"
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_NO_TAG = "latest"
_DEVELOPMENT = "dev"
_SHORT = 7


@dataclass(frozen=True, slots=True)
class Naming:
    """What is asked of the names of packages, beyond what their build.yml says."""

    org: str | None = None
    tag: str | None = None
    # Given instead of looked up.
    hash: str | None = None
    commit: str = HEAD
    # A parent directory whose tree is hashed instead of the package's own.
    hash_path: Path | None = None
    force_dirty: bool = False

    def for_development(self, user: str) -> Naming:
        """Return the naming for images that are only tried out: `USER/image:dev`."""
        return replace(
            self,
            org=user if self.org is None else self.org,
            hash=_DEVELOPMENT if self.hash is None else self.hash,
        )


@dataclass(frozen=True, slots=True)
class PackageName:
    """What a package is called, and what the name was made of."""

    org: str
    image: str
    tag: str
    hash: str
    dirty: bool = False
    warnings: tuple[Diagnostic, ...] = ()

    def __str__(self) -> str:
        """Return the name as `docker` would be given it."""
        return f"{self.org}/{self.image}:{self.tag}"

    @property
    def canonical(self) -> str:
        """Return the name with its registry."""
        first, slash, rest = str(self).partition("/")
        has_registry = slash and ("." in first or ":" in first or first == "localhost")
        return str(self) if has_registry or "/" in rest else f"docker.io/{self}"

    def of_arch(self, architecture: str) -> PackageName:
        """Return the name of the image for one architecture alone."""
        return replace(self, tag=f"{self.tag}-{architecture}")

    def released(self, release: str) -> PackageName:
        """Return the name of a release; what is not committed cannot be one."""
        if self.dirty:
            raise PackageError.of(
                packages.DIRTY_RELEASE,
                f"{self.image} has changes that are not committed, so it cannot be released as "
                f"{release}",
                "commit the changes, then release",
            )
        return _checked(replace(self, tag=release))

    def reference(self) -> Reference:
        """Return the name as a reference for the store and for registries."""
        return Reference.parse(str(_checked(self)))


def is_lasting(name: PackageName) -> bool:
    """Tell whether the name stands for one content, so that an image of that name can be kept."""
    return name.hash not in ("", _DEVELOPMENT)


def name_of(package: Package, naming: Naming) -> PackageName:
    """Return what the package is called."""
    build = package.build
    digest, dirty = _hash(package, naming)
    template = naming.tag if naming.tag is not None else build.tag
    place = None if naming.tag is not None else build.positions.place_of("tag")
    fields = {"Hash": digest}
    try:
        tag = expand(template, fields)
        unknown = unknown_fields(template, fields)
    except TemplateError as error:
        raise PackageError.of(
            packages.BAD_TAG_TEMPLATE,
            f"the tag {template!r} of package {build.image} is not understood: {error}",
            "write {{.Hash}} where the hash of the package should be",
            place=place,
        ) from error
    org = build.org if naming.org is None else naming.org
    name = PackageName(org, build.image, tag or _NO_TAG, digest, dirty)
    return replace(name, warnings=_doubts(name, unknown, package, place))


def _doubts(
    name: PackageName, unknown: tuple[str, ...], package: Package, place: Place | None
) -> tuple[Diagnostic, ...]:
    """Return what keeps the name from being one that an image can have, as warnings."""
    hints = tuple(f"there is no field {field}; the hash is {{{{.Hash}}}}" for field in unknown)
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


def _checked(name: PackageName) -> PackageName:
    if not _TAG.fullmatch(name.tag):
        raise PackageError.of(
            packages.BAD_TAG, f"no registry accepts the tag {name.tag!r} of package {name.image}"
        )
    return name


def _hash(package: Package, naming: Naming) -> tuple[str, bool]:
    """Return the hash, and whether it stands for something that is not committed."""
    base = _hashed_directory(package, naming)
    sources = [_source_hash(package, i, naming) for i in range(len(package.build.extra_sources))]
    if naming.hash is not None:
        return naming.hash, False
    work_tree = WorkTree.around(base)
    if work_tree is None:
        return "", False
    tree = work_tree.tree_hash(naming.commit)
    if tree is None:
        raise PackageError.of(
            packages.NOT_COMMITTED,
            f"the package {package.directory} is not in git"
            + ("" if naming.commit == HEAD else f" at {naming.commit}"),
            f"git add {package.directory}; git commit",
        )
    if sources:
        text = "".join([tree, *sources])
        tree = hashlib.sha1(text.encode("ascii"), usedforsecurity=False).hexdigest()
    if not (naming.force_dirty or (naming.commit == HEAD and work_tree.is_dirty())):
        return tree, False
    content = WorkTree(package.directory, "").content_hash()
    return f"{tree}-dirty-{content[:_SHORT]}", True


def _hashed_directory(package: Package, naming: Naming) -> Path:
    if naming.hash_path is None:
        return package.directory
    wanted = Path(naming.hash_path).absolute().resolve()
    if not package.directory.resolve().is_relative_to(wanted):
        raise PackageError.of(
            packages.BAD_HASH_PATH,
            f"the hash path {naming.hash_path} is not a parent of the package {package.directory}",
        )
    return wanted


def _source_hash(package: Package, index: int, naming: Naming) -> str:
    source = package.build.extra_sources[index].source
    place = package.build.positions.place_of("extra-sources", index)
    directory = package.directory / source
    if not directory.is_dir():
        what = "is not a directory" if directory.exists() else "does not exist"
        raise PackageError.of(
            packages.BAD_SOURCE,
            f"the extra source {source} {what}",
            f"it is looked for at {directory}",
            place=place,
        )
    work_tree = WorkTree.around(directory)
    if work_tree is None:
        raise PackageError.of(
            packages.BAD_SOURCE,
            f"the extra source {source} is not in a git repository",
            "its tree hash is part of the package's tag, so it has to be committed",
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
