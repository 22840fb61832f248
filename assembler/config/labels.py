"""The label of an image: defaults for its containers, checked like a file."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from assembler.codes import config as codes
from assembler.config.checks import (
    KnownNames,
    check_container_spec,
    check_ids,
    check_label_spec,
)
from assembler.config.composer import compose_text
from assembler.config.conversion import convert_to_model
from assembler.config.diagnostics import (
    error,
    has_errors,
    sort_and_limit,
    take_until_limit,
    warning,
)
from assembler.config.messages import describe_value
from assembler.config.model import ContainerSpec
from assembler.config.schema_check import check_schema
from assembler.diagnostics import Diagnostic, SourceText
from assembler.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

LABEL = "org.mobyproject.config"
_FORBIDDEN_KEYS = ("name", "image")


def parse_label(
    text: str,
    image: str,
    names: Collection[str] | None = None,
    warn: Callable[[Diagnostic], None] | None = None,
    label: str = LABEL,
) -> ContainerSpec | None:
    """Parse the text of the label named `label`; return None if it is empty.

    `names` are the names of all containers, which user and group IDs may refer to; with None they
    are not checked. Diagnostics point into the text, under the name of the image and of the label.
    """
    if not text.strip():
        return None
    source = SourceText(f"{image} (label {label})", text)
    data, positions = compose_text(source)
    if data is None:
        return None
    if not isinstance(data, dict):
        message = f"the label {label} of {image} must be a mapping, not {describe_value(data)}"
        raise ConfigError.of(codes.BAD_LABEL, message, place=positions.place)
    diagnostics: list[Diagnostic] = [
        error(
            codes.BAD_LABEL,
            f"`{key}` cannot be set in a label",
            positions.lookup(key).key,
            "only a YAML file can set it",
        )
        for key in _FORBIDDEN_KEYS
        if key in data
    ]
    allowed = {key: value for key, value in data.items() if key not in _FORBIDDEN_KEYS}
    checked = check_schema("image", allowed, positions, "spec")
    diagnostics += checked.diagnostics
    spec = convert_to_model(ContainerSpec, checked.data, checked.positions)
    known = KnownNames(containers=frozenset(names or ()), containers_complete=names is not None)
    diagnostics += take_until_limit(
        chain(
            check_container_spec(spec, known),
            check_ids(spec, known),
            _additions(spec),
            check_label_spec(spec),
        )
    )
    diagnostics = sort_and_limit(diagnostics)
    if has_errors(diagnostics):
        raise ConfigError(diagnostics)
    for diagnostic in diagnostics:
        if warn is not None:
            warn(diagnostic)
    return spec


def _additions(spec: ContainerSpec) -> Iterator[Diagnostic]:
    for key, value in (
        ("capabilities.add", spec.capabilities_add),
        ("binds.add", spec.binds_add),
    ):
        if value is not None:
            yield warning(
                codes.NO_EFFECT,
                f"`{key}` has no effect in a label",
                spec.positions.lookup(key).key,
                f"write `{key.removesuffix('.add')}`",
            )
