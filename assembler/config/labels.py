"""The label of an image: defaults for the containers made of it, checked like a file."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from assembler.codes import config as codes
from assembler.config.checking import check
from assembler.config.checks import Known, check_ids, check_spec
from assembler.config.composing import compose_source
from assembler.config.converting import convert
from assembler.config.findings import bounded, error, has_errors, in_order, warning
from assembler.config.messages import given
from assembler.config.model import Spec
from assembler.diagnostics import Diagnostic, Source
from assembler.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

LABEL = "org.mobyproject.config"


def parse_label(
    text: str,
    image: str,
    names: Collection[str] | None = None,
    warn: Callable[[Diagnostic], None] | None = None,
) -> Spec | None:
    """Read the label's text; None if there is nothing in it.

    `names` are those of all containers, which ids may use; without them names are not looked up.
    Mistakes point into the text, under the name of the image and of the label.
    """
    if not text.strip():
        return None
    source = Source(f"{image} (label {LABEL})", text)
    data, at = compose_source(source)
    if data is None:
        return None
    if not isinstance(data, dict):
        message = f"the label {LABEL} of {image} must be a mapping, not {given(data)}"
        raise ConfigError.of(codes.BAD_LABEL, message, place=at.place)
    found: list[Diagnostic] = [
        error(
            codes.BAD_LABEL,
            f"`{key}` cannot be set in a label",
            at.within(key).key,
            "it is for the YAML file to say",
        )
        for key in ("name", "image")
        if key in data
    ]
    rest = {key: value for key, value in data.items() if key not in ("name", "image")}
    checked = check("image", rest, at, "spec")
    found += checked.found
    spec = convert(Spec, checked.data, checked.at)
    known = Known(containers=frozenset(names or ()), names_complete=names is not None)
    found += bounded(chain(check_spec(spec, known), check_ids(spec, known), _additions(spec)))
    found = in_order(found)
    if has_errors(found):
        raise ConfigError(found)
    for diagnostic in found:
        if warn is not None:
            warn(diagnostic)
    return spec


def _additions(spec: Spec) -> Iterator[Diagnostic]:
    for key, value in (
        ("capabilities.add", spec.capabilities_add),
        ("binds.add", spec.binds_add),
    ):
        if value is not None:
            yield warning(
                codes.NO_EFFECT,
                f"`{key}` has no effect in a label",
                spec.at.within(key).key,
                f"write `{key.removesuffix('.add')}`",
            )
