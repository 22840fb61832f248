"""Filters of console input and output: the escape key, and sequences of firmware."""

from __future__ import annotations

import pytest

from dolmen.run.console_filters import FirmwareFilter, KeyFilter


def test_the_escape_key_detaches_or_sends_keys() -> None:
    keys = KeyFilter(interrupt_detaches=True)
    assert keys.filter(b"ls\r\x1dc\x1d\x1d\x1dx") == b"ls\r\x03\x1dx"
    assert not keys.detach_requested
    assert keys.filter(b"\x03") == b""
    assert keys.detach_requested


def test_ctrl_c_goes_to_the_guest_in_dolmen_console() -> None:
    keys = KeyFilter(interrupt_detaches=False)
    assert keys.filter(b"\x03\x1d") == b"\x03"
    assert keys.filter(b"q") == b""
    assert keys.detach_requested


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_sequences_of_firmware_are_removed(size: int) -> None:
    said = b"\x1bc\x1b[?7l\x1b[2JSeaBIOS\r\nBooting from ROM..\r\n\x1bc[    0.000000] "
    after = b"\x1b[2Jlogin: \x1b[?7l"
    screen = FirmwareFilter()
    data = said + after
    shown = b"".join(screen.filter(data[i : i + size]) for i in range(0, len(data), size))
    assert shown.startswith(b"SeaBIOS\r\n")
    assert shown.endswith(after)
