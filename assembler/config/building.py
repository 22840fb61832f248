"""build.yml of a package: read and checked like image.yml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assembler.config.checking import check
from assembler.config.checks import Known, check_spec
from assembler.config.composing import compose
from assembler.config.converting import convert
from assembler.config.findings import bounded, has_errors, in_order
from assembler.config.model import Spec
from assembler.config.reading import Input, read
from assembler.errors import ConfigError

if TYPE_CHECKING:
    from assembler.config.position import Positions
    from assembler.diagnostics import Diagnostic


@dataclass(frozen=True, slots=True)
class BuildDocument:
    """A checked build.yml: plain data of the keys given, and their places."""

    data: dict[str, Any]
    at: Positions
    input: Input
    # What `config` says, for the label.
    config: Spec | None = None
    warnings: tuple[Diagnostic, ...] = ()


def read_build(argument: str | Input) -> BuildDocument:
    """Read a build.yml; raise ConfigError with everything wrong."""
    document = compose(argument if isinstance(argument, Input) else read(argument))
    checked = check("build", document.data, document.at)
    found: list[Diagnostic] = list(checked.found)
    data = checked.data if isinstance(checked.data, dict) else {}
    config = None
    if isinstance(data.get("config"), dict):
        config = convert(Spec, data["config"], checked.at.within("config"))
        found += bounded(check_spec(config, Known()))
    found = in_order(found)
    if has_errors(found):
        raise ConfigError(found)
    return BuildDocument(data, document.at, document.input, config, tuple(found))
