"""Several files as one: lists are joined in order, the kernel's members replaced one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from assembler.config.converting import yaml_fields
from assembler.config.model import Config, Kernel
from assembler.config.position import Positions

if TYPE_CHECKING:
    from collections.abc import Sequence

SECTIONS = ("init", "volumes", "onboot", "onshutdown", "services", "files")
# These replace an earlier value even where they are given as empty: they turn it off.
_COUNT_WHEN_EMPTY = ("tar", "ucode")


def merge(configs: Sequence[Config]) -> Config:
    """Merge configurations in the order of their files."""
    merged = configs[0]
    for config in configs[1:]:
        merged = _merge_two(merged, config)
    return merged


def _merge_two(one: Config, two: Config) -> Config:
    children = {**one.at.children, **two.at.children}
    made: dict[str, Any] = {}
    for section in SECTIONS:
        first, second = getattr(one, section), getattr(two, section)
        made[section] = first + second
        if first and second:
            children[section] = _joined(one.at.within(section), two.at.within(section), len(first))
        elif first:
            children[section] = one.at.within(section)
    kernel = _kernel(one.kernel, two.kernel)
    if kernel is not None:
        children["kernel"] = kernel.at
    return replace(
        one,
        **made,
        kernel=kernel,
        trust=two.trust if two.trust is not None else one.trust,
        at=replace(one.at, children=children),
    )


def _kernel(one: Kernel | None, two: Kernel | None) -> Kernel | None:
    if one is None or two is None:
        return one or two
    made: dict[str, Any] = {}
    children = dict(one.at.children)
    for key, field in yaml_fields(Kernel):
        value = getattr(two, field.name)
        if value or (value is not None and key in _COUNT_WHEN_EMPTY):
            made[field.name] = value
            children[key] = two.at.within(key)
    return replace(one, **made, at=replace(one.at, children=children))


def _joined(one: Positions, two: Positions, length: int) -> Positions:
    children = dict(one.children)
    for index, inner in two.children.items():
        assert isinstance(index, int)  # noqa: S101 - both are lists
        children[length + index] = inner
    return replace(one, children=children)
