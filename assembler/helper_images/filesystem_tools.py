"""Programs that make filesystems: those of the host if they are new enough, else of an image.

The programs of an image are unpacked to a temporary folder and run there with the dynamic loader
and the libraries of the image, so that nothing is installed.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from posixpath import basename
from typing import TYPE_CHECKING

from assembler import tools
from assembler.codes import output as codes
from assembler.errors import OutputError, wrap_os_errors
from assembler.oci import ImageFiles, read_image_files
from assembler.scratch_directories import scratch_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from assembler.oci import Image, Store

_FOLDER = re.compile(r"(usr/)?(s?bin|lib(64)?|lib/[a-z0-9_-]+-linux-gnu[a-z0-9]*)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_LOADER = re.compile(r"ld-linux.*\.so\.\d+")


@dataclass(frozen=True, slots=True)
class FilesystemTools:
    """The programs of the host and of an image, which has those that the host lacks."""

    image: Image | None
    store: Store
    # Resolves the image for a program that no format declares.
    find_image: Callable[[], Image] | None = None

    @contextmanager
    def command(self, program: str) -> Iterator[tuple[str, ...]]:
        """Yield the first words of a command line that runs a program."""
        path = find_recent_program(program)
        if path is not None:
            yield (str(path),)
            return
        if self.image is None:
            tools.require_program(program)
            raise ValueError(f"no format declares that it uses {program}")
        with self._unpacked(self.image, program) as words:
            yield words

    @contextmanager
    def own_command(self, program: str) -> Iterator[tuple[str, ...]]:
        """Yield the first words of a command line that runs a program of the image.

        The program of the host would be another version, which makes other bytes.
        """
        image = self.image
        if image is None and self.find_image is not None:
            image = self.find_image()
        if image is None:
            raise ValueError(f"there is no image for {program}")
        with self._unpacked(image, program) as words:
            yield words

    @contextmanager
    def _unpacked(self, image: Image, program: str) -> Iterator[tuple[str, ...]]:
        tmp = self.store.layout.tmp
        with (
            wrap_os_errors(tmp),
            scratch_directory(tmp if tmp.is_dir() else None) as folder,
        ):
            yield _unpack_program(image, self.store, folder, program)


def programs_missing_on_host(programs: Iterable[str]) -> list[str]:
    """Return the programs that the host lacks, or has in a version that is too old."""
    return [program for program in programs if find_recent_program(program) is None]


def find_recent_program(program: str) -> Path | None:
    """Return the program of the host, if it is new enough."""
    path = tools.find_program(program)
    if path is None:
        return None
    version = tools.program_version(program, path)
    return path if version and tools.TOOLS[program].accepts(version) else None


def _unpack_program(image: Image, store: Store, folder: Path, program: str) -> tuple[str, ...]:
    found = read_image_files(image, store, _flat_name, codes.NO_PROGRAM)
    loaders = [name for name in sorted(found.files) if _LOADER.fullmatch(name)]
    if program not in found.files or not loaders:
        raise OutputError.of(
            codes.NO_PROGRAM,
            f"{image.reference} has no {program if loaders else 'dynamic loader'}",
            "leave out --imagetools, or name an image that has the files of pkg/imagetools",
            *(
                [f"or install {program} {tools.TOOLS[program].minimum_text} or newer on this host"]
                if program in tools.TOOLS
                else []
            ),
        )
    for name, content in _with_link_names(found):
        path = folder / name
        path.write_bytes(content)
        path.chmod(0o700)
    return (str(folder / loaders[0]), "--library-path", str(folder), str(folder / program))


def _with_link_names(found: ImageFiles) -> Iterator[tuple[str, bytes]]:
    """Yield all files, also under the names of symbolic links to them."""
    yield from found.files.items()
    links = {name: basename(target) for name, target in found.links.items()}
    for name, first in links.items():
        seen, target = {name}, first
        while target in links and target not in seen:
            seen.add(target)
            target = links[target]
        if target in found.files and name not in found.files:
            yield name, found.files[target]


def _flat_name(path: str) -> str | None:
    """Return the name of a program or library without its folder: all go into one folder."""
    folder, _, name = path.rpartition("/")
    return name if _FOLDER.fullmatch(folder) and _NAME.fullmatch(name) else None
