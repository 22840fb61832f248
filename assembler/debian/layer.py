"""From Debian packages to the tar of one layer, streamed, the same bytes for the same recipe.

Packages are laid over each other as dpkg would: directories are shared, links to directories are
followed, and a file that two packages have belongs to the one that replaces the other. What
maintainer scripts would have made, and is needed, is made here: the CA bundle, passwd and group.
"""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from assembler.codes import packages
from assembler.config.package_model import DebsRecipe, RecipeFile
from assembler.debian.accounts import GROUPS_LIST, USERS_LIST, accounts
from assembler.debian.archive import Deb, opened
from assembler.debian.control import Control, parse_control
from assembler.debian.patterns import matcher
from assembler.debian.tar_headers import END, file_chunks, header, padding
from assembler.debian.tarball import Kind, TarEntry, normal
from assembler.errors import PackageError, wrap_os_errors

_CA_DIRECTORY = "usr/share/ca-certificates/"
_CA_BUNDLE = "etc/ssl/certs/ca-certificates.crt"
_STATUS = "var/lib/dpkg/status.d/"
_COPYRIGHT = matcher(["/usr/share/doc/*/copyright"])
_DOCUMENTATION = "usr/share/doc/"
_LARGEST_KEPT = 16 << 20
_MOST_LINKS = 40
# Architectures whose loader is in /lib64.
_LIB64 = frozenset({"amd64", "ppc64el", "mips64el", "loong64"})


@dataclass(frozen=True, slots=True)
class Ingredient:
    """A package file and what its control file says."""

    path: Path
    control: Control
    time: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that a layer is made of."""

    debs: DebsRecipe
    architecture: str
    ingredients: tuple[Ingredient, ...]
    # Where the sources of `files:` are.
    directory: Path = field(default_factory=Path)

    @property
    def time(self) -> int:
        """Return the time of what is made here: that of the newest package."""
        return max((i.time for i in self.ingredients), default=0)


def ingredients(paths: Sequence[Path]) -> tuple[Ingredient, ...]:
    """Read the control files of packages; those that replace others come first, then by name."""
    found = []
    for path in paths:
        with opened(path) as deb:
            found.append(Ingredient(path, parse_control(deb.control()), deb.time))
    return _replacers_first(sorted(found, key=lambda i: (i.control.name, i.control.version)))


def layer(recipe: Recipe) -> Iterator[bytes | memoryview]:
    """Yield the tar of the layer, in bounded memory."""
    root = _Root(recipe)
    if recipe.ingredients:
        yield from root.merged_directories()
    for ingredient in recipe.ingredients:
        with opened(ingredient.path) as deb:
            yield from root.package(ingredient, deb)
    yield from root.generated()
    yield END


def database(recipe: Recipe) -> Iterator[bytes | memoryview]:
    """Yield the package database and the copyright files alone, as scanners want them."""
    root = _Root(recipe)
    for ingredient in recipe.ingredients:
        with opened(ingredient.path) as deb:
            tarball = deb.data()
            for entry in tarball:
                if entry.is_file and _COPYRIGHT(entry.path) and entry.path not in root.written:
                    content = _bounded(tarball.content(), entry)
                    yield from root.content(entry, content)
        yield from root.database(ingredient.control)


def _replacers_first(found: Sequence[Ingredient]) -> tuple[Ingredient, ...]:
    left = list(found)
    order: list[Ingredient] = []
    while left:
        for one in left:
            rivals = (o for o in left if o is not one and one.control.name in o.control.replaces)
            # Two that replace each other: the first by name.
            if all(r.control.name in one.control.replaces for r in rivals):
                break
        else:
            one = left[0]
        left.remove(one)
        order.append(one)
    return tuple(order)


@dataclass(slots=True)
class _Root:
    """The root filesystem as far as it is written."""

    recipe: Recipe
    # Every path that is written, with its kind and the package it is of.
    written: dict[str, tuple[Kind, str]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    # Contents that something is made of.
    kept: dict[str, bytes] = field(default_factory=dict)
    dropped: set[str] = field(default_factory=set)

    def merged_directories(self) -> Iterator[bytes]:
        """Write /bin and its like as the links they are in Debian."""
        names = ["bin", "lib", "sbin"]
        if self.recipe.architecture in _LIB64:
            names.insert(2, "lib64")
        for name in ("usr", *(f"usr/{n}" for n in names)):
            yield from self._put(self._made(name, Kind.DIR, 0o755))
        for name in names:
            yield from self._put(self._made(name, Kind.SYMLINK, 0o777, target=f"usr/{name}"))

    def package(self, ingredient: Ingredient, deb: Deb) -> Iterator[bytes | memoryview]:
        """Write the files of a package, and its entry in the package database."""
        name = ingredient.control.name
        drops = matcher(self.recipe.debs.drop)
        reserved = {*self.recipe.debs.links, *(f.path for f in self.recipe.debs.files)}
        tarball = deb.data()
        for found in tarball:
            if not found.path:
                continue
            entry = replace(found, path=self._followed(found.path))
            if self._interesting(entry):
                self.kept[entry.path] = _bounded(tarball.content(), entry)
            if entry.path in reserved or self._there(entry, ingredient.control):
                continue
            if drops(entry.path) and not _is_copyright(entry):
                self.dropped.add(entry.path)
                continue
            if entry.kind is Kind.HARDLINK:
                yield from self._hard_link(entry, ingredient, name)
                continue
            yield from self._put(entry, name)
            if entry.is_file:
                if entry.path in self.kept:
                    yield self.kept[entry.path]
                else:
                    yield from tarball.content()
                yield padding(entry.size)
        yield from self.database(ingredient.control)

    def generated(self) -> Iterator[bytes]:
        """Write what scripts would have made, and what the recipe adds."""
        debs = self.recipe.debs
        own = {*debs.links, *(f.path for f in debs.files)}
        made = accounts(debs.users, self.kept)
        certificates = sorted(p for p in self.kept if p.startswith(_CA_DIRECTORY))
        if certificates:
            bundle = b"".join(self.kept[p].rstrip(b"\n") + b"\n" for p in certificates)
            made[_CA_BUNDLE] = bundle
        for path, content in sorted(made.items()):
            if path not in own and path not in self.written:
                yield from self._file(path, content)
        for path, target in sorted(debs.links.items()):
            self._free(path)
            yield from self._put(self._made(path, Kind.SYMLINK, 0o777, target=target))
        for file in debs.files:
            yield from self._recipe_file(file)

    def database(self, control: Control) -> Iterator[bytes]:
        path = f"{_STATUS}{control.name}"
        yield from self._file(path, control.text.encode())
        if control.md5sums:
            yield from self._file(f"{path}.md5sums", control.md5sums)

    def _recipe_file(self, file: RecipeFile) -> Iterator[bytes]:
        self._free(file.path, directory=file.directory)
        made = self._made(file.path, Kind.FILE, file.mode if file.mode is not None else 0o644)
        made = replace(made, uid=file.uid, gid=file.gid)
        if file.directory:
            mode = file.mode if file.mode is not None else 0o755
            yield from self._put(replace(made, kind=Kind.DIR, mode=mode))
        elif file.contents is not None:
            yield from self.content(made, file.contents.encode())
        else:
            yield from self._copied(file, made, self._source(file))

    def _source(self, file: RecipeFile) -> Path:
        """Return the source of a file, which is inside the package, links included."""
        base = self.recipe.directory.resolve()
        # What is compiled has a directory for each architecture.
        path = base / (file.source or "").replace("{arch}", self.recipe.architecture)
        if not path.resolve().is_relative_to(base):
            raise PackageError.of(
                packages.BAD_RECIPE, f"{file.source} leads out of the package by a link"
            )
        if not path.is_file() and not path.is_dir():
            raise PackageError.of(
                packages.BAD_RECIPE, f"the package has no {file.source}, which is to be {file.path}"
            )
        return path

    def _copied(self, file: RecipeFile, made: TarEntry, source: Path) -> Iterator[bytes]:
        """Copy a file, or a directory with everything in it."""
        with wrap_os_errors(source, "read"):
            kind = source.lstat().st_mode if made.path != file.path else source.stat().st_mode
            if stat.S_ISLNK(kind):
                target = str(source.readlink())
                yield from self._put(replace(made, kind=Kind.SYMLINK, mode=0o777, target=target))
            elif stat.S_ISDIR(kind):
                if made.path not in self.written:
                    yield from self._put(replace(made, kind=Kind.DIR, mode=0o755))
                for inner in sorted(source.iterdir()):
                    below = replace(made, path=f"{made.path}/{inner.name}")
                    yield from self._copied(file, below, inner)
            elif stat.S_ISREG(kind):
                # Git keeps no more of a mode than this, and the umask has no say.
                own = 0o755 if kind & stat.S_IXUSR else 0o644
                mode = file.mode if file.mode is not None else own
                yield from self.content(replace(made, mode=mode), source.read_bytes())

    def _free(self, path: str, *, directory: bool = False) -> None:
        """Make sure that nothing is at a path of the recipe's own."""
        there = self.written.get(path)
        if there is not None and not (directory and there[0] is Kind.DIR):
            raise PackageError.of(
                packages.BAD_RECIPE,
                f"/{path} is there already" + (f", of {there[1]}" if there[1] else ""),
            )

    def _made(self, path: str, kind: Kind, mode: int, target: str = "") -> TarEntry:
        return TarEntry(path, kind, mode, mtime=self.recipe.time, target=target)

    def _file(self, path: str, content: bytes) -> Iterator[bytes]:
        yield from self.content(self._made(path, Kind.FILE, 0o644), content)

    def content(self, entry: TarEntry, content: bytes) -> Iterator[bytes]:
        """Write a file whose content is in memory."""
        whole = replace(entry, size=len(content))
        yield from self._parents(whole)
        self.written[whole.path] = (Kind.FILE, "")
        yield from file_chunks(whole, content)

    def _put(self, entry: TarEntry, package: str = "") -> Iterator[bytes]:
        """Write the header of an entry, missing directories before it."""
        yield from self._parents(entry)
        self.written[entry.path] = (entry.kind, package)
        if entry.kind is Kind.SYMLINK:
            self.links[entry.path] = entry.target
        yield header(entry)

    def _parents(self, entry: TarEntry) -> Iterator[bytes]:
        parts = entry.path.split("/")
        for i in range(1, len(parts)):
            above = "/".join(parts[:i])
            if above not in self.written:
                self.written[above] = (Kind.DIR, "")
                yield header(TarEntry(above, Kind.DIR, 0o755, mtime=entry.mtime))
            elif self.written[above][0] not in (Kind.DIR, Kind.SYMLINK):
                raise PackageError.of(
                    packages.FILE_CONFLICT,
                    f"/{entry.path} cannot be, because /{above} is not a directory",
                )

    def _hard_link(
        self, entry: TarEntry, ingredient: Ingredient, name: str
    ) -> Iterator[bytes | memoryview]:
        target = self._followed(entry.target)
        if self.written.get(target) == (Kind.FILE, name):
            yield from self._put(replace(entry, target=target), name)
            return
        # Its target is not in the image: the content is looked for a second time.
        with opened(ingredient.path) as again:
            tarball = again.data()
            for other in tarball:
                if other.path == entry.target and other.is_file:
                    yield from self._put(replace(other, path=entry.path), name)
                    yield from tarball.content()
                    yield padding(other.size)
                    return
        raise ValueError(f"the hard link {entry.path!r} leads nowhere")

    def _there(self, entry: TarEntry, control: Control) -> bool:
        """Tell whether the path is written already, as it may be; else it is a conflict."""
        there = self.written.get(entry.path)
        if there is None:
            return False
        kind, owner = there
        # As dpkg: a directory and a link to one are the same for those who come later.
        if entry.kind is Kind.DIR and kind in (Kind.DIR, Kind.SYMLINK):
            return True
        if entry.kind is Kind.SYMLINK and (
            kind is Kind.DIR or self.links.get(entry.path) == entry.target
        ):
            return True
        if control.name in self._replaced_by(owner):
            return True
        raise PackageError.of(
            packages.FILE_CONFLICT,
            f"both {owner or 'the recipe'} and {control.name} have /{entry.path}",
            "leave one of the packages out, or put the path of the file into `drop`",
        )

    def _replaced_by(self, owner: str) -> frozenset[str]:
        for ingredient in self.recipe.ingredients:
            if ingredient.control.name == owner:
                return ingredient.control.replaces
        return frozenset()

    def _followed(self, path: str) -> str:
        """Return the path with all links to directories on its way followed."""
        for _ in range(_MOST_LINKS):
            parts = path.split("/")
            for i in range(1, len(parts)):
                target = self.links.get("/".join(parts[:i]))
                if target is not None:
                    base = "/" if target.startswith("/") else "/" + "/".join(parts[: i - 1])
                    landed = posixpath.normpath(posixpath.join(base, target))
                    path = normal("/".join([landed, *parts[i:]]))
                    break
            else:
                return path
        raise ValueError(f"links lead in a circle: {path!r}")

    def _interesting(self, entry: TarEntry) -> bool:
        if not entry.is_file:
            return False
        certificate = entry.path.startswith(_CA_DIRECTORY) and entry.path.endswith(".crt")
        return certificate or entry.path in (USERS_LIST, GROUPS_LIST)


def _is_copyright(entry: TarEntry) -> bool:
    """Tell whether it is a copyright file, or a link instead of a package's documentation."""
    if _COPYRIGHT(entry.path):
        return True
    in_documentation = entry.path.startswith(_DOCUMENTATION) and entry.path.count("/") == 3
    return in_documentation and entry.kind is Kind.SYMLINK


def _bounded(content: Iterator[memoryview], entry: TarEntry) -> bytes:
    if entry.size > _LARGEST_KEPT:
        raise ValueError(f"{entry.path!r} is too large")
    return b"".join(content)
