"""The catalogue in a checkout: names and directories of all packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from assembler.catalog import catalog_directory, catalog_names, catalog_time, is_installed
from assembler.errors import PackageError
from assembler.packages import package_names, read_package

REPOSITORY = Path(__file__).parents[3]


def test_the_catalogue_has_every_package_of_the_checkout() -> None:
    found = {d.parent for folder in ("pkg", "kernel") for d in (REPOSITORY / folder).glob("*/*")}
    # Of several kernels.
    found.remove(REPOSITORY / "kernel/config")
    assert {catalog_directory(name) for name in catalog_names()} == found
    assert list(catalog_names()) == sorted(catalog_names())


@pytest.mark.parametrize("name", catalog_names())
def test_a_package_has_the_name_of_its_image(name: str) -> None:
    build = read_package(catalog_directory(name)).build
    assert (build.org, build.image) == ("dolmen", name)


ALL = "dolmen pkg list shows them all"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ngnix", "did you mean @dolmen:nginx?"),
        ("virtual", ALL),
        ("", ALL),
        ("../pkg/init", ALL),
    ],
)
def test_an_unknown_name_is_an_error(name: str, hint: str) -> None:
    with pytest.raises(PackageError, match="no package") as caught:
        catalog_directory(name)
    assert caught.value.diagnostics[0].hints == (hint,)


def test_the_library_accepts_names_of_the_catalogue() -> None:
    (named,) = package_names("@dolmen:init")
    assert named == package_names(catalog_directory("init"))[0]


def test_git_decides_in_a_checkout() -> None:
    directory = catalog_directory("init")
    assert not is_installed(directory)
    assert catalog_time(directory) == 0
