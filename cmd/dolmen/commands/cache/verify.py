"""`dolmen cache verify`: verify the store, and repair it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from assembler.quantities import size_text
from dolmen.lazy import command_app
from dolmen.output import print_json, print_line
from dolmen.progress import progress_reporter
from dolmen.registries import Creds, Insecure, registry_options
from dolmen.settings import settings_of

if TYPE_CHECKING:
    from assembler.oci import VerifyReport

app = command_app()


@app.command()
def verify(
    ctx: typer.Context,
    repair: Annotated[
        bool, typer.Option("--repair", help="Fetch missing or corrupt blobs again.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
    insecure: Insecure = None,
    registry_creds: Creds = None,
) -> None:
    """Verify every byte of the store, and repair it.

    \b
    dolmen cache verify
    dolmen cache verify --repair

    The digest of each blob is checked; corrupt blobs are moved to quarantine, so that they
    are fetched again. Every name must refer to a complete image. Damaged segments are
    removed, and the next build encodes them again; so are damaged Debian packages, git
    checkouts and Go toolchains, which are fetched and unpacked again. The exit code is 1 if
    problems remain.
    """
    from assembler.debian import verify_debian_packages
    from assembler.encode import verify_segments
    from assembler.errors import ImageError
    from assembler.git_sources import verify_checkouts
    from assembler.golang import verify_toolchains
    from assembler.oci import Store, verify_store

    settings = settings_of(ctx)
    fetch = None
    if repair:
        from assembler.oci import ImageSources

        fetch = ImageSources(
            store=settings.cache,
            registries=registry_options(settings, insecure, registry_creds),
        ).fetcher()
    with progress_reporter(settings) as reporter:
        store = Store(settings.cache)
        report = verify_store(store, reporter, repair=repair, fetch=fetch)
        verify_segments(store, report, reporter)
        verify_debian_packages(store, report, reporter)
        verify_toolchains(store, report, reporter)
        verify_checkouts(store, report, reporter)
    _show(report, as_json=as_json)
    if report.problems:
        raise ImageError(report.problems)


def _show(report: VerifyReport, *, as_json: bool) -> None:
    if as_json:
        print_json(report.as_json())
        return
    for line in report.repaired:
        print_line(line)
    counts = f"{report.images} images, {report.blobs} blobs, {report.segments} segments"
    if report.others:
        counts += f", {report.others} packages and toolchains"
    total = report.bytes + report.segment_bytes + report.other_bytes
    print_line(f"{counts}, {size_text(total)} verified")
    if report.orphans:
        orphans = f"{report.orphans} blobs, {size_text(report.orphan_bytes)}, belong to no image"
        print_line(f"{orphans}; `dolmen cache clean` removes those older than an hour")
