"""Enroll Secure Boot keys in the UEFI variable store of EDK II flash.

The store is in a firmware volume: the volume's header, the store's header, and the variables, each
aligned to four bytes. Unused bytes are 0xff.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from assembler.codes import machine as codes
from assembler.errors import MachineError
from assembler.media import SECURE_BOOT_VARIABLES, read_certificate, signature_list
from assembler.tools import require_extra

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from cryptography.x509 import Certificate

_SECURE_BOOT_ENABLE_VENDOR = UUID("f0a30bc7-af08-4556-99c4-001009c93a44")
_AUTHENTICATED_STORE = UUID("aaf32c78-947b-439a-a180-2e144ec37792")
# The owner GUID of the signatures: an arbitrary UUID.
_OWNER = UUID("6d9cf5a8-8a25-5d0f-a7f1-3f1b6c2b1d7e")
# Non-volatile, boot and runtime access, time-based authenticated write access.
_AUTHENTICATED_ATTRIBUTES = 0x27
_BOOT_ATTRIBUTES = 0x03
_VARIABLE_START, _VARIABLE_VALID = 0x55AA, 0x3F
_VARIABLE_HEADER = struct.Struct("<HBBIQ16sIII16s")
_STORE_HEADER = struct.Struct("<16sIBB6x")
# 2024-01-01: later updates need a later timestamp.
_TIMESTAMP = struct.pack("<HBBBBBBIhBB", 2024, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0)
_CERTIFICATE_SUFFIXES = (".crt", ".pem", ".cer", ".der")


@dataclass(frozen=True, slots=True)
class _VariableStore:
    """The offsets of the variables in a firmware's flash."""

    start: int
    end: int


def read_key_lists(folder: Path) -> dict[str, bytes]:
    """Return the signature lists of the certificates PK, KEK and db in a directory."""
    return {
        v.name: signature_list(_certificate(folder, v.name), _OWNER) for v in SECURE_BOOT_VARIABLES
    }


def lists_of_certificate(encoded: bytes) -> dict[str, bytes]:
    """Return signature lists by which a certificate, given as DER, is PK, KEK and db."""
    require_extra("secure-boot")
    from cryptography.x509 import load_der_x509_certificate  # noqa: PLC0415 - takes time

    content = signature_list(load_der_x509_certificate(encoded), _OWNER)
    return {v.name: content for v in SECURE_BOOT_VARIABLES}


def _certificate(folder: Path, name: str) -> Certificate:
    path = next((p for e in _CERTIFICATE_SUFFIXES if (p := folder / f"{name}{e}").is_file()), None)
    if path is None:
        raise MachineError.of(
            codes.BAD_KEYS,
            f"certificate {name}.crt not found in {folder}",
            "`dolmen keys generate DIR` creates PK, KEK and db",
            "without --secure-boot-keys Microsoft's keys are used",
        )
    return read_certificate(path)


def enroll_keys(template: bytes, keys: Mapping[str, bytes]) -> bytes:
    """Return the flash with the keys of `read_key_lists`, and Secure Boot enabled."""
    store = _variable_store(template)
    variables = [
        _variable(v.name, v.vendor, keys[v.name], _AUTHENTICATED_ATTRIBUTES)
        for v in SECURE_BOOT_VARIABLES
    ]
    variables.append(
        _variable("SecureBootEnable", _SECURE_BOOT_ENABLE_VENDOR, b"\1", _BOOT_ATTRIBUTES)
    )
    content = b"".join(variables)
    space = store.end - store.start
    if len(content) > space:
        raise MachineError.of(codes.BAD_KEYS, "the keys do not fit into the firmware's variables")
    filled = content + b"\xff" * (space - len(content))
    return template[: store.start] + filled + template[store.end :]


def has_keys(flash: bytes) -> bool:
    """Tell whether Secure Boot is enabled: whether there is a PK."""
    return any(name == "PK" and size for name, size in _variable_sizes(flash))


def _variable_sizes(flash: bytes) -> Iterator[tuple[str, int]]:
    """Yield the names and content sizes of the valid variables."""
    try:
        store = _variable_store(flash)
    except MachineError:
        return
    at = store.start
    while at + _VARIABLE_HEADER.size <= store.end:
        start, state, _, _, _, _, _, name, size, _ = _VARIABLE_HEADER.unpack_from(flash, at)
        end = at + _VARIABLE_HEADER.size + name + size
        if start != _VARIABLE_START or end > store.end:
            return
        if state == _VARIABLE_VALID:
            text = flash[at + _VARIABLE_HEADER.size : at + _VARIABLE_HEADER.size + name]
            yield text.decode("utf-16-le", "replace").rstrip("\0"), size
        at = -(-end // 4) * 4


def _variable_store(flash: bytes) -> _VariableStore:
    if flash[40:44] == b"_FVH":
        (length,) = struct.unpack_from("<H", flash, 48)
        if len(flash) >= length + _STORE_HEADER.size:
            kind, size, _, _ = _STORE_HEADER.unpack_from(flash, length)
            if (
                kind == _AUTHENTICATED_STORE.bytes_le
                and _STORE_HEADER.size < size <= len(flash) - length
            ):
                return _VariableStore(length + _STORE_HEADER.size, length + size)
    raise MachineError.of(codes.BAD_KEYS, "the firmware's variable store has an unknown format")


def _variable(name: str, vendor: UUID, content: bytes, attributes: int) -> bytes:
    text = f"{name}\0".encode("utf-16-le")
    time = _TIMESTAMP if attributes == _AUTHENTICATED_ATTRIBUTES else bytes(16)
    sizes = (len(text), len(content))
    head = _VARIABLE_HEADER.pack(
        _VARIABLE_START, _VARIABLE_VALID, 0, attributes, 0, time, 0, *sizes, vendor.bytes_le
    )
    record = head + text + content
    return record + b"\xff" * (-len(record) % 4)
