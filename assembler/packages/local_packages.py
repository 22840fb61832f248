"""The value of `@pkg:DIRECTORY` in image.yml: the image of the package in that directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.config import DEFAULT_FILE, DEFAULT_TAG
from assembler.packages.package_reader import read_package
from assembler.packages.tags import Naming, derive_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class LocalPackages:
    """Names the images of package directories; each directory is read once.

    The tag is the plain hash; the `tag` of build.yml is ignored, as in LinuxKit. Every image is
    stored under its plain hash as well, so the reference can be found.
    """

    def __init__(self, org: str | None = None) -> None:
        """Take the organisation that overrides build.yml's."""
        self._naming = Naming(org=org, tag=DEFAULT_TAG)
        self._names: dict[Path, str] = {}

    @property
    def directories(self) -> Mapping[str, Path]:
        """Return the directories that were read, by the names of their images."""
        return {name: directory for directory, name in self._names.items()}

    def reference(self, directory: Path) -> str:
        """Return the full name of the package's image."""
        where = directory.absolute()
        if where not in self._names:
            package = read_package(directory, DEFAULT_FILE)
            self._names[where] = derive_name(package, self._naming).canonical
        return self._names[where]
