"""The places in build.yml of values that errors of recipes mention."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from assembler.codes import packages as codes
from assembler.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.config import BuildFile, DebsRecipe
    from assembler.diagnostics import Diagnostic, Place
    from assembler.errors import DolmenError

# What the recipe is the cause of; other errors are about the network or this machine.
_OF_RECIPES = (
    codes.BAD_RECIPE,
    codes.FILE_CONFLICT,
    codes.NO_MIRROR,
    codes.UNRESOLVABLE,
)


def with_recipe_places(error: DolmenError, build: BuildFile) -> DolmenError:
    """Return the error with places in build.yml for diagnostics about the recipe."""
    recipe = build.debs
    if recipe is None or all(d.place or d.code not in _OF_RECIPES for d in error.diagnostics):
        return error
    return PackageError(
        [
            replace(d, place=_place(d, recipe, build))
            if d.place is None and d.code in _OF_RECIPES
            else d
            for d in error.diagnostics
        ]
    )


def _place(diagnostic: Diagnostic, recipe: DebsRecipe, build: BuildFile) -> Place | None:
    """Return the place of the longest value that the message mentions; else that of the recipe."""
    if diagnostic.code == codes.NO_MIRROR:
        return build.positions.place_of("debs", "suite")
    message = diagnostic.message
    mentioned = [
        (len(text), path)
        for path, text in _values(recipe)
        if text and re.search(rf"(?<![\w.-]){re.escape(text)}(?![\w.-])", message)
    ]
    if mentioned:
        return build.positions.place_of("debs", *max(mentioned, key=lambda m: m[0])[1])
    own = build.positions.lookup("debs")
    return own.key or own.place


def _values(recipe: DebsRecipe) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for key in ("packages", "exclude", "drop", "users", "modules"):
        for number, text in enumerate(getattr(recipe, key)):
            yield (key, number), text
    for number, file in enumerate(recipe.files):
        yield ("files", number), file.path
        yield ("files", number, "source"), file.source or ""
    for path in recipe.links:
        yield ("links", path), path
