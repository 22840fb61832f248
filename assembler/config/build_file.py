"""The reader of build.yml: checked like image.yml, returned as plain data with places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assembler.config.checks import KnownNames, check_container_spec, check_label_spec
from assembler.config.composer import compose_input
from assembler.config.conversion import convert_to_model
from assembler.config.diagnostics import has_errors, sort_and_limit, take_until_limit
from assembler.config.go_scalars import convert_scalars
from assembler.config.inputs import ConfigInput, read_input
from assembler.config.model import ContainerSpec
from assembler.config.schema_check import check_schema
from assembler.errors import ConfigError

if TYPE_CHECKING:
    from assembler.config.positions import Positions
    from assembler.diagnostics import Diagnostic


@dataclass(frozen=True, slots=True)
class BuildDocument:
    """A checked build.yml: its keys as plain data, and their places."""

    data: dict[str, Any]
    positions: Positions
    input: ConfigInput
    # The section `config`, for the label of the image.
    config: ContainerSpec | None = None
    warnings: tuple[Diagnostic, ...] = ()


def read_build_file(argument: str | ConfigInput) -> BuildDocument:
    """Read and check a build.yml; raise one ConfigError with all mistakes."""
    given = argument if isinstance(argument, ConfigInput) else read_input(argument)
    document = compose_input(given)
    typed = convert_scalars("build", document.data, document.positions)
    checked = check_schema("build", typed.data, typed.positions)
    diagnostics: list[Diagnostic] = [*typed.warnings, *checked.diagnostics]
    data = checked.data if isinstance(checked.data, dict) else {}
    config = None
    if isinstance(data.get("config"), dict):
        positions = checked.positions.lookup("config")
        config = convert_to_model(ContainerSpec, data["config"], positions)
        diagnostics += take_until_limit(check_container_spec(config, KnownNames()))
        diagnostics += check_label_spec(config)
    diagnostics = sort_and_limit(diagnostics)
    if has_errors(diagnostics):
        raise ConfigError(diagnostics)
    return BuildDocument(data, typed.positions, document.input, config, tuple(diagnostics))
