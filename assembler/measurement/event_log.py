"""The event log of the TCG, as a kernel gives it, and its differences from a prediction."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from assembler.codes import measurement as codes
from assembler.data_files import open_data_file
from assembler.errors import OutputError, wrap_os_errors
from assembler.measurement.events import EVENT_TYPES, MeasuredEvent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from assembler.measurement.events import RegisterPrediction

_MAX_LOG = 16 << 20
_SHA256 = 0x0B
# The sizes of digests by the numbers of algorithms.
_SIZES = {0x04: 20, _SHA256: 32, 0x0C: 48, 0x0D: 64, 0x12: 32}
_SIGNATURE = b"Spec ID Event03\0"
_NO_ACTION = 3


def read_event_log(path: Path) -> list[MeasuredEvent]:
    """Return the events of a log (binary_bios_measurements) with their digests of SHA-256."""
    with wrap_os_errors(path, "read"), open_data_file(path) as file:
        data = file.read(_MAX_LOG)
    try:
        return list(_events(data))
    except (struct.error, KeyError, ValueError) as error:
        raise OutputError.of(
            codes.BAD_EVENT_LOG, f"{path} is no event log of a TPM 2.0, or it is cut short"
        ) from error


def _events(data: bytes) -> Iterator[MeasuredEvent]:
    (size,) = struct.unpack_from("<I", data, 28)
    if data[32:48] != _SIGNATURE:
        raise ValueError("it has another beginning")
    at = 32 + size
    while at < len(data):
        register, kind, count = struct.unpack_from("<III", data, at)
        at += 12
        digest = b""
        for _ in range(count):
            (algorithm,) = struct.unpack_from("<H", data, at)
            length = _SIZES[algorithm]
            if algorithm == _SHA256:
                digest = data[at + 2 : at + 2 + length]
            at += 2 + length
        (size,) = struct.unpack_from("<I", data, at)
        at += 4 + size
        if at > len(data) or len(digest) != _SIZES[_SHA256]:
            raise ValueError("it is cut short")
        if kind != _NO_ACTION:
            yield MeasuredEvent(register, EVENT_TYPES.get(kind, f"0x{kind:x}"), "", digest)


def log_differences(
    registers: Sequence[RegisterPrediction], log: Sequence[MeasuredEvent]
) -> Iterator[tuple[int, str]]:
    """Yield a register and its first difference, for each known one that differs."""
    for register in registers:
        if register.value is None:
            continue
        found = [event for event in log if event.register == register.number]
        for number, event in enumerate(register.events):
            if number >= len(found):
                yield register.number, f"{event.type} {event.what!r} was not measured"
                break
            if found[number].digest != event.digest:
                other = f"{found[number].type} {found[number].digest.hex()}"
                yield register.number, f"{other} was measured instead of {event.what!r}"
                break
        else:
            if len(found) > len(register.events):
                extra = found[len(register.events)]
                yield register.number, f"{extra.type} {extra.digest.hex()} was measured besides"
