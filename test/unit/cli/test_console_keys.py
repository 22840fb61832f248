"""What of keys is for the guest, and what of the firmware's output for the terminal."""

from __future__ import annotations

import pytest

from dolmen.run.console_filters import FirmwareFilter, KeyFilter


def test_keys_for_the_guest_and_for_us() -> None:
    keys = KeyFilter(interrupt_detaches=True)
    assert keys.filter(b"ls\r\x1dc\x1d\x1d\x1dx") == b"ls\r\x03\x1dx"
    assert not keys.detach_requested
    assert keys.filter(b"\x03") == b""
    assert keys.detach_requested


def test_ctrl_c_is_for_the_guest_at_a_console() -> None:
    keys = KeyFilter(interrupt_detaches=False)
    assert keys.filter(b"\x03\x1d") == b"\x03"
    assert keys.filter(b"q") == b""
    assert keys.detach_requested


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_firmware_does_nothing_to_the_terminal(size: int) -> None:
    said = b"\x1bc\x1b[?7l\x1b[2JSeaBIOS\r\nBooting from ROM..\r\n\x1bc[    0.000000] "
    after = b"\x1b[2Jlogin: \x1b[?7l"
    screen = FirmwareFilter()
    data = said + after
    shown = b"".join(screen.filter(data[i : i + size]) for i in range(0, len(data), size))
    assert shown.startswith(b"SeaBIOS\r\n")
    assert shown.endswith(after)
