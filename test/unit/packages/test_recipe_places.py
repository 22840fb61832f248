"""Errors of recipes have the place of the value that they mention."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assembler.codes import host
from assembler.codes import packages as codes
from assembler.errors import PackageError
from assembler.packages.package_reader import read_package
from assembler.packages.recipe_places import with_recipe_places

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.codes import Code

RECIPE = """\
image: p
debs:
  suite: trixie
  packages: [hello, hello-doc]
  users: [svc]
"""


@pytest.mark.parametrize(
    ("code", "message", "at"),
    [
        (codes.UNRESOLVABLE, "cannot resolve hello-doc in trixie", (4, 21)),
        (codes.UNRESOLVABLE, "cannot resolve hello in trixie", (4, 14)),
        (codes.NO_MIRROR, "the archive has no Release file", (3, 10)),
        (codes.BAD_RECIPE, "the user svc needs a UID", (5, 11)),
        (codes.BAD_RECIPE, "something else", (2, 1)),
        (host.TOOL_FAILED, "hello failed", None),
    ],
)
def test_the_place_is_that_of_the_mentioned_value(
    tmp_path: Path, code: Code, message: str, at: tuple[int, int] | None
) -> None:
    (tmp_path / "build.yml").write_text(RECIPE)
    error = with_recipe_places(PackageError.of(code, message), read_package(tmp_path).build)
    place = error.diagnostics[0].place
    assert (place and (place.line, place.column)) == at
