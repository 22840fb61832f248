"""The entries of the catalogue: complete, and with examples that are valid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assembler.build import validate
from assembler.catalog import CatalogEntry, catalog_directory, catalog_entries, catalog_names
from assembler.formats import available_formats
from assembler.packages import package_privileges, read_package

if TYPE_CHECKING:
    from pathlib import Path

ENTRIES = catalog_entries()


def test_each_package_has_an_entry() -> None:
    assert sorted(entry.name for entry in ENTRIES) == list(catalog_names())


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_example_is_valid_and_names_the_package(entry: CatalogEntry, tmp_path: Path) -> None:
    if entry.example.startswith("dolmen "):
        words = entry.example.split()
        assert words[:3] == ["dolmen", "build", "--format"]
        assert words[3] in {f.name for f in available_formats()}
        return
    assert f'"@dolmen:{entry.name}"' in entry.example or f"=@dolmen:{entry.name}" in entry.example
    name = "image.yml" if entry.sections else "build.yml"
    (tmp_path / name).write_text(entry.example)
    assert validate(tmp_path / name).diagnostics == ()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_only_a_container_has_privileges(entry: CatalogEntry) -> None:
    label = read_package(catalog_directory(entry.name)).build.label
    assert bool(package_privileges(label)) == bool({*entry.sections} - {"kernel", "init"})


def test_privileges_are_those_of_build_yml() -> None:
    assert package_privileges(read_package(catalog_directory("sshd")).build.label)[:3] == (
        "all capabilities",
        "runs as root",
        "shares with the host: the network, all processes, shared memory, the host name",
    )
    assert package_privileges(read_package(catalog_directory("redis")).build.label) == (
        "no capabilities",
        "runs as user 999",
        "shares with the host: the network",
        "its root filesystem is read-only",
        "gains no other privileges",
        "its system calls are filtered",
    )
