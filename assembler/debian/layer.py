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
from assembler.config import DebsRecipe, RecipeFile
from assembler.debian.accounts import GROUPS_LIST, USERS_LIST, account_files
from assembler.debian.control import ControlFile, parse_control
from assembler.debian.deb_file import DebFile, open_deb
from assembler.debian.patterns import path_matcher
from assembler.debian.tar_headers import TAR_END, tar_file, tar_header, tar_padding
from assembler.debian.tarball import DebTarEntry, TarEntryKind, normalize_path
from assembler.errors import PackageError, wrap_os_errors

_CA_DIRECTORY = "usr/share/ca-certificates/"
_CA_BUNDLE = "etc/ssl/certs/ca-certificates.crt"
_STATUS = "var/lib/dpkg/status.d/"
_COPYRIGHT = path_matcher(["/usr/share/doc/*/copyright"])
_DOCUMENTATION = "usr/share/doc/"
_MAX_KEPT_FILE = 16 << 20
_MAX_LINKS = 40
# Architectures whose loader is in /lib64.
_LIB64 = frozenset({"amd64", "ppc64el", "mips64el", "loong64"})


@dataclass(frozen=True, slots=True)
class PackageFile:
    """A package file and what its control file says."""

    path: Path
    control: ControlFile
    time: int


@dataclass(frozen=True, slots=True)
class LayerRecipe:
    """All that a layer is made of."""

    debs: DebsRecipe
    architecture: str
    ingredients: tuple[PackageFile, ...]
    # Where the sources of `files:` are.
    directory: Path = field(default_factory=Path)

    @property
    def time(self) -> int:
        """Return the time of what is made here: that of the newest package."""
        return max((i.time for i in self.ingredients), default=0)


def read_package_files(paths: Sequence[Path]) -> tuple[PackageFile, ...]:
    """Read the control files of packages; those that replace others come first, then by name."""
    found = []
    for path in paths:
        with open_deb(path) as deb:
            found.append(PackageFile(path, parse_control(deb.control()), deb.time))
    return _sort_by_replaces(sorted(found, key=lambda i: (i.control.name, i.control.version)))


def recipe_layer(recipe: LayerRecipe) -> Iterator[bytes | memoryview]:
    """Yield the tar of the layer, in bounded memory."""
    root = _LayerTree(recipe)
    if recipe.ingredients:
        yield from root.merged_directories()
    for ingredient in recipe.ingredients:
        with open_deb(ingredient.path) as deb:
            yield from root.package(ingredient, deb)
    yield from root.generated()
    yield TAR_END


def package_database(recipe: LayerRecipe) -> Iterator[bytes | memoryview]:
    """Yield the package database and the copyright files alone, as scanners want them."""
    root = _LayerTree(recipe)
    for ingredient in recipe.ingredients:
        with open_deb(ingredient.path) as deb:
            tarball = deb.data()
            for entry in tarball:
                if entry.is_file and _COPYRIGHT(entry.path) and entry.path not in root.written:
                    content = _read_limited(tarball.content(), entry)
                    yield from root.content(entry, content)
        yield from root.database(ingredient.control)


def _sort_by_replaces(found: Sequence[PackageFile]) -> tuple[PackageFile, ...]:
    left = list(found)
    order: list[PackageFile] = []
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
class _LayerTree:
    """The root filesystem as far as it is written."""

    recipe: LayerRecipe
    # Every path that is written, with its kind and the package it is of.
    written: dict[str, tuple[TarEntryKind, str]] = field(default_factory=dict)
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
            yield from self._put(self._made(name, TarEntryKind.DIR, 0o755))
        for name in names:
            yield from self._put(
                self._made(name, TarEntryKind.SYMLINK, 0o777, target=f"usr/{name}")
            )

    def package(self, ingredient: PackageFile, deb: DebFile) -> Iterator[bytes | memoryview]:
        """Write the files of a package, and its entry in the package database."""
        name = ingredient.control.name
        drops = path_matcher(self.recipe.debs.drop)
        reserved = {*self.recipe.debs.links, *(f.path for f in self.recipe.debs.files)}
        tarball = deb.data()
        for found in tarball:
            if not found.path:
                continue
            entry = replace(found, path=self._followed(found.path))
            if self._interesting(entry):
                self.kept[entry.path] = _read_limited(tarball.content(), entry)
            if entry.path in reserved or self._there(entry, ingredient.control):
                continue
            if drops(entry.path) and not _is_copyright(entry):
                self.dropped.add(entry.path)
                continue
            if entry.kind is TarEntryKind.HARDLINK:
                yield from self._hard_link(entry, ingredient, name)
                continue
            yield from self._put(entry, name)
            if entry.is_file:
                if entry.path in self.kept:
                    yield self.kept[entry.path]
                else:
                    yield from tarball.content()
                yield tar_padding(entry.size)
        yield from self.database(ingredient.control)

    def generated(self) -> Iterator[bytes]:
        """Write what scripts would have made, and what the recipe adds."""
        debs = self.recipe.debs
        own = {*debs.links, *(f.path for f in debs.files)}
        made = account_files(debs.users, self.kept)
        certificates = sorted(p for p in self.kept if p.startswith(_CA_DIRECTORY))
        if certificates:
            bundle = b"".join(self.kept[p].rstrip(b"\n") + b"\n" for p in certificates)
            made[_CA_BUNDLE] = bundle
        for path, content in sorted(made.items()):
            if path not in own and path not in self.written:
                yield from self._file(path, content)
        for path, target in sorted(debs.links.items()):
            self._free(path)
            yield from self._put(self._made(path, TarEntryKind.SYMLINK, 0o777, target=target))
        for file in debs.files:
            yield from self._recipe_file(file)

    def database(self, control: ControlFile) -> Iterator[bytes]:
        path = f"{_STATUS}{control.name}"
        yield from self._file(path, control.text.encode())
        if control.md5sums:
            yield from self._file(f"{path}.md5sums", control.md5sums)

    def _recipe_file(self, file: RecipeFile) -> Iterator[bytes]:
        self._free(file.path, directory=file.directory)
        made = self._made(
            file.path, TarEntryKind.FILE, file.mode if file.mode is not None else 0o644
        )
        made = replace(made, uid=file.uid, gid=file.gid)
        if file.directory:
            mode = file.mode if file.mode is not None else 0o755
            yield from self._put(replace(made, kind=TarEntryKind.DIR, mode=mode))
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

    def _copied(self, file: RecipeFile, made: DebTarEntry, source: Path) -> Iterator[bytes]:
        """Copy a file, or a directory with everything in it."""
        with wrap_os_errors(source, "read"):
            kind = source.lstat().st_mode if made.path != file.path else source.stat().st_mode
            if stat.S_ISLNK(kind):
                target = str(source.readlink())
                yield from self._put(
                    replace(made, kind=TarEntryKind.SYMLINK, mode=0o777, target=target)
                )
            elif stat.S_ISDIR(kind):
                if made.path not in self.written:
                    yield from self._put(replace(made, kind=TarEntryKind.DIR, mode=0o755))
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
        if there is not None and not (directory and there[0] is TarEntryKind.DIR):
            raise PackageError.of(
                packages.BAD_RECIPE,
                f"/{path} is there already" + (f", of {there[1]}" if there[1] else ""),
            )

    def _made(self, path: str, kind: TarEntryKind, mode: int, target: str = "") -> DebTarEntry:
        return DebTarEntry(path, kind, mode, mtime=self.recipe.time, target=target)

    def _file(self, path: str, content: bytes) -> Iterator[bytes]:
        yield from self.content(self._made(path, TarEntryKind.FILE, 0o644), content)

    def content(self, entry: DebTarEntry, content: bytes) -> Iterator[bytes]:
        """Write a file whose content is in memory."""
        whole = replace(entry, size=len(content))
        yield from self._parents(whole)
        self.written[whole.path] = (TarEntryKind.FILE, "")
        yield from tar_file(whole, content)

    def _put(self, entry: DebTarEntry, package: str = "") -> Iterator[bytes]:
        """Write the header of an entry, missing directories before it."""
        yield from self._parents(entry)
        self.written[entry.path] = (entry.kind, package)
        if entry.kind is TarEntryKind.SYMLINK:
            self.links[entry.path] = entry.target
        yield tar_header(entry)

    def _parents(self, entry: DebTarEntry) -> Iterator[bytes]:
        parts = entry.path.split("/")
        for i in range(1, len(parts)):
            above = "/".join(parts[:i])
            if above not in self.written:
                self.written[above] = (TarEntryKind.DIR, "")
                yield tar_header(DebTarEntry(above, TarEntryKind.DIR, 0o755, mtime=entry.mtime))
            elif self.written[above][0] not in (TarEntryKind.DIR, TarEntryKind.SYMLINK):
                raise PackageError.of(
                    packages.FILE_CONFLICT,
                    f"/{entry.path} cannot be, because /{above} is not a directory",
                )

    def _hard_link(
        self, entry: DebTarEntry, ingredient: PackageFile, name: str
    ) -> Iterator[bytes | memoryview]:
        target = self._followed(entry.target)
        if self.written.get(target) == (TarEntryKind.FILE, name):
            yield from self._put(replace(entry, target=target), name)
            return
        # Its target is not in the image: the content is looked for a second time.
        with open_deb(ingredient.path) as again:
            tarball = again.data()
            for other in tarball:
                if other.path == entry.target and other.is_file:
                    yield from self._put(replace(other, path=entry.path), name)
                    yield from tarball.content()
                    yield tar_padding(other.size)
                    return
        raise ValueError(f"the hard link {entry.path!r} leads nowhere")

    def _there(self, entry: DebTarEntry, control: ControlFile) -> bool:
        """Tell whether the path is written already, as it may be; else it is a conflict."""
        there = self.written.get(entry.path)
        if there is None:
            return False
        kind, owner = there
        # As dpkg: a directory and a link to one are the same for those who come later.
        if entry.kind is TarEntryKind.DIR and kind in (TarEntryKind.DIR, TarEntryKind.SYMLINK):
            return True
        if entry.kind is TarEntryKind.SYMLINK and (
            kind is TarEntryKind.DIR or self.links.get(entry.path) == entry.target
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
        for _ in range(_MAX_LINKS):
            parts = path.split("/")
            for i in range(1, len(parts)):
                target = self.links.get("/".join(parts[:i]))
                if target is not None:
                    base = "/" if target.startswith("/") else "/" + "/".join(parts[: i - 1])
                    landed = posixpath.normpath(posixpath.join(base, target))
                    path = normalize_path("/".join([landed, *parts[i:]]))
                    break
            else:
                return path
        raise ValueError(f"links lead in a circle: {path!r}")

    def _interesting(self, entry: DebTarEntry) -> bool:
        if not entry.is_file:
            return False
        certificate = entry.path.startswith(_CA_DIRECTORY) and entry.path.endswith(".crt")
        return certificate or entry.path in (USERS_LIST, GROUPS_LIST)


def _is_copyright(entry: DebTarEntry) -> bool:
    """Tell whether it is a copyright file, or a link instead of a package's documentation."""
    if _COPYRIGHT(entry.path):
        return True
    in_documentation = entry.path.startswith(_DOCUMENTATION) and entry.path.count("/") == 3
    return in_documentation and entry.kind is TarEntryKind.SYMLINK


def _read_limited(content: Iterator[memoryview], entry: DebTarEntry) -> bytes:
    if entry.size > _MAX_KEPT_FILE:
        raise ValueError(f"{entry.path!r} is too large")
    return b"".join(content)
