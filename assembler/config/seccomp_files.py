"""The profiles that `seccomp` of containers names: read, checked, and kept as plain data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from assembler.codes import config as codes
from assembler.config.composer import compose_text
from assembler.config.diagnostics import error
from assembler.config.positions import Positions
from assembler.config.schema_check import check_schema
from assembler.diagnostics import Diagnostic, Place, SourceText
from assembler.errors import DolmenError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Profiles of container engines have 20 KiB.
_MAX_SIZE = 512 << 10


def parse_profile(
    content: bytes, name: str, diagnostics: list[Diagnostic]
) -> Mapping[str, Any] | None:
    """Return the data of a profile; mistakes are added to diagnostics, with their places."""
    if len(content) > _MAX_SIZE:
        place = Place(SourceText(name, ""))
        message = f"the profile is larger than {_MAX_SIZE >> 10} KiB"
        diagnostics.append(error(codes.BAD_SECCOMP, message, place))
        return None
    text = content.decode("utf-8-sig", "replace")
    source = SourceText(name, text)
    try:
        data = json.loads(text)
    except json.JSONDecodeError as failure:
        place = Place(source, failure.lineno, failure.colno)
        message = f"not JSON: {failure.msg[:1].lower()}{failure.msg[1:]}"
        diagnostics.append(error(codes.BAD_SECCOMP, message, place))
        return None
    except RecursionError:
        diagnostics.append(error(codes.BAD_SECCOMP, "it is nested too deeply", Place(source)))
        return None
    if not isinstance(data, dict):
        message = "a profile is a mapping with `defaultAction` and `syscalls`"
        diagnostics.append(error(codes.BAD_SECCOMP, message, Place(source, 1, 1)))
        return None
    mistakes = check_schema("seccomp", data, Positions(Place(source, 1, 1))).diagnostics
    if mistakes:
        mistakes = check_schema("seccomp", data, _positions(source)).diagnostics
        diagnostics += mistakes
        return None
    return data


def _positions(source: SourceText) -> Positions:
    """Return the places in a JSON text, which is YAML except for tabs."""
    text = source.text.replace("\t", " ")
    try:
        return compose_text(SourceText(source.name, text))[1]
    except DolmenError:
        return Positions(Place(source, 1, 1))
