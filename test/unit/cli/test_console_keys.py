"""What of keys is for the guest, and what of the firmware's output for the terminal."""

from __future__ import annotations

import pytest

from dolmen.run.terminal import Keys, Screen


def test_keys_for_the_guest_and_for_us() -> None:
    keys = Keys(interrupt_leaves=True)
    assert keys.to_guest(b"ls\r\x1dc\x1d\x1d\x1dx") == b"ls\r\x03\x1dx"
    assert not keys.leaving
    assert keys.to_guest(b"\x03") == b""
    assert keys.leaving


def test_ctrl_c_is_for_the_guest_at_a_console() -> None:
    keys = Keys(interrupt_leaves=False)
    assert keys.to_guest(b"\x03\x1d") == b"\x03"
    assert keys.to_guest(b"q") == b""
    assert keys.leaving


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_firmware_does_nothing_to_the_terminal(size: int) -> None:
    said = b"\x1bc\x1b[?7l\x1b[2JSeaBIOS\r\nBooting from ROM..\r\n\x1bc[    0.000000] "
    after = b"\x1b[2Jlogin: \x1b[?7l"
    screen = Screen()
    data = said + after
    shown = b"".join(screen.shown(data[i : i + size]) for i in range(0, len(data), size))
    assert shown.startswith(b"SeaBIOS\r\n")
    assert shown.endswith(after)
