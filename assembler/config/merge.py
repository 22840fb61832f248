"""The merge of several files: lists are concatenated, keys of other sections are replaced."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from assembler.config.conversion import yaml_fields
from assembler.config.model import Config, DiskSection, Firewall, Healthy, Kernel, Slots, Verified

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.config.positions import Positions

_Keys = TypeVar("_Keys", DiskSection, Healthy, Slots, Verified)
SECTIONS = ("init", "volumes", "onboot", "onshutdown", "services", "files")
# An empty value of these keys replaces an earlier value: it turns the feature off.
_REPLACED_BY_EMPTY = ("tar", "ucode")


def merge_configs(configs: Sequence[Config]) -> Config:
    """Merge configs in the order of their files."""
    merged = configs[0]
    for config in configs[1:]:
        merged = _merge_two(merged, config)
    return merged


def _merge_two(one: Config, two: Config) -> Config:
    children = {**one.positions.children, **two.positions.children}
    sections: dict[str, Any] = {}
    for section in SECTIONS:
        first, second = getattr(one, section), getattr(two, section)
        sections[section] = first + second
        if first and second:
            children[section] = _concatenate(
                one.positions.lookup(section), two.positions.lookup(section), len(first)
            )
        elif first:
            children[section] = one.positions.lookup(section)
    kernel = _merge_kernels(one.kernel, two.kernel)
    if kernel is not None:
        children["kernel"] = kernel.positions
    firewall = _merge_firewalls(one.firewall, two.firewall)
    if firewall is not None:
        children["firewall"] = firewall.positions
    verified = _merge_verified(one.verified, two.verified)
    if verified is not None:
        children["verified"] = verified.positions
    disk = _merge_disks(one.disk, two.disk)
    if disk is not None:
        children["disk"] = disk.positions
    return replace(
        one,
        **sections,
        kernel=kernel,
        firewall=firewall,
        verified=verified,
        disk=disk,
        trust=two.trust if two.trust is not None else one.trust,
        positions=replace(one.positions, children=children),
    )


def _merge_kernels(one: Kernel | None, two: Kernel | None) -> Kernel | None:
    if one is None or two is None:
        return one or two
    values: dict[str, Any] = {}
    children = dict(one.positions.children)
    for key, field in yaml_fields(Kernel):
        value = getattr(two, field.name)
        if value or (value is not None and key in _REPLACED_BY_EMPTY):
            values[field.name] = value
            children[key] = two.positions.lookup(key)
    return replace(one, **values, positions=replace(one.positions, children=children))


def _merge_firewalls(one: Firewall | None, two: Firewall | None) -> Firewall | None:
    if one is None or two is None:
        return one or two
    children = {**one.positions.children, **two.positions.children}
    first, second = one.expose or (), two.expose or ()
    if first and second:
        children["expose"] = _concatenate(
            one.positions.lookup("expose"), two.positions.lookup("expose"), len(first)
        )
    elif first:
        children["expose"] = one.positions.lookup("expose")
    return Firewall(
        (*first, *second),
        one.forward if two.forward is None else two.forward,
        one.ping if two.ping is None else two.ping,
        positions=replace(one.positions, children=children),
    )


def _merge_verified(one: Verified | None, two: Verified | None) -> Verified | None:
    """`false` turns an earlier file's mapping off; `true` leaves it as it is."""
    if one is None or two is None or not two.enabled:
        return two or one
    merged = replace(_merge_keys(one, two) or two, enabled=True)
    return _with_part(merged, "healthy", _merge_keys(one.healthy, two.healthy))


def _merge_disks(one: DiskSection | None, two: DiskSection | None) -> DiskSection | None:
    if one is None or two is None:
        return one or two
    slots = _merge_keys(one.slots, two.slots)
    merged = _with_part(_merge_keys(one, two) or two, "slots", slots)
    first, second = one.data or (), two.data or ()
    if not (first and second):
        return replace(merged, data=first or second or merged.data)
    data = _concatenate(one.positions.lookup("data"), two.positions.lookup("data"), len(first))
    children = {**merged.positions.children, "data": data}
    positions = replace(merged.positions, children=children)
    return replace(merged, data=(*first, *second), positions=positions)


def _merge_keys(one: _Keys | None, two: _Keys | None) -> _Keys | None:
    """Return a section with the keys of a later file over it."""
    if one is None or two is None:
        return one or two
    kind: Any = type(two)
    fields = [field.name for _, field in yaml_fields(kind)]
    given: dict[str, Any] = {n: v for n in fields if (v := getattr(two, n)) is not None}
    children = {**one.positions.children, **two.positions.children}
    return replace(one, **given, positions=replace(one.positions, children=children))


def _with_part(whole: _Keys, key: str, part: Any) -> _Keys:  # noqa: ANN401 - any part of a section
    """Return a section with a part that was merged by itself."""
    if part is None:
        return whole
    children = {**whole.positions.children, key: part.positions}
    positions = replace(whole.positions, children=children)
    changed: dict[str, Any] = {key: part}
    return replace(whole, **changed, positions=positions)


def _concatenate(one: Positions, two: Positions, length: int) -> Positions:
    children = dict(one.children)
    for index, entry in two.children.items():
        assert isinstance(index, int)  # noqa: S101 - positions of a list
        children[length + index] = entry
    return replace(one, children=children)
