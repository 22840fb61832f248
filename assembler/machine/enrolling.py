"""Keys for Secure Boot in the variables of a UEFI firmware, as EDK II keeps them in flash.

The store is a firmware volume: its header, the header of the store, and the variables one after the
other, each at a multiple of four; what is not written yet is all ones.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from assembler.codes import machine as codes
from assembler.errors import MachineError, told

_GLOBAL = UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
_DATABASE = UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
_ENABLE = UUID("f0a30bc7-af08-4556-99c4-001009c93a44")
_AUTHENTICATED_STORE = UUID("aaf32c78-947b-439a-a180-2e144ec37792")
_X509 = UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")
# Who says that a key is to be trusted: any number does.
_OWNER = UUID("6d9cf5a8-8a25-5d0f-a7f1-3f1b6c2b1d7e")
_VENDORS = {"PK": _GLOBAL, "KEK": _GLOBAL, "db": _DATABASE}
# Kept in flash, for boot time and run time, to be changed by whoever signs with a later time.
_AUTHENTICATED = 0x27
_KEPT_FOR_BOOT = 0x03
_START, _VALID = 0x55AA, 0x3F
_HEADER = struct.Struct("<HBBIQ16sIII16s")
_STORE = struct.Struct("<16sIBB6x")
# 2024-01-01: later changes have to have a later time.
_TIME = struct.pack("<HBBBBBBIhBB", 2024, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0)
_ENDINGS = (".crt", ".pem", ".cer", ".der")
_LARGEST = 1 << 20
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Where in a firmware's flash the variables are."""

    start: int
    end: int


def certificates(folder: Path) -> dict[str, bytes]:
    """Return the certificates PK, KEK and db of a directory (PK.crt and so on), in DER."""
    return {name: _certificate(folder, name) for name in _VENDORS}


def _certificate(folder: Path, name: str) -> bytes:
    path = next((p for e in _ENDINGS if (p := folder / f"{name}{e}").is_file()), None)
    if path is None:
        raise MachineError.of(
            codes.BAD_KEYS,
            f"there is no certificate {name}.crt in {folder}",
            f"the keys for Secure Boot are the certificates {', '.join(_VENDORS)}, as .crt or .pem",
            "without --secure-boot-keys those of Microsoft are used",
        )
    with told(path, "read"), path.open("rb") as file:
        content = file.read(_LARGEST)
    found = _PEM.search(content)
    try:
        der = base64.b64decode(found[1]) if found else content
    except binascii.Error:
        der = b""
    if not der.startswith(b"\x30\x82"):
        raise MachineError.of(codes.BAD_KEYS, f"{path} is not a certificate, in PEM or DER")
    return der


def enrolled(template: bytes, keys: Mapping[str, bytes]) -> bytes:
    """Return the flash with the keys, with Secure Boot on, and with no other variable."""
    stretch = _stretch(template)
    variables = [
        _variable(name, _VENDORS[name], _signature_list(der), _AUTHENTICATED)
        for name, der in keys.items()
    ]
    variables.append(_variable("SecureBootEnable", _ENABLE, b"\1", _KEPT_FOR_BOOT))
    content = b"".join(variables)
    room = stretch.end - stretch.start
    if len(content) > room:
        raise MachineError.of(codes.BAD_KEYS, "the keys do not fit into the firmware's variables")
    filled = content + b"\xff" * (room - len(content))
    return template[: stretch.start] + filled + template[stretch.end :]


def has_keys(flash: bytes) -> bool:
    """Tell whether Secure Boot is in force, which it is as soon as there is a PK."""
    return any(name == "PK" and size for name, size in _names(flash))


def _names(flash: bytes) -> Iterator[tuple[str, int]]:
    """Yield the names of the variables that are valid, and the sizes of their contents."""
    try:
        stretch = _stretch(flash)
    except MachineError:
        return
    at = stretch.start
    while at + _HEADER.size <= stretch.end:
        start, state, _, _, _, _, _, name, size, _ = _HEADER.unpack_from(flash, at)
        end = at + _HEADER.size + name + size
        if start != _START or end > stretch.end:
            return
        if state == _VALID:
            text = flash[at + _HEADER.size : at + _HEADER.size + name]
            yield text.decode("utf-16-le", "replace").rstrip("\0"), size
        at = -(-end // 4) * 4


def _stretch(flash: bytes) -> _Stretch:
    if flash[40:44] == b"_FVH":
        (length,) = struct.unpack_from("<H", flash, 48)
        if len(flash) >= length + _STORE.size:
            kind, size, _, _ = _STORE.unpack_from(flash, length)
            if kind == _AUTHENTICATED_STORE.bytes_le and _STORE.size < size <= len(flash) - length:
                return _Stretch(length + _STORE.size, length + size)
    raise MachineError.of(
        codes.BAD_KEYS, "the firmware's variables are not of a sort that keys can be put into"
    )


def _signature_list(der: bytes) -> bytes:
    entry = _OWNER.bytes_le + der
    head = _X509.bytes_le + struct.pack("<III", 28 + len(entry), 0, len(entry))
    return head + entry


def _variable(name: str, vendor: UUID, content: bytes, attributes: int) -> bytes:
    text = f"{name}\0".encode("utf-16-le")
    time = _TIME if attributes == _AUTHENTICATED else bytes(16)
    sizes = (len(text), len(content))
    head = _HEADER.pack(_START, _VALID, 0, attributes, 0, time, 0, *sizes, vendor.bytes_le)
    whole = head + text + content
    return whole + b"\xff" * (-len(whole) % 4)
