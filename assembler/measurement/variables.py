"""The variables of Secure Boot: a variable store of EDK II, and lists of signatures."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from assembler.codes import measurement as codes
from assembler.data_files import open_data_file
from assembler.errors import OutputError, wrap_os_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

GLOBAL = UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c").bytes_le
IMAGE_SECURITY = UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f").bytes_le
X509 = UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072").bytes_le
SHA256 = UUID("c1c41626-504c-4092-aca9-41f936934328").bytes_le
_NAMES = frozenset(
    [(GLOBAL, "PK"), (GLOBAL, "KEK")]
    + [(IMAGE_SECURITY, name) for name in ("db", "dbx", "dbt", "dbr")]
)
_ENABLE = UUID("f0a30bc7-af08-4556-99c4-001009c93a44").bytes_le
_STORE = UUID("aaf32c78-947b-439a-a180-2e144ec37792").bytes_le
_VARIABLE = struct.Struct("<HBBIQ16sIII16s")
_START, _VALID = 0x55AA, 0x3F
_MAX_STORE = 64 << 20
_LIST = struct.Struct("<16sIII")


@dataclass(frozen=True, slots=True)
class SecureBootVariables:
    """The variables that decide what firmware starts."""

    # PK, KEK, db, dbx, and if they exist dbt and dbr: by name, as signature lists.
    lists: Mapping[str, bytes] = field(default_factory=dict)
    enabled: bool = False

    def content(self, name: str) -> bytes:
        """Return the content of a variable, empty if it does not exist."""
        return self.lists.get(name, b"")

    def with_state(self, *, enabled: bool | None) -> SecureBootVariables:
        """Return the variables with Secure Boot on or off; None leaves it."""
        return self if enabled is None else SecureBootVariables(self.lists, enabled)


def read_secure_boot_variables(path: Path) -> SecureBootVariables:
    """Return the variables in the variable store of EDK II."""
    with wrap_os_errors(path, "read"), open_data_file(path) as file:
        flash = file.read(_MAX_STORE)
    lists: dict[str, bytes] = {}
    setting = b"\1"
    for vendor, name, content in _variables(flash, path):
        if (vendor, name) in _NAMES:
            lists[name] = content
        elif vendor == _ENABLE and name == "SecureBootEnable":
            setting = content
    return SecureBootVariables(lists, bool(lists.get("PK")) and setting != b"\0")


def _variables(flash: bytes, path: Path) -> Iterator[tuple[bytes, str, bytes]]:
    at, end = _store(flash, path)
    while at + _VARIABLE.size <= end:
        start, state, _, _, _, _, _, name, size, vendor = _VARIABLE.unpack_from(flash, at)
        behind = at + _VARIABLE.size + name + size
        if start != _START:
            return
        if behind > end:
            raise OutputError.of(codes.BAD_VARIABLES, f"{path}: a variable is cut short")
        if state == _VALID:
            content = flash[at + _VARIABLE.size : behind]
            text = content[:name].decode("utf-16-le", "replace").rstrip("\0")
            yield vendor, text, content[name:]
        at = -(-behind // 4) * 4


def _store(flash: bytes, path: Path) -> tuple[int, int]:
    if flash[40:44] == b"_FVH":
        (length,) = struct.unpack_from("<H", flash, 48)
        if flash[length : length + 16] == _STORE and len(flash) >= length + 28:
            (size,) = struct.unpack_from("<I", flash, length + 16)
            if 28 < size <= len(flash) - length:
                return length + 28, length + size
    raise OutputError.of(
        codes.BAD_VARIABLES, f"{path} is not a variable store of EDK II that is authenticated"
    )


def signatures_in(lists: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and EFI_SIGNATURE_DATA of each entry: an owner's GUID and a certificate or hash.

    A broken list ends it.
    """
    while len(lists) >= _LIST.size:
        kind, total, head, size = _LIST.unpack_from(lists)
        if not 16 < size <= total or not _LIST.size + head <= total <= len(lists):
            return
        for at in range(_LIST.size + head, total - size + 1, size):
            yield kind, lists[at : at + size]
        lists = lists[total:]
