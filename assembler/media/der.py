"""DER: the few types that signatures consist of, written and read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SEQUENCE, SET, INTEGER, BITS, OCTETS, OID = 0x30, 0x31, 0x02, 0x03, 0x04, 0x06
NULL = b"\x05\x00"
_MAX_SIZE = 1 << 24


class MalformedDerError(ValueError):
    """The bytes are not DER."""


def tagged(tag: int, *contents: bytes) -> bytes:
    """Return contents as a value with a tag."""
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(digits)]) + digits + content


def sequence(*contents: bytes) -> bytes:
    """Return a SEQUENCE."""
    return tagged(SEQUENCE, *contents)


def set_of(*contents: bytes) -> bytes:
    """Return a SET, with its members in DER order."""
    return tagged(SET, *sorted(contents))


def integer(value: int) -> bytes:
    """Return a non-negative INTEGER."""
    return tagged(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def octets(data: bytes) -> bytes:
    """Return an OCTET STRING."""
    return tagged(OCTETS, data)


def oid(text: str) -> bytes:
    """Return an OBJECT IDENTIFIER."""
    first, second, *others = map(int, text.split("."))
    coded = bytearray([first * 40 + second])
    for value in others:
        groups = [value & 0x7F]
        while value := value >> 7:
            groups.append(value & 0x7F | 0x80)
        coded += bytes(reversed(groups))
    return tagged(OID, bytes(coded))


# The algorithms of our signatures.
SHA256 = sequence(oid("2.16.840.1.101.3.4.2.1"), NULL)
RSA = sequence(oid("1.2.840.113549.1.1.1"), NULL)


@dataclass(frozen=True, slots=True)
class DerValue:
    """A value with its tag, its content, and its encoding."""

    tag: int
    content: bytes
    encoded: bytes

    def values(self) -> list[DerValue]:
        """Return its members."""
        return list(parse_all(self.content))

    def need(self, tag: int) -> DerValue:
        """Return the value if it has the tag; another tag is an error."""
        if self.tag != tag:
            raise MalformedDerError(f"tag 0x{self.tag:02x} instead of 0x{tag:02x}")
        return self


def parse(data: bytes) -> DerValue:
    """Return the value that data begins with; the rest is ignored."""
    if len(data) < 2:
        raise MalformedDerError("cut short")
    size, begin = data[1], 2
    if size & 0x80:
        count = size & 0x7F
        begin += count
        size = int.from_bytes(data[2:begin], "big")
        if not 1 <= count <= 4 or len(data) < begin:
            raise MalformedDerError("invalid length")
    if data[0] & 0x1F == 0x1F or size > _MAX_SIZE or len(data) < begin + size:
        raise MalformedDerError("cut short")
    return DerValue(data[0], data[begin : begin + size], data[: begin + size])


def parse_all(data: bytes) -> Iterator[DerValue]:
    """Yield all values in data."""
    while data:
        found = parse(data)
        yield found
        data = data[len(found.encoded) :]
