"""CBOR (RFC 8949) as far as signatures need it: numbers, strings, arrays and maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

CborValue = int | bytes | str | Sequence["CborValue"] | Mapping["int | str", "CborValue"]

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG = range(7)
_MAX_DEPTH = 8


def encode_cbor(value: CborValue) -> bytes:
    """Return a value in the shortest encoding; maps keep their order."""
    if isinstance(value, int):
        return _head(_UNSIGNED, value) if value >= 0 else _head(_NEGATIVE, -1 - value)
    if isinstance(value, bytes):
        return _head(_BYTES, len(value)) + value
    if isinstance(value, str):
        data = value.encode()
        return _head(_TEXT, len(data)) + data
    if isinstance(value, Mapping):
        pairs = (encode_cbor(key) + encode_cbor(item) for key, item in value.items())
        return _head(_MAP, len(value)) + b"".join(pairs)
    return _head(_ARRAY, len(value)) + b"".join(map(encode_cbor, value))


def decode_cbor(data: bytes) -> CborValue:
    """Return the value that data is; raise ValueError for anything else. Tags are left out."""
    value, end = _decode(data, 0, _MAX_DEPTH)
    if end != len(data):
        raise ValueError("CBOR data goes on behind its end")
    return value


def _head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes([major << 5 | number])
    for more, size in enumerate((1, 2, 4, 8), 24):
        if number < 1 << 8 * size:
            return bytes([major << 5 | more]) + number.to_bytes(size, "big")
    raise ValueError("CBOR has no number that large")


def _decode(data: bytes, at: int, depth: int) -> tuple[CborValue, int]:
    major, number, at = _decode_head(data, at)
    if not depth:
        raise ValueError("CBOR data is nested too deeply")
    if major == _UNSIGNED:
        return number, at
    if major == _NEGATIVE:
        return -1 - number, at
    # Each item has at least one byte.
    if number > len(data) - at and major != _TAG:
        raise ValueError("CBOR data is cut short")
    if major == _BYTES:
        return data[at : at + number], at + number
    if major == _TEXT:
        return data[at : at + number].decode(), at + number
    if major == _TAG:
        return _decode(data, at, depth - 1)
    if major == _ARRAY:
        items = []
        for _ in range(number):
            item, at = _decode(data, at, depth - 1)
            items.append(item)
        return items, at
    if major == _MAP:
        pairs: dict[int | str, CborValue] = {}
        for _ in range(number):
            key, at = _decode(data, at, depth - 1)
            if not isinstance(key, int | str):
                raise ValueError(  # noqa: TRY004 - of the data, as the others
                    "a key of a CBOR map is neither a number nor a text"
                )
            pairs[key], at = _decode(data, at, depth - 1)
        return pairs, at
    raise ValueError("CBOR data has a value of a kind that is not known")


def _decode_head(data: bytes, at: int) -> tuple[int, int, int]:
    """Return the kind of an item, its number, and where it goes on."""
    if at >= len(data):
        raise ValueError("CBOR data is cut short")
    major, number = data[at] >> 5, data[at] & 31
    at += 1
    if number < 24:
        return major, number, at
    if number > 27:
        raise ValueError("CBOR data has an item without a length")
    size = 1 << (number - 24)
    if at + size > len(data):
        raise ValueError("CBOR data is cut short")
    return major, int.from_bytes(data[at : at + size], "big"), at + size
