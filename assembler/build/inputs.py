"""The YAML files of a build: read once, with every problem in one error."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from assembler.codes import config as codes
from assembler.config import ConfigInput, is_url, printable_name, read_input
from assembler.diagnostics import Diagnostic, Place, SourceText
from assembler.errors import ConfigError, DolmenError

if TYPE_CHECKING:
    from collections.abc import Sequence


def read_inputs(
    names: Sequence[str], *, allow_local_sources: bool = False, offline: bool = False
) -> list[ConfigInput]:
    """Read every file; raise ConfigError with all that cannot be read, and all mistakes.

    Nothing is fetched if `offline`.
    """
    inputs: list[ConfigInput] = []
    problems: list[Diagnostic] = []
    seen: set[str] = set()
    for name in names:
        same = name if name == "-" or is_url(name) else os.path.realpath(name)
        if same in seen:
            shown = printable_name(name)
            place = Place(SourceText(shown, ""))
            problems.append(Diagnostic(codes.DUPLICATE_INPUT, f"{shown} is given twice", place))
            continue
        seen.add(same)
        if offline and is_url(name):
            problems.append(_offline_problem(printable_name(name)))
            continue
        try:
            inputs.append(read_input(name))
        except ConfigError as error:
            problems += error.diagnostics
    if problems:
        raise ConfigError([*problems, *_mistakes_in(inputs, allow_local=allow_local_sources)])
    return inputs


def _offline_problem(name: str) -> Diagnostic:
    return Diagnostic(
        codes.DOWNLOAD_FAILED,
        f"--offline forbids to fetch {name}",
        Place(SourceText(name, "")),
        ("save the file while online, and build from its path",),
    )


def _mistakes_in(inputs: Sequence[ConfigInput], *, allow_local: bool) -> Sequence[Diagnostic]:
    """Return the mistakes in the files that could be read: one run shows everything."""
    from assembler.build.local_references import LocalReferences, unfetched_references  # noqa: PLC0415 - as below
    from assembler.build.preparation import read_config  # noqa: PLC0415 - the parser is heavy
    from assembler.oci import ImageSources  # noqa: PLC0415

    packages = LocalReferences(lambda: unfetched_references(ImageSources()))
    try:
        read_config(inputs, packages, allow_local_sources=allow_local)
    except DolmenError as error:
        return error.diagnostics
    return ()
