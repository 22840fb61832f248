"""Check the global options: mirrors and certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.codes import usage
from assembler.diagnostics import Diagnostic
from assembler.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def check_global_options(
    mirrors: Sequence[str], cert_files: Sequence[Path], what: str = "--cert-file"
) -> None:
    """Check the mirrors and certificates, whether the command uses them or not."""
    import ssl  # noqa: PLC0415

    from assembler.oci import parse_mirror  # noqa: PLC0415

    problems: list[Diagnostic] = []
    for text in mirrors:
        try:
            parse_mirror(text)
        except UsageError as error:
            problems += error.diagnostics
    for path in cert_files:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
        except ssl.SSLError:
            hint = "a certificate begins with -----BEGIN CERTIFICATE-----"
            message = f"{what}: no certificate in {path}"
            problems.append(Diagnostic(usage.BAD_OPTION, message, hints=(hint,)))
        except OSError as error:
            message = f"{what}: cannot read {path}: {error.strerror}"
            problems.append(Diagnostic(usage.BAD_OPTION, message))
    if problems:
        raise UsageError(problems)
