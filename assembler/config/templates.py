"""Templates: `@pkg:DIRECTORY`, `@dolmen:NAME`, `@git:URL#REF:DIR`; each names an image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from assembler.catalog import CATALOG_PREFIX, catalog_directory
from assembler.codes import config as codes
from assembler.codes import packages as package_codes
from assembler.config.diagnostics import warning
from assembler.errors import ConfigError, DolmenError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.codes import Code
    from assembler.config.inputs import ConfigInput
    from assembler.config.positions import Positions
    from assembler.diagnostics import Diagnostic, Place

PACKAGE_PREFIX = "@pkg:"
GIT_PREFIX = "@git:"
OCI_PREFIX = "@oci:"
PREFIXES = (PACKAGE_PREFIX, CATALOG_PREFIX, GIT_PREFIX, OCI_PREFIX)
# The same for all packages of a repository.
_OF_REPOSITORY = (
    package_codes.FOREIGN_REPOSITORY,
    package_codes.GIT_FETCH_FAILED,
    package_codes.GIT_NOT_IN_STORE,
)
_CONTAINERS = ("onboot", "onshutdown", "services")


class PackageResolver(Protocol):
    """An object that knows the image reference of a package."""

    def reference(self, directory: Path) -> str:
        """Return the reference of the package's image; raise DolmenError if it is not a package."""

    def git_directory(self, text: str, given: ConfigInput) -> Path | None:
        """Return the directory that a text names; None if it is neither there nor fetched."""


class TemplateExpansion:
    """Replaces the templates of one document, and collects diagnostics."""

    def __init__(
        self, resolver: PackageResolver, given: ConfigInput, *, allow_local: bool = False
    ) -> None:
        """Set the resolver, and the input, whose directory packages are relative to.

        With `allow_local`, a YAML file from a URL may name packages by absolute paths.
        """
        self._resolver = resolver
        self._given = given
        self._allow_local = allow_local
        self.diagnostics: list[Diagnostic] = []
        self._reported: list[Diagnostic] = []

    def expand(
        self,
        data: Any,  # noqa: ANN401 - any piece of YAML
        positions: Positions,
        path: tuple[str | int, ...] = (),
    ) -> tuple[Any, Positions]:
        """Return the data with all templates replaced, including keys, and its positions."""
        if isinstance(data, str):
            required = _is_image_name(path)
            return self._expand_text(data, positions.place, required=required), positions
        if isinstance(data, list):
            entries = [
                self.expand(v, positions.children.get(i, positions), (*path, i))
                for i, v in enumerate(data)
            ]
            numbered: dict[str | int, Positions] = {i: p for i, (_, p) in enumerate(entries)}
            return [v for v, _ in entries], replace(positions, children=numbered)
        if isinstance(data, dict):
            items: dict[str, Any] = {}
            # Positions of removed values stay: they tell later checks that the key was present.
            children = {key: p for key, p in positions.children.items() if key not in data}
            for key, value in data.items():
                member = positions.children.get(key, positions)
                name = self._expand_text(key, member.key, required=False)
                items[name], children[name] = self.expand(value, member, (*path, key))
            return items, replace(positions, children=children)
        return data, positions

    def _expand_text(self, text: str, place: Place | None, *, required: bool) -> str:
        if not text.startswith(PREFIXES):
            return text
        try:
            directory = self._locate(text)
            return text if directory is None else self._resolver.reference(directory)
        except DolmenError as failure:
            part = _git_part(text, failure.diagnostics[0].code) if place is not None else ""
            where = place.part(part) if place is not None and part else place
            self._report(failure.diagnostics, where, required=required)
            return text

    def _locate(self, text: str) -> Path | None:
        """Return the directory of the package that a template names; None if there is no path."""
        if text.startswith(CATALOG_PREFIX):
            return catalog_directory(text.removeprefix(CATALOG_PREFIX))
        if text.startswith((GIT_PREFIX, OCI_PREFIX)):
            return self._resolver.git_directory(text, self._given)
        name = text.removeprefix(PACKAGE_PREFIX)
        directory = self._given.directory
        if directory is None and self._allow_local and name.startswith("/"):
            directory = Path("/")
        if directory is None:
            raise ConfigError.of(
                codes.PACKAGE_NOT_FOUND,
                f"a YAML file from a URL has no local directory for the package {name!r}",
                "if you trust this YAML file: an absolute path and --allow-local-sources",
            )
        return None if "\0" in name else directory / name

    def _report(
        self, diagnostics: Sequence[Diagnostic], place: Place | None, *, required: bool
    ) -> None:
        if required:
            for found in diagnostics:
                # Diagnostics about a build.yml already have a place in it. One about a repository
                # is the same for all packages in it.
                is_shared = found.place is None and found.code in _OF_REPOSITORY
                if is_shared or found.code == package_codes.BAD_REFERENCE_LOCK:
                    if found in self._reported:
                        continue
                    self._reported.append(found)
                self.diagnostics.append(found if found.place else replace(found, place=place))
            return
        reason = diagnostics[0].message
        self.diagnostics.append(
            warning(
                codes.PACKAGE_NOT_FOUND,
                f"not a package, so the text is left unchanged: {reason}",
                place,
            )
        )


def _git_part(text: str, code: Code) -> str:
    """Return the part of a reference to a git repository that an error is about; or nothing."""
    if not text.startswith(GIT_PREFIX):
        return ""
    url, _, fragment = text.removeprefix(GIT_PREFIX).partition("#")
    ref, _, directory = fragment.partition(":")
    parts = {
        package_codes.GIT_FETCH_FAILED: url,
        package_codes.GIT_REF_NOT_FOUND: ref,
        package_codes.GIT_DIRECTORY_NOT_FOUND: directory,
    }
    return parts.get(code, "")


def _is_image_name(path: tuple[str | int, ...]) -> bool:
    """Tell whether the value at a path is the name of an image."""
    if path[:1] == ("init",):
        return len(path) == 2
    if path[:1] == ("kernel",):
        return path[1:] == ("image",)
    in_list = path[:1] and path[0] in (*_CONTAINERS, "volumes")
    return bool(in_list) and len(path) == 3 and path[2] == "image"
