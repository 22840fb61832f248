"""The catalogue: the packages that Dolmen brings, by name, in a checkout or installed.

catalog_names()             the names of all packages, sorted
catalog_directory(name)     the directory of a package; an unknown name is an error
catalog_name(directory)     the name of the package in a directory, or None
catalog_entries()           what each is for, where it goes, and an example
catalog_entry(name)         the same of one package -> CatalogEntry
catalog_time(directory)     when a package was changed last, if git cannot say it
is_installed(directory)     whether a directory is in an installed catalogue, out of git's sight
CATALOG_PREFIX              `@dolmen:`, before a name in YAML files and on command lines
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.catalog.directories import (
        CATALOG_PREFIX,
        catalog_directory,
        catalog_name,
        catalog_names,
        catalog_time,
        is_installed,
    )
    from assembler.catalog.entries import CatalogEntry, catalog_entries, catalog_entry

_HOMES = {
    "CATALOG_PREFIX": "directories",
    "CatalogEntry": "entries",
    "catalog_directory": "directories",
    "catalog_entries": "entries",
    "catalog_entry": "entries",
    "catalog_name": "directories",
    "catalog_names": "directories",
    "catalog_time": "directories",
    "is_installed": "directories",
}

__all__ = [
    "CATALOG_PREFIX",
    "CatalogEntry",
    "catalog_directory",
    "catalog_entries",
    "catalog_entry",
    "catalog_name",
    "catalog_names",
    "catalog_time",
    "is_installed",
]

if not TYPE_CHECKING:  # Else a type checker would take any name for granted.
    __getattr__ = front(__name__, _HOMES)
