"""`@pkg:DIRECTORY`: texts that stand for the image of a package beside the YAML file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from assembler.codes import config as codes
from assembler.config.findings import error, warning
from assembler.diagnostics import Diagnostic
from assembler.errors import DolmenError

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.config.position import Positions
    from assembler.diagnostics import Place

PREFIX = "@pkg:"
_CONTAINERS = ("onboot", "onshutdown", "services")


class Packages(Protocol):
    """Whoever knows which image is built from a package directory."""

    def reference(self, directory: Path) -> str:
        """Return the full name of the package's image; a DolmenError if it is no package."""


class Expansion:
    """Replaces the templates of one document, and keeps what went wrong."""

    def __init__(self, packages: Packages, directory: Path | None) -> None:
        """Take who knows packages, and where their directories are relative to."""
        self._packages = packages
        self._directory = directory
        self.found: list[Diagnostic] = []

    def expand(
        self,
        data: Any,  # noqa: ANN401 - any piece of YAML
        at: Positions,
        path: tuple[str | int, ...] = (),
    ) -> tuple[Any, Positions]:
        """Return the data with every text that begins with `@pkg:` replaced, keys included."""
        if isinstance(data, str):
            return self._text(data, at.place, needed=_is_image(path)), at
        if isinstance(data, list):
            made = [self.expand(v, at.children.get(i, at), (*path, i)) for i, v in enumerate(data)]
            inner: dict[str | int, Positions] = {i: p for i, (_, p) in enumerate(made)}
            return [v for v, _ in made], replace(at, children=inner)
        if isinstance(data, dict):
            items: dict[str, Any] = {}
            # Where a value was refused its place stays, by which it is known that it was given.
            children = {key: p for key, p in at.children.items() if key not in data}
            for key, value in data.items():
                old = at.children.get(key, at)
                name = self._text(key, old.key, needed=False)
                items[name], children[name] = self.expand(value, old, (*path, key))
            return items, replace(at, children=children)
        return data, at

    def _text(self, text: str, place: Place | None, *, needed: bool) -> str:
        if not text.startswith(PREFIX):
            return text
        name = text.removeprefix(PREFIX)
        if self._directory is None:
            self._say(
                [
                    error(
                        codes.NO_PACKAGE, f"no directory is beside a URL to find {name!r} in", place
                    )
                ],
                place,
                needed=needed,
            )
            return text
        if "\0" in name:
            return text
        try:
            return self._packages.reference(self._directory / name)
        except DolmenError as problem:
            self._say(problem.diagnostics, place, needed=needed)
            return text

    def _say(
        self, found: list[Diagnostic] | tuple[Diagnostic, ...], place: Place | None, *, needed: bool
    ) -> None:
        if needed:
            # Mistakes inside a build.yml have places of their own, and are shown there.
            self.found += [d if d.place else replace(d, place=place) for d in found]
            return
        why = found[0].message
        self.found.append(
            warning(
                codes.NO_PACKAGE,
                f"this is no package, so the text stays as it is: {why}",
                place,
            )
        )


def _is_image(path: tuple[str | int, ...]) -> bool:
    """Tell whether a path is that of an image's name."""
    if path[:1] == ("init",):
        return len(path) == 2
    if path[:1] == ("kernel",):
        return path[1:] == ("image",)
    in_list = path[:1] and path[0] in (*_CONTAINERS, "volumes")
    return bool(in_list) and len(path) == 3 and path[2] == "image"
