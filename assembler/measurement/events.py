"""What is measured: events, and the registers that they make."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assembler.media import extend_register

if TYPE_CHECKING:
    from collections.abc import Iterable

BANK = "sha256"
# The names of event types in the TCG's log.
SEPARATOR, ACTION, TAG, IPL = "EV_SEPARATOR", "EV_EFI_ACTION", "EV_EVENT_TAG", "EV_IPL"
BOOT_PROGRAM, GPT = "EV_EFI_BOOT_SERVICES_APPLICATION", "EV_EFI_GPT_EVENT"
VARIABLE, AUTHORITY = "EV_EFI_VARIABLE_DRIVER_CONFIG", "EV_EFI_VARIABLE_AUTHORITY"
BLOB = "EV_EFI_PLATFORM_FIRMWARE_BLOB"
EVENT_TYPES = {
    0x01: "EV_POST_CODE",
    0x04: SEPARATOR,
    0x05: "EV_ACTION",
    0x06: TAG,
    0x07: "EV_S_CRTM_CONTENTS",
    0x08: "EV_S_CRTM_VERSION",
    0x0D: IPL,
    0x80000001: VARIABLE,
    0x80000002: "EV_EFI_VARIABLE_BOOT",
    0x80000003: BOOT_PROGRAM,
    0x80000004: "EV_EFI_BOOT_SERVICES_DRIVER",
    0x80000005: "EV_EFI_RUNTIME_SERVICES_DRIVER",
    0x80000006: GPT,
    0x80000007: ACTION,
    0x80000008: BLOB,
    0x80000009: "EV_EFI_HANDOFF_TABLES",
    0x8000000A: "EV_EFI_PLATFORM_FIRMWARE_BLOB2",
    0x8000000B: "EV_EFI_HANDOFF_TABLES2",
    0x8000000C: "EV_EFI_VARIABLE_BOOT2",
    0x800000E0: AUTHORITY,
}


@dataclass(frozen=True, slots=True)
class MeasuredEvent:
    """One line of an event log."""

    register: int
    type: str
    # What was measured, for people.
    what: str
    digest: bytes

    def as_json(self) -> dict[str, Any]:
        """Return the event as JSON."""
        return {"type": self.type, "what": self.what, "digest": self.digest.hex()}


@dataclass(frozen=True, slots=True)
class RegisterPrediction:
    """The value of a register, or why it is not known."""

    number: int
    events: tuple[MeasuredEvent, ...]
    # Why the value is unknown; empty if it is known.
    reason: str = ""

    @property
    def value(self) -> bytes | None:
        """Return the value if it is known."""
        return None if self.reason else extend_register(e.digest for e in self.events)

    def as_json(self) -> dict[str, Any]:
        """Return the register as JSON."""
        value = self.value
        state = {"state": "unknown", "reason": self.reason}
        if value is not None:
            state = {"state": "known", "value": value.hex()}
        return {"pcr": self.number, **state, "events": [e.as_json() for e in self.events]}


@dataclass(slots=True)
class PredictedLog:
    """Events in the order of a boot, and the registers that are not known."""

    events: list[MeasuredEvent] = field(default_factory=list)
    reasons: dict[int, str] = field(default_factory=dict)

    def add(self, register: int, kind: str, what: str, digest: bytes) -> None:
        """Note an event."""
        self.events.append(MeasuredEvent(register, kind, what, digest))

    def add_text(self, register: int, kind: str, text: str) -> None:
        """Note an event whose digest is that of its text."""
        self.add(register, kind, text, hashlib.sha256(text.encode()).digest())

    def add_separator(self, register: int) -> None:
        """Note the separator between firmware and what it starts."""
        self.add(register, SEPARATOR, "separator", hashlib.sha256(bytes(4)).digest())

    def doubt(self, registers: Iterable[int], reason: str) -> None:
        """Note why registers are unknown; the first reason is kept."""
        for register in registers:
            self.reasons.setdefault(register, reason)

    def register(self, number: int) -> RegisterPrediction:
        """Return what is known about a register."""
        events = tuple(e for e in self.events if e.register == number)
        return RegisterPrediction(number, events, self.reasons.get(number, ""))


def variable_digest(vendor: bytes, name: str, content: bytes) -> bytes:
    """Return the digest of a variable with its name (UEFI_VARIABLE_DATA)."""
    text = name.encode("utf-16-le")
    head = vendor + struct.pack("<QQ", len(name), len(content))
    return hashlib.sha256(head + text + content).digest()
