"""`dolmen cache verify`: every byte of the store is checked, and what is wrong is repaired."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from dolmen.console import progress, say, size_text
from dolmen.lazy import command_app
from dolmen.registries import Creds, Insecure, registry_options
from dolmen.settings import settings_of

if TYPE_CHECKING:
    from assembler.oci import VerifyReport

app = command_app()


@app.command()
def verify(
    ctx: typer.Context,
    repair: Annotated[
        bool, typer.Option("--repair", help="Fetch again what is missing or wrong.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
    insecure: Insecure = None,
    registry_creds: Creds = None,
) -> None:
    """Check every byte of the store, and repair it.

    \b
    dolmen cache verify
    dolmen cache verify --repair

    Each blob is read and its digest computed; one that is wrong is put aside, so that
    it is fetched again. Every name must lead to an image of which nothing is missing.
    The exit code is 1 if something is wrong and was not repaired.
    """
    from assembler.errors import ImageError
    from assembler.oci import Store, verify_store

    settings = settings_of(ctx)
    fetch = None
    if repair:
        from assembler.oci import ImageSources

        fetch = ImageSources(
            store=settings.cache,
            registries=registry_options(settings, insecure, registry_creds),
        ).fetcher()
    with progress(settings) as reporter:
        report = verify_store(Store(settings.cache), reporter, repair=repair, fetch=fetch)
    _show(report, as_json=as_json)
    if report.problems:
        raise ImageError(report.problems)


def _show(report: VerifyReport, *, as_json: bool) -> None:
    if as_json:
        document = {
            "clean": report.clean,
            "images": report.images,
            "blobs": report.blobs,
            "bytes": report.bytes,
            "orphans": report.orphans,
            "orphanBytes": report.orphan_bytes,
            "repaired": report.repaired,
            "problems": [d.as_json() for d in report.problems],
        }
        say(json.dumps(document, indent=2))
        return
    for line in report.repaired:
        say(line)
    say(f"{report.images} images, {report.blobs} blobs, {size_text(report.bytes)} verified")
    if report.orphans:
        what = f"{report.orphans} blobs, {size_text(report.orphan_bytes)}, belong to no image"
        say(f"{what}: `dolmen cache clean` removes them when they are an hour old")
