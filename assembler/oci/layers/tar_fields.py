"""The fields of a tar header: numbers, names, times and pax records.

All parsers are pure and strict: values that no tar writer writes raise `MalformedTarError`.
"""

from __future__ import annotations

from zlib import adler32

MAX_NAME_LENGTH = 4095


class MalformedTarError(Exception):
    """A layer or archive is malformed; callers add its name and raise a diagnostic."""


def has_valid_checksum(header: bytes) -> bool:
    """Tell whether the checksum of a header is right, as signed or unsigned sum."""
    # The low half of Adler's sum is one more than the sum of the bytes, modulo 65521: as good
    # as the sum for what a checksum is for, and a tenth of its cost.
    found = adler32(header[156:], adler32(header[:148])) & 0xFFFF
    digits = header[148:154]
    if digits.isdigit() and header[154] == 0 and b"8" not in digits and b"9" not in digits:
        stored = int(digits, 8)
    else:
        stored = parse_number(header[148:156], "checksum")
    if not (stored - 255 - found) % 65521:
        return True
    return stored == sum(b - 256 if b > 127 else b for b in header[:148] + header[156:]) + 256


def parse_number(field: bytes, what: str) -> int:
    """Parse octal digits between blanks and NULs, or GNU's base 256."""
    first = field[0]
    if first & 0x80:
        value = int.from_bytes(field, "big", signed=True) if first == 0xFF else _positive(field)
        if not -(1 << 63) <= value < 1 << 63:
            raise MalformedTarError(f"its {what} does not fit 64 bits")
        return value
    digits = field.strip(b" \0")
    if not digits:
        return 0
    # int() alone accepts "0_7" and "-7".
    if not digits.isdigit():
        raise MalformedTarError(f"its {what} is {field!r}, which is not a number")
    try:
        return int(digits, 8)
    except ValueError:
        raise MalformedTarError(f"its {what} is {field!r}, which is not an octal number") from None


def _positive(field: bytes) -> int:
    return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")


def parse_size(field: bytes) -> int:
    """Parse the size of an entry."""
    size = parse_number(field, "size")
    if size < 0:
        raise MalformedTarError(f"its size is {size}")
    return size


def parse_decimal(text: bytes, what: str) -> int:
    """Parse a decimal number of a pax record."""
    if not text.isdigit() or len(text) > 19:
        raise MalformedTarError(f"its {what} is {text[:40]!r}, which is not a number")
    return int(text)


def parse_pax_time(text: bytes) -> tuple[int, bytes]:
    """Parse a pax time: whole seconds, rounded down, and the text if it has a fraction."""
    whole, point, fraction = text.partition(b".")
    sign = -1 if whole[:1] == b"-" else 1
    digits = whole[1:] if sign < 0 else whole
    if (
        (digits and not digits.isdigit())
        or len(digits) > 18
        or (fraction and not fraction.isdigit())
    ):
        raise MalformedTarError(f"its time is {text[:40]!r}, which is not a time")
    if not digits and not fraction:
        raise MalformedTarError("its time is empty")
    seconds = sign * int(digits or b"0")
    if not point or not fraction.strip(b"0"):
        return seconds, b""
    return (seconds - 1 if sign < 0 else seconds), text


def parse_pax_records(block: bytes) -> dict[bytes, bytes]:
    """Parse the records of a pax header: "LENGTH KEY=VALUE\\n"; the last of a key counts."""
    found: dict[bytes, bytes] = {}
    # Sparse format 0.0 repeats two keys for each range; 0.1 separates the values by commas.
    repeated: list[bytes] = []
    at, end = 0, len(block)
    while at < end:
        blank = block.find(b" ", at, at + 20)
        digits = block[at:blank] if blank > at else b""
        if not digits.isdigit():
            raise MalformedTarError("its pax header is broken")
        stop = at + int(digits)
        if stop > end or stop <= blank or block[stop - 1] != 0x0A:
            raise MalformedTarError("its pax header is broken")
        key, equals, value = block[blank + 1 : stop - 1].partition(b"=")
        if not equals or not key:
            raise MalformedTarError("its pax header is broken")
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            repeated.append(value)
        else:
            found[key] = value
        at = stop
    if repeated:
        found[b"GNU.sparse.map"] = b",".join(repeated)
    return found


def normalize_tar_path(name: bytes) -> bytes:
    """Return a path without "." , "..", doubled and outer slashes; the root is empty."""
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if not parts:
                raise MalformedTarError("it would leave the root directory")
            parts.pop()
        elif part and part != b".":
            parts.append(part)
    return b"/".join(parts)


def parse_id(text: bytes, what: str) -> int:
    """Parse a user or group ID of a pax record."""
    value = parse_decimal(text, what)
    if value >= 1 << 32:
        raise MalformedTarError(f"its {what} is {value}")
    return value
