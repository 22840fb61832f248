"""The predictions of PCRs beside outputs that UEFI boots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.errors import DolmenError
from assembler.events import LogMessage
from assembler.files import atomic_write
from assembler.formats import Output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.events import Reporter
    from assembler.formats import Target

SUFFIX, ROLE = "-pcrs.json", "pcrs"
# They are unpacked before a machine starts them.
_ARCHIVES = (".tar.gz", ".tar")


def write_predictions(
    outputs: Sequence[Output], target: Target, reporter: Reporter
) -> list[Output]:
    """Write what machines measure that boot the outputs, as one file for all of them."""
    paths = {o.path: o.format for o in outputs if o.path and not o.path.name.endswith(_ARCHIVES)}
    if not paths:
        return []
    from assembler.measurement import predict_registers, prediction_document  # noqa: PLC0415

    found = {}
    for path in paths:
        try:
            found[path.name] = predict_registers(path)
        except DolmenError as error:
            why = error.diagnostics[0].message
            reporter.emit(LogMessage(f"no PCRs of {path.name} are predicted: {why}"))
    if not found:
        return []
    path = target.path(SUFFIX)
    content = prediction_document(found)
    with atomic_write(path, durable=False) as file:
        file.write(content)
    return [Output(next(iter(paths.values())), ROLE, len(content), path)]
