"""Values for shell completion, without slow imports."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from dolmen.setting_values import default_cache


def complete_formats(incomplete: str) -> list[str]:
    """Complete the last of several comma-separated formats."""
    from assembler.formats import available_formats  # noqa: PLC0415

    before, comma, _ = incomplete.rpartition(",")
    return [
        f"{before}{comma}{f.name}" for f in available_formats() if f.name not in before.split(",")
    ]


def complete_architectures() -> list[str]:
    """Return all architectures."""
    from assembler.oci import ARCHITECTURES  # noqa: PLC0415

    return list(ARCHITECTURES)


def complete_catalog() -> list[str]:
    """Return the names of the packages that Dolmen brings."""
    from assembler.catalog import catalog_names  # noqa: PLC0415

    return list(catalog_names())


def complete_codes() -> list[str]:
    """Return all error codes."""
    from assembler.codes import all_codes  # noqa: PLC0415

    return list(all_codes())


def complete_images(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the image names in the store, without docker.io unless it is typed.

    A store that cannot be read gives no names, because errors would disturb the command line.
    """
    from assembler.errors import DolmenError  # noqa: PLC0415
    from assembler.oci import Store  # noqa: PLC0415

    cache = (ctx.find_root().params or {}).get("cache")
    try:
        entries = Store(Path(cache or default_cache()).expanduser()).names().entries
    except (DolmenError, OSError):
        return []
    names = {entry.name for entry in entries if entry.name}
    for hub in ("docker.io/library/", "docker.io/"):
        spelled_out = incomplete and (hub.startswith(incomplete) or incomplete.startswith(hub))
        if not spelled_out:
            names = {name.removeprefix(hub) for name in names}
    return sorted(names)


# Seconds that a guest has to list its services, while a user waits for the key.
_SERVICES_TIMEOUT = 1.5


def complete_machines() -> list[str]:
    """Return the names of the machines."""
    from assembler.machine import list_machines, state_directory  # noqa: PLC0415

    return [machine.record.name for machine in list_machines(state_directory(os.environ))]


def complete_services(ctx: typer.Context) -> list[str]:
    """Return the services of the machine that is named; none if its agent does not answer."""
    from assembler.errors import DolmenError  # noqa: PLC0415
    from assembler.machine import find_machine, list_services, state_directory  # noqa: PLC0415

    name = str(ctx.params.get("name") or "")
    try:
        machine = find_machine("" if name == "-" else name, state_directory(os.environ))
        return [service.name for service in list_services(machine, _SERVICES_TIMEOUT)]
    except (DolmenError, OSError):
        return []
