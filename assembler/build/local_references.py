"""The images that templates name: packages in directories, or in git repositories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.oci import Reference

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from assembler.config import ConfigInput
    from assembler.git_sources import GitReferences
    from assembler.oci import ImageSources
    from assembler.packages import LocalPackages


class LocalReferences:
    """The references of local packages; few files name any, so their stage is imported late."""

    _known: LocalPackages | None = None
    _git: GitReferences | None = None

    def __init__(self, git_references: Callable[[], GitReferences]) -> None:
        """Set the function that returns how git repositories are found, called if one is named."""
        self._git_references = git_references

    def reference(self, directory: Path) -> str:
        """Return the full name of the package's image."""
        if self._known is None:
            from assembler.packages import LocalPackages  # noqa: PLC0415 - heavy

            self._known = LocalPackages()
        return self._known.reference(directory)

    def git_directory(self, text: str, given: ConfigInput) -> Path | None:
        """Return the directory that `@git:…` names; None if it is neither there nor fetched."""
        if self._git is None:
            self._git = self._git_references()
        return self._git.directory(text, given)

    def directories(self) -> dict[Reference, Path]:
        """Return the directories of the packages that were named, by their images."""
        known = self._known.directories if self._known is not None else {}
        return {Reference.parse(name): directory for name, directory in known.items()}


def unfetched_references(sources: ImageSources) -> GitReferences:
    """Return the references of git repositories that are in the store; nothing is fetched."""
    from assembler.git_sources import GitReferences  # noqa: PLC0415 - few files need it

    return GitReferences(sources, fetch=False)
