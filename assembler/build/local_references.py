"""The images that `@pkg:` names: packages in directories beside the YAML file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.oci import Reference

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.packages import LocalPackages


class LocalReferences:
    """The references of local packages; few files name any, so their stage is imported late."""

    _known: LocalPackages | None = None

    def reference(self, directory: Path) -> str:
        """Return the full name of the package's image."""
        if self._known is None:
            from assembler.packages import LocalPackages  # noqa: PLC0415 - heavy

            self._known = LocalPackages()
        return self._known.reference(directory)

    def directories(self) -> dict[Reference, Path]:
        """Return the directories of the packages that were named, by their images."""
        known = self._known.directories if self._known is not None else {}
        return {Reference.parse(name): directory for name, directory in known.items()}
