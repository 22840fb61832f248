"""Filter a console's output and input: sequences of firmware, and the escape key."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ESCAPE_KEY = 0x1D  # Ctrl-]
_INTERRUPT_KEY = 0x03
# Sequences of firmware that reset and clear the terminal, and turn off line wrapping.
_FIRMWARE_SEQUENCES = re.compile(rb"\x1b(?:c|\[2J|\[=3h|\[\?7l|\[0?1;0?1H)")
_INCOMPLETE_SEQUENCE = re.compile(rb"\x1b[\[0-9;=?]{0,8}\Z")
# The first output after the firmware's.
_FIRMWARE_END = re.compile(rb"EFI stub: |BdsDxe: starting |\[ +0\.\d{6}\]")
_MAX_MARKER = 32
# The firmware's output ends here if no marker is found.
_MAX_FIRMWARE = 2048


@dataclass(slots=True)
class FirmwareFilter:
    """Removes the sequences by which firmware clears the terminal and changes its modes."""

    # The beginning of an incomplete sequence.
    _incomplete: bytes = b""
    # The last bytes, as a marker may arrive in pieces.
    _last_bytes: bytes = b""
    _total: int = 0
    _ended: bool = False

    def filter(self, data: bytes) -> bytes:
        """Return the console's output without the firmware's sequences."""
        if self._ended:
            return data
        found = _FIRMWARE_END.search(self._last_bytes + data)
        end = found.end() - len(self._last_bytes) if found else len(data)
        self._total += len(data)
        self._ended = found is not None or self._total > _MAX_FIRMWARE
        self._last_bytes = (self._last_bytes + data)[-_MAX_MARKER:]
        cleaned = self._incomplete + data[:end]
        cut = None if self._ended else _INCOMPLETE_SEQUENCE.search(cleaned)
        self._incomplete = cut[0] if cut else b""
        if cut:
            cleaned = cleaned[: cut.start()]
        return _FIRMWARE_SEQUENCES.sub(b"", cleaned) + data[end:]


@dataclass(slots=True)
class KeyFilter:
    """Handles the escape key Ctrl-] in the input for the guest.

    Ctrl-] q detaches, Ctrl-] c sends Ctrl-C to the guest, Ctrl-] twice sends Ctrl-].
    """

    # Whether Ctrl-C also detaches.
    interrupt_detaches: bool
    detach_requested: bool = False
    _escaped: bool = False

    def filter(self, data: bytes) -> bytes:
        """Return the keys for the guest, and set `detach_requested`."""
        out = bytearray()
        for key in data:
            if self._escaped:
                self._escaped = False
                if key in b"qQ":
                    self.detach_requested = True
                elif key in b"cC":
                    out.append(_INTERRUPT_KEY)
                else:
                    out.append(key)
            elif key == _ESCAPE_KEY:
                self._escaped = True
            elif key == _INTERRUPT_KEY and self.interrupt_detaches:
                self.detach_requested = True
            else:
                out.append(key)
        return bytes(out)
