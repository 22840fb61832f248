"""Unpack Debian packages into the tar of one layer, as a reproducible stream.

Packages are unpacked as dpkg does it: directories are shared, symbolic links to directories are
followed, and the field Replaces decides which package owns a file that two packages have. No
maintainer script runs; this module generates what images need of their results: the CA bundle,
passwd and group.
"""

from __future__ import annotations

import os
import posixpath
import stat
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.debian.accounts import GROUPS_LIST, USERS_LIST, account_files
from assembler.debian.deb_file import DebFile, open_deb
from assembler.debian.patterns import path_matcher
from assembler.debian.systemd import is_systemd_input, systemd_files
from assembler.debian.tar_headers import TAR_END, tar_file, tar_header, tar_padding
from assembler.debian.tarball import DebTarEntry, DebTarReader, TarEntryKind, normalize_path
from assembler.errors import PackageError, wrap_os_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.config import RecipeFile
    from assembler.debian.control import ControlFile
    from assembler.debian.layer_inputs import LayerInputs
    from assembler.debian.package_files import PackageFile

_CA_DIRECTORY = "usr/share/ca-certificates/"
_CA_BUNDLE = "etc/ssl/certs/ca-certificates.crt"
_STATUS_DIRECTORY = "var/lib/dpkg/status.d/"
_COPYRIGHT = path_matcher(["/usr/share/doc/*/copyright"])
_CHUNK_SIZE = 1 << 20
_HEADERS = "usr/src/linux-headers-"
_DOCUMENTATION = "usr/share/doc/"
_MAX_CONTENT_SIZE = 16 << 20
_MAX_SYMLINKS = 40
# The architectures whose dynamic loader is in /lib64.
_LIB64 = frozenset({"amd64", "ppc64el", "mips64el", "loong64"})


def recipe_layer(inputs: LayerInputs) -> Iterator[bytes | memoryview]:
    """Yield the tar of the layer, in bounded memory."""
    layer = _LayerWriter(inputs)
    if inputs.packages:
        yield from layer.write_merged_usr()
    for package in inputs.packages:
        with open_deb(package.path) as deb:
            yield from layer.write_package(package, deb)
    if inputs.kernel is not None:
        yield from layer.write_kernel_headers(inputs.kernel)
    yield from layer.write_generated_files()
    yield TAR_END


def package_database(inputs: LayerInputs) -> Iterator[bytes | memoryview]:
    """Yield only the package database and the copyright files, for scanners."""
    layer = _LayerWriter(inputs)
    for package in inputs.packages:
        with open_deb(package.path) as deb:
            tarball = deb.data()
            for entry in tarball:
                if (
                    entry.is_file
                    and _COPYRIGHT(entry.path)
                    and entry.path not in layer.entry_owners
                ):
                    content = _read_limited(tarball.content(), entry)
                    yield from layer.write_content(entry, content)
        yield from layer.write_database_entry(package.control)


@dataclass(slots=True)
class _LayerWriter:
    """Writes the entries of a layer, and remembers their paths and owners."""

    inputs: LayerInputs
    # The kind and the package of every path that was written.
    entry_owners: dict[str, tuple[TarEntryKind, str]] = field(default_factory=dict)
    symlinks: dict[str, str] = field(default_factory=dict)
    # The contents that generated files are made of, by path.
    contents: dict[str, bytes] = field(default_factory=dict)

    def write_merged_usr(self) -> Iterator[bytes]:
        """Write /bin, /lib and /sbin as symbolic links into /usr."""
        names = ["bin", "lib", "sbin"]
        if self.inputs.architecture in _LIB64:
            names.insert(2, "lib64")
        for name in ("usr", *(f"usr/{n}" for n in names)):
            yield from self._write_header(self._new_entry(name, TarEntryKind.DIR, 0o755))
        for name in names:
            yield from self._write_header(
                self._new_entry(name, TarEntryKind.SYMLINK, 0o777, target=f"usr/{name}")
            )

    def write_package(self, package: PackageFile, deb: DebFile) -> Iterator[bytes | memoryview]:
        """Write the files of a package and its entry in the package database."""
        name = package.control.name
        is_dropped = path_matcher(self.inputs.debs.drop)
        reserved = {*self.inputs.debs.links, *(f.path for f in self.inputs.debs.files)}
        tarball = deb.data()
        for raw_entry in tarball:
            if not raw_entry.path:
                continue
            entry = replace(raw_entry, path=self._follow_symlinks(raw_entry.path))
            if self._is_generator_input(entry):
                self.contents[entry.path] = _read_limited(tarball.content(), entry)
            if entry.path in reserved or self._is_provided(entry, package.control):
                continue
            is_left_out = self.inputs.kept is not None and entry.path not in self.inputs.kept
            if (is_left_out or is_dropped(entry.path)) and not _is_copyright(entry):
                continue
            if entry.kind is TarEntryKind.HARDLINK:
                yield from self._write_hard_link(entry, package, name)
                continue
            yield from self._write_header(entry, name)
            if entry.is_file:
                if entry.path in self.contents:
                    yield self.contents[entry.path]
                else:
                    yield from tarball.content()
                yield tar_padding(entry.size)
        yield from self.write_database_entry(package.control)

    def write_kernel_headers(self, path: Path) -> Iterator[bytes | memoryview]:
        """Write what modules of a kernel are compiled with, where Debian has it."""
        with wrap_os_errors(path, "read"), path.open("rb") as file:
            tarball = DebTarReader(iter(lambda: file.read(_CHUNK_SIZE), b""))
            for entry in tarball:
                if not entry.path.startswith(_HEADERS):
                    continue
                if entry.path not in self.entry_owners:
                    yield from self._write_header(entry)
                if entry.is_file:
                    yield from tarball.content()
                    yield tar_padding(entry.size)
                release = entry.path.removeprefix(_HEADERS)
                if "/" not in release:
                    link = f"usr/lib/modules/{release}/build"
                    yield from self._write_header(
                        self._new_entry(link, TarEntryKind.SYMLINK, 0o777, f"/{entry.path}")
                    )

    def write_generated_files(self) -> Iterator[bytes]:
        """Write the CA bundle, passwd and group, and the links and files of the recipe."""
        debs = self.inputs.debs
        recipe_paths = {*debs.links, *(f.path for f in debs.files)}
        files = account_files(debs.users, self.contents, with_system=debs.systemd)
        links = dict(debs.links)
        if debs.systemd:
            system = systemd_files(self._systemd_inputs(), self.entry_owners)
            files |= system.files
            taken = recipe_paths | self.entry_owners.keys()
            links |= {p: to for p, to in system.links.items() if p not in taken}
        certificates = sorted(p for p in self.contents if p.startswith(_CA_DIRECTORY))
        if certificates:
            bundle = b"".join(self.contents[p].rstrip(b"\n") + b"\n" for p in certificates)
            files[_CA_BUNDLE] = bundle
        for path, content in sorted(files.items()):
            if path not in recipe_paths and path not in self.entry_owners:
                yield from self._write_file(path, content)
        for path, target in sorted(links.items()):
            self._check_unoccupied(path)
            yield from self._write_header(
                self._new_entry(path, TarEntryKind.SYMLINK, 0o777, target=target)
            )
        for path, program in sorted(self.inputs.programs.items()):
            self._check_unoccupied(path)
            entry = self._new_entry(path, TarEntryKind.FILE, 0o755)
            with wrap_os_errors(program, "read"), program.open("rb") as source:
                size = os.fstat(source.fileno()).st_size
                yield from self._write_header(replace(entry, size=size))
                while chunk := source.read(_CHUNK_SIZE):
                    yield chunk
                yield tar_padding(size)
        for file in debs.files:
            yield from self._write_recipe_file(file)

    def _systemd_inputs(self) -> dict[str, bytes]:
        """Return the contents that are in the image, and those of the recipe's files."""
        inputs = {
            path: content
            for path, content in self.contents.items()
            if path in self.entry_owners or not path.startswith("usr/lib/systemd/")
        }
        for file in self.inputs.debs.files:
            if is_systemd_input(file.path):
                inputs[file.path] = (
                    file.contents.encode()
                    if file.contents is not None
                    else self._source_path(file).read_bytes()
                )
        return inputs

    def write_database_entry(self, control: ControlFile) -> Iterator[bytes]:
        """Write the control file and the md5sums of a package, as distroless images have them."""
        path = f"{_STATUS_DIRECTORY}{control.name}"
        yield from self._write_file(path, control.text.encode())
        if control.md5sums:
            yield from self._write_file(f"{path}.md5sums", control.md5sums)

    def _write_recipe_file(self, file: RecipeFile) -> Iterator[bytes]:
        self._check_unoccupied(file.path, directory=file.directory)
        entry = self._new_entry(
            file.path, TarEntryKind.FILE, file.mode if file.mode is not None else 0o644
        )
        entry = replace(entry, uid=file.uid, gid=file.gid)
        if file.directory:
            mode = file.mode if file.mode is not None else 0o755
            yield from self._write_header(replace(entry, kind=TarEntryKind.DIR, mode=mode))
        elif file.contents is not None:
            yield from self.write_content(entry, file.contents.encode())
        else:
            yield from self._copy_source(file, entry, self._source_path(file))

    def _source_path(self, file: RecipeFile) -> Path:
        """Return the path of a file's source; a path outside the package is an error."""
        base = self.inputs.directory.resolve()
        # Compiled files have a directory for each architecture.
        path = base / (file.source or "").replace("{arch}", self.inputs.architecture)
        if not path.resolve().is_relative_to(base):
            raise PackageError.of(
                packages.BAD_RECIPE, f"{file.source} is a link to a path outside the package"
            )
        if not path.is_file() and not path.is_dir():
            raise PackageError.of(
                packages.BAD_RECIPE, f"the package has no {file.source}, the source of {file.path}"
            )
        return path

    def _copy_source(self, file: RecipeFile, entry: DebTarEntry, source: Path) -> Iterator[bytes]:
        """Copy a file, or a directory with everything in it."""
        with wrap_os_errors(source, "read"):
            source_mode = (
                source.lstat().st_mode if entry.path != file.path else source.stat().st_mode
            )
            if stat.S_ISLNK(source_mode):
                target = str(source.readlink())
                yield from self._write_header(
                    replace(entry, kind=TarEntryKind.SYMLINK, mode=0o777, target=target)
                )
            elif stat.S_ISDIR(source_mode):
                if entry.path not in self.entry_owners:
                    yield from self._write_header(replace(entry, kind=TarEntryKind.DIR, mode=0o755))
                for child in sorted(source.iterdir()):
                    child_entry = replace(entry, path=f"{entry.path}/{child.name}")
                    yield from self._copy_source(file, child_entry, child)
            elif stat.S_ISREG(source_mode):
                # Git keeps only the executable bit, and the umask must not matter.
                default_mode = 0o755 if source_mode & stat.S_IXUSR else 0o644
                mode = file.mode if file.mode is not None else default_mode
                yield from self.write_content(replace(entry, mode=mode), source.read_bytes())

    def _check_unoccupied(self, path: str, *, directory: bool = False) -> None:
        """Raise PackageError if a path of the recipe exists already."""
        existing = self.entry_owners.get(path)
        if existing is not None and not (directory and existing[0] is TarEntryKind.DIR):
            raise PackageError.of(
                packages.BAD_RECIPE,
                f"/{path} exists already"
                + (f" in the package {existing[1]}" if existing[1] else ""),
            )

    def _new_entry(self, path: str, kind: TarEntryKind, mode: int, target: str = "") -> DebTarEntry:
        return DebTarEntry(path, kind, mode, mtime=self.inputs.timestamp, target=target)

    def _write_file(self, path: str, content: bytes) -> Iterator[bytes]:
        yield from self.write_content(self._new_entry(path, TarEntryKind.FILE, 0o644), content)

    def write_content(self, entry: DebTarEntry, data: bytes) -> Iterator[bytes]:
        """Write a file with a content in memory."""
        sized_entry = replace(entry, size=len(data))
        yield from self._write_parents(sized_entry)
        self.entry_owners[sized_entry.path] = (TarEntryKind.FILE, "")
        yield from tar_file(sized_entry, data)

    def _write_header(self, entry: DebTarEntry, package: str = "") -> Iterator[bytes]:
        """Write the header of an entry, after the missing parent directories."""
        yield from self._write_parents(entry)
        self.entry_owners[entry.path] = (entry.kind, package)
        if entry.kind is TarEntryKind.SYMLINK:
            self.symlinks[entry.path] = entry.target
        yield tar_header(entry)

    def _write_parents(self, entry: DebTarEntry) -> Iterator[bytes]:
        parts = entry.path.split("/")
        for i in range(1, len(parts)):
            parent = "/".join(parts[:i])
            if parent not in self.entry_owners:
                self.entry_owners[parent] = (TarEntryKind.DIR, "")
                yield tar_header(DebTarEntry(parent, TarEntryKind.DIR, 0o755, mtime=entry.mtime))
            elif self.entry_owners[parent][0] not in (TarEntryKind.DIR, TarEntryKind.SYMLINK):
                raise PackageError.of(
                    packages.FILE_CONFLICT,
                    f"/{entry.path} cannot be created: /{parent} is not a directory",
                )

    def _write_hard_link(
        self, entry: DebTarEntry, package: PackageFile, name: str
    ) -> Iterator[bytes | memoryview]:
        target = self._follow_symlinks(entry.target)
        if self.entry_owners.get(target) == (TarEntryKind.FILE, name):
            yield from self._write_header(replace(entry, target=target), name)
            return
        # The target is not in the image: read its content from the package again.
        with open_deb(package.path) as deb:
            tarball = deb.data()
            for raw_entry in tarball:
                if raw_entry.path == entry.target and raw_entry.is_file:
                    yield from self._write_header(replace(raw_entry, path=entry.path), name)
                    yield from tarball.content()
                    yield tar_padding(raw_entry.size)
                    return
        raise ValueError(f"the target of the hard link {entry.path!r} does not exist")

    def _is_provided(self, entry: DebTarEntry, control: ControlFile) -> bool:
        """Tell whether an earlier entry provides this one; raise PackageError at a conflict."""
        existing = self.entry_owners.get(entry.path)
        if existing is None:
            return False
        kind, owner = existing
        # dpkg keeps a symbolic link to a directory if a later package has the directory.
        if entry.kind is TarEntryKind.DIR and kind in (TarEntryKind.DIR, TarEntryKind.SYMLINK):
            return True
        if entry.kind is TarEntryKind.SYMLINK and (
            kind is TarEntryKind.DIR or self.symlinks.get(entry.path) == entry.target
        ):
            return True
        if control.name in self._replaces_of(owner):
            return True
        raise PackageError.of(
            packages.FILE_CONFLICT,
            f"both {owner or 'the recipe'} and {control.name} have /{entry.path}",
            "leave one of the packages out, or put the path of the file into `drop`",
        )

    def _replaces_of(self, owner: str) -> frozenset[str]:
        for package in self.inputs.packages:
            if package.control.name == owner:
                return package.control.replaces
        return frozenset()

    def _follow_symlinks(self, path: str) -> str:
        """Return the path with the symbolic links among its parents resolved."""
        for _ in range(_MAX_SYMLINKS):
            parts = path.split("/")
            for i in range(1, len(parts)):
                target = self.symlinks.get("/".join(parts[:i]))
                if target is not None:
                    parent = "/" if target.startswith("/") else "/" + "/".join(parts[: i - 1])
                    resolved = posixpath.normpath(posixpath.join(parent, target))
                    path = normalize_path("/".join([resolved, *parts[i:]]))
                    break
            else:
                return path
        raise ValueError(f"the symbolic links of {path!r} form a loop")

    def _is_generator_input(self, entry: DebTarEntry) -> bool:
        if not entry.is_file:
            return False
        certificate = entry.path.startswith(_CA_DIRECTORY) and entry.path.endswith(".crt")
        return (
            certificate
            or entry.path in (USERS_LIST, GROUPS_LIST)
            or (self.inputs.debs.systemd and is_systemd_input(entry.path))
        )


def _is_copyright(entry: DebTarEntry) -> bool:
    """Tell whether an entry is a copyright file, or a link to the directory with one."""
    if _COPYRIGHT(entry.path):
        return True
    in_documentation = entry.path.startswith(_DOCUMENTATION) and entry.path.count("/") == 3
    return in_documentation and entry.kind is TarEntryKind.SYMLINK


def _read_limited(content: Iterator[memoryview], entry: DebTarEntry) -> bytes:
    if entry.size > _MAX_CONTENT_SIZE:
        raise ValueError(f"{entry.path!r} is too large")
    return b"".join(content)
