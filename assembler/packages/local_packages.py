"""What `@pkg:DIRECTORY` in image.yml stands for: the image of the package in that directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from assembler.config.package_model import DEFAULT_FILE, DEFAULT_TAG
from assembler.packages.build_file_reader import read_package
from assembler.packages.tags import Naming, name_of


class LocalPackages:
    """Names the images of package directories; each directory is looked at once.

    The tag is the plain hash, whatever tag build.yml asks for. LinuxKit does it this way, and
    images are stored under their plain hash as well, so that what is referred to can be found.
    """

    def __init__(self, org: str | None = None) -> None:
        """Take the organisation to use instead of build.yml's, if there is one."""
        self._naming = Naming(org=org, tag=DEFAULT_TAG)
        self._known: dict[Path, str] = {}

    @property
    def directories(self) -> Mapping[str, Path]:
        """Return the directories that were looked at, by the names of their images."""
        return {name: directory for directory, name in self._known.items()}

    def reference(self, directory: Path) -> str:
        """Return the full name of the package's image; an error tells what is wrong with it."""
        where = directory.absolute()
        if where not in self._known:
            package = read_package(directory, DEFAULT_FILE)
            self._known[where] = name_of(package, self._naming).canonical
        return self._known[where]
