"""Servers of a round on loopback: the registry and the archive that commands expect."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from assembler.oci.store import Store
from faults.material import ARCHIVE, HOST
from support.faulty_registry import Answer, FaultyRegistry, Request, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.oci.manifest import Descriptor
    from faults.material import Material
    from faults.scenarios import Scenario


@contextmanager
def servers_of(material: Material, scenario: Scenario) -> Iterator[None]:
    """Serve what a scenario needs, if it needs anything."""
    if not scenario.served:
        yield
        return
    with registry(material), archive(material):
        yield


@contextmanager
def registry(material: Material) -> Iterator[FaultyRegistry]:
    """Serve all images under the names that they have."""
    address, _, port = HOST.partition(":")
    with serve(FaultyRegistry(Store(material.images)), address, int(port)) as server:
        server.tags |= tags_of(material.images)
        yield server


def tags_of(images: Path) -> dict[tuple[str, str], Descriptor]:
    """Return what a store has, by repository and tag."""
    found = {}
    for entry in Store(images).names().entries:
        repository, _, tag = entry.name.partition("/")[2].rpartition(":")
        found[repository, tag] = entry.descriptor
    return found


@dataclass(repr=False)
class FileServer(FaultyRegistry):
    """A server of the files of a directory, which does wrong what a faulty registry does."""

    directory: Path = field(default_factory=Path)

    def answer(self, request: Request) -> Answer:
        """Return a file."""
        path = self.directory / unquote(request.path).lstrip("/")
        return Answer(200, body=path.read_bytes()) if path.is_file() else Answer(404)


@contextmanager
def archive(material: Material) -> Iterator[FileServer]:
    """Serve the Debian archive, and image.yml with what is beside it."""
    address, _, port = ARCHIVE.partition(":")
    files = FileServer(Store(material.images), directory=material.project)
    with serve(files, address, int(port)) as server:
        assert isinstance(server, FileServer)
        yield server
