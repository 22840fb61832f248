"""`dolmen verify`: check offline that an image is what its keys have signed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dolmen.lazy import command_app
from dolmen.output import print_json, print_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.verification import Report

app = command_app()


@app.command()
def verify(
    path: Annotated[
        Path,
        typer.Argument(metavar="IMAGE", help="Disk, ISO, program for UEFI or update set."),
    ],
    keys: Annotated[
        Path,
        typer.Option(
            help="Directory with db.crt, and if they are to be checked PK.crt, KEK.crt, pcr.pub "
            "and update.pub; private keys are not read.",
            metavar="DIR",
        ),
    ],
    pcrs: Annotated[
        Path | None,
        typer.Option(
            help="Predictions to compare.  [default: NAME-pcrs.json beside the image]",
            metavar="FILE",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """Verify the chain of an image, from the boot loader to the last block, without booting it.

    \b
    dolmen verify --keys keys image-verified.img
    dolmen verify --keys keys image-update         # the directory with an update set
    dolmen verify --keys keys --json image.efi

    The checks are: the partition table and its copy, signatures of all programs by the key of db,
    root hashes with their signatures, partitions and hash trees, policies of PCR 11, predictions
    of PCRs, and of an update set the index and all files. What cannot be checked is listed with
    the reason. The exit code is 1 if a check fails.
    """
    from assembler.verification import read_trusted_keys
    from assembler.verification import verify as verify_image

    report = verify_image(path, read_trusted_keys(keys), pcrs)
    if as_json:
        print_json({"image": str(path), **report.as_json()})
    else:
        for line in _lines(path, report):
            print_line(line)
    if report.failed:
        raise typer.Exit(1)


def _lines(path: Path, report: Report) -> Iterator[str]:
    from assembler.printable import printable
    from assembler.verification import CheckOutcome

    yield f"{printable(str(path))}: {report.kind}"
    rows = []
    for check in report.checks:
        is_failed = check.outcome is CheckOutcome.FAILED
        shown = "FAILED" if is_failed else check.outcome.value
        rows.append((shown, check.part, check.name, check.detail))
    widths = [max((len(row[n]) for row in rows), default=0) for n in range(3)]
    for row in rows:
        cells = [row[n].ljust(widths[n]) for n in range(3)]
        yield printable(f"  {'  '.join((*cells, row[3]))}".rstrip())
    yield "not covered:"
    for text in report.not_covered:
        yield f"  {text}"
    failed = sum(check.outcome is CheckOutcome.FAILED for check in report.checks)
    yield f"{failed} of {len(rows)} checks failed" if report.failed else "no check failed"
