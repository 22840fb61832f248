"""Keys for Secure Boot in the variables of a UEFI firmware, as EDK II keeps them in flash.

The store is a firmware volume: its header, the header of the store, and the variables one after the
other, each at a multiple of four; what is not written yet is all ones.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from assembler.codes import machine as codes
from assembler.errors import MachineError
from assembler.media import SECURE_BOOT_VARIABLES, read_certificate, signature_list

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_ENABLE = UUID("f0a30bc7-af08-4556-99c4-001009c93a44")
_AUTHENTICATED_STORE = UUID("aaf32c78-947b-439a-a180-2e144ec37792")
# Who says that a key is to be trusted: any number does.
_OWNER = UUID("6d9cf5a8-8a25-5d0f-a7f1-3f1b6c2b1d7e")
# Kept in flash, for boot time and run time, to be changed by whoever signs with a later time.
_AUTHENTICATED = 0x27
_KEPT_FOR_BOOT = 0x03
_START, _VALID = 0x55AA, 0x3F
_HEADER = struct.Struct("<HBBIQ16sIII16s")
_STORE = struct.Struct("<16sIBB6x")
# 2024-01-01: later changes have to have a later time.
_TIME = struct.pack("<HBBBBBBIhBB", 2024, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0)
_ENDINGS = (".crt", ".pem", ".cer", ".der")


@dataclass(frozen=True, slots=True)
class _VariableStore:
    """Where in a firmware's flash the variables are."""

    start: int
    end: int


def read_key_lists(folder: Path) -> dict[str, bytes]:
    """Return what firmware keeps of the certificates PK, KEK and db of a directory."""
    return {
        v.name: signature_list(_certificate(folder, v.name), _OWNER) for v in SECURE_BOOT_VARIABLES
    }


def _certificate(folder: Path, name: str) -> Certificate:
    path = next((p for e in _ENDINGS if (p := folder / f"{name}{e}").is_file()), None)
    if path is None:
        raise MachineError.of(
            codes.BAD_KEYS,
            f"there is no certificate {name}.crt in {folder}",
            "`dolmen keys generate DIR` makes a set: PK, KEK and db",
            "without --secure-boot-keys those of Microsoft are used",
        )
    return read_certificate(path)


def enroll_keys(template: bytes, keys: Mapping[str, bytes]) -> bytes:
    """Return the flash with the keys that `certificates` gave, and Secure Boot on."""
    stretch = _stretch(template)
    variables = [
        _variable(v.name, v.vendor, keys[v.name], _AUTHENTICATED) for v in SECURE_BOOT_VARIABLES
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


def _stretch(flash: bytes) -> _VariableStore:
    if flash[40:44] == b"_FVH":
        (length,) = struct.unpack_from("<H", flash, 48)
        if len(flash) >= length + _STORE.size:
            kind, size, _, _ = _STORE.unpack_from(flash, length)
            if kind == _AUTHENTICATED_STORE.bytes_le and _STORE.size < size <= len(flash) - length:
                return _VariableStore(length + _STORE.size, length + size)
    raise MachineError.of(
        codes.BAD_KEYS, "the firmware's variables are not of a sort that keys can be put into"
    )


def _variable(name: str, vendor: UUID, content: bytes, attributes: int) -> bytes:
    text = f"{name}\0".encode("utf-16-le")
    time = _TIME if attributes == _AUTHENTICATED else bytes(16)
    sizes = (len(text), len(content))
    head = _HEADER.pack(_START, _VALID, 0, attributes, 0, time, 0, *sizes, vendor.bytes_le)
    whole = head + text + content
    return whole + b"\xff" * (-len(whole) % 4)
