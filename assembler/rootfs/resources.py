"""Resource limits of a container: `resources` in the spelling of the runtime specification."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assembler.codes import rootfs
from assembler.config import format_page_size
from assembler.rootfs.diagnostic_collector import DiagnosticCollector

if TYPE_CHECKING:
    from assembler.rootfs.container_settings import ContainerSettings
    from assembler.rootfs.json_rendering import JsonObject


@dataclass(frozen=True, slots=True)
class _IntegerField:
    """An integer from `least` to `most`; `always` writes 0 for a missing one."""

    least: int
    most: int
    always: bool = False


@dataclass(frozen=True, slots=True)
class _ListField:
    """A list of maps."""

    of: Mapping[str, Any]


_ANY = _IntegerField(-(1 << 63), (1 << 63) - 1)
_U64, _U32, _U16 = (_IntegerField(0, (1 << bits) - 1) for bits in (64, 32, 16))
_NUMBER = _IntegerField(0, (1 << 32) - 1, always=True)
_TEXT, _FLAG, _ALLOW, _PAGES = "text", "flag", "allow", "pages"
_RATE = _ListField(
    {"major": _NUMBER, "minor": _NUMBER, "rate": _IntegerField(0, (1 << 64) - 1, always=True)}
)
_WEIGHT = _ListField({"major": _NUMBER, "minor": _NUMBER, "weight": _U16, "leafWeight": _U16})

# Names and order of the specification; the YAML may use any case.
SHAPE: Mapping[str, Any] = {
    "devices": _ListField(
        {"allow": _ALLOW, "type": _TEXT, "major": _ANY, "minor": _ANY, "access": _TEXT}
    ),
    "memory": {
        "limit": _ANY,
        "reservation": _ANY,
        "swap": _ANY,
        "kernel": _ANY,
        "kernelTCP": _ANY,
        "swappiness": _U64,
        "disableOOMKiller": _FLAG,
    },
    "cpu": {
        "shares": _U64,
        "quota": _ANY,
        "period": _U64,
        "realtimeRuntime": _ANY,
        "realtimePeriod": _U64,
        "cpus": _TEXT,
        "mems": _TEXT,
    },
    "pids": {"limit": _IntegerField(-(1 << 63), (1 << 63) - 1, always=True)},
    "blockIO": {
        "weight": _U16,
        "leafWeight": _U16,
        "weightDevice": _WEIGHT,
        "throttleReadBpsDevice": _RATE,
        "throttleWriteBpsDevice": _RATE,
        "throttleReadIOPSDevice": _RATE,
        "throttleWriteIOPSDevice": _RATE,
    },
    "hugepageLimits": _ListField(
        {"pageSize": _PAGES, "limit": _IntegerField(0, (1 << 64) - 1, always=True)}
    ),
    "network": {
        "classID": _U32,
        "priorities": _ListField({"name": _TEXT, "priority": _NUMBER}),
    },
}


def resources(settings: ContainerSettings, rules: Sequence[JsonObject]) -> JsonObject:
    """Return the resources, with the cgroup rules of devices after the given ones."""
    findings = DiagnosticCollector()
    given = dict(settings.spec.resources or {})

    def fail(path: tuple[str | int, ...], message: str) -> None:
        with findings.collect():
            name = ".".join(str(p) for p in path)
            place = settings.place("resources", *path)
            raise settings.error(rootfs.BAD_RESOURCE, f"resources.{name}: {message}", place=place)

    document = _map(given, SHAPE, (), fail)
    findings.raise_errors()
    if rules:
        document = {"devices": [*document.pop("devices", []), *rules], **document}
    return document


def _map(
    given: Mapping[str, Any],
    shape: Mapping[str, Any],
    path: tuple[str | int, ...],
    fail: Callable[[tuple[str | int, ...], str], None],
) -> JsonObject:
    spelt = {key.lower(): key for key in given}
    document: JsonObject = {}
    for name, kind in shape.items():
        key = spelt.get(name.lower())
        value = None if key is None else given[key]
        here = (*path, key if key is not None else name)
        if value is None:
            if isinstance(kind, _IntegerField) and kind.always:
                document[name] = 0
            elif kind is _ALLOW:
                document[name] = False
        elif isinstance(kind, _ListField):
            entries = value if isinstance(value, Sequence) and not isinstance(value, str) else ()
            document[name] = [
                _map(entry, kind.of, (*here, number), fail) for number, entry in enumerate(entries)
            ]
        elif isinstance(kind, Mapping):
            document[name] = _map(value, kind, here, fail)
        else:
            document[name] = _one(value, kind, here, fail)
    return document


def _one(
    value: object,
    kind: object,
    path: tuple[str | int, ...],
    fail: Callable[[tuple[str | int, ...], str], None],
) -> object:
    if isinstance(kind, _IntegerField):
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not kind.least <= value <= kind.most:  # type: ignore[operator]
            fail(path, f"{value!r} is not a number from {kind.least} to {kind.most}")
    elif kind in (_FLAG, _ALLOW) and not isinstance(value, bool):
        fail(path, f"{value!r} is neither true nor false")
    elif kind is _TEXT and not isinstance(value, str):
        fail(path, f"{value!r} is not a text")
    elif kind is _PAGES and isinstance(value, str | int):
        return format_page_size(value)
    return value
