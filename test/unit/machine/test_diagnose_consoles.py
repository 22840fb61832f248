"""Console output is diagnosed: the cause is found, not its consequences."""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from assembler.machine.console_diagnosis import (
    SIGNATURES,
    diagnose_console,
    find_crash_loop,
    has_given_up,
    last_lines,
)
from assembler.machine.console_text import plain_text
from assembler.machine.description import FirmwareBoot, KernelBoot, Machine, Network, Port
from assembler.machine.result import RunOutcome, failure_diagnostics
from assembler.machine.wait_conditions import PortProbe, WaitCondition
from support.booting import archive

DIRECT = Machine("amd64", KernelBoot(Path("/k"), Path("/i"), "console=ttyS0"))
DOCUMENT = Path(__file__).parents[3] / "docs" / "run.md"
BANNER = "SeaBIOS (version 1.16)\nBooting from ROM...\n"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("Initramfs unpacking failed: junk within compressed archive", "DM1022"),
        ("rootfs image is not initramfs (no cpio magic); looks like an initrd", "DM1022"),
        ("Initramfs unpacking failed: write error\nVFS: Unable to mount root fs on x", "DM1023"),
        ("System is deadlocked on memory", "DM1023"),
        ("Run /init as init process\nFailed to execute /init (error -8)", "DM1024"),
        ('VFS: Cannot open root device "" or unknown-block(0,0): error -19', "DM1024"),
        ('VFS: Cannot open root device "vda" or unknown-block(0,0): error -6', "DM1021"),
        ("init: cannot go on: /containers cannot be read", "DM1025"),
        ("Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000b", "DM1025"),
        ("Kernel panic - not syncing: Fatal exception in interrupt", "DM1030"),
        ("e1000: disagrees about version of symbol module_layout", "DM1026"),
        ("init: service web ended: exit code 1; it is started again in 2s", "DM1032"),
        ("init: onboot 1-dhcp failed after 0.2 s: exit status 1", "DM1032"),
        ("..MP-BIOS bug: 8254 timer not connected\nKernel panic - not syncing: x", "DM1031"),
        ('BdsDxe: failed to load Boot0001 "x" from PciRoot(0x0): Access Denied', "DM1029"),
        ("BdsDxe: No bootable option or device was found.", "DM1028"),
    ],
)
def test_a_signature_is_diagnosed(said: str, code: str) -> None:
    found = diagnose_console(f"{BANNER}[    0.1] Linux version 6.1\n{said}\n", DIRECT)
    assert str(found[0].code) == code
    assert found[0].remedy
    assert "{" not in found[0].cause


def test_too_little_memory_is_said_with_what_is_needed(tmp_path: Path) -> None:
    initrd = tmp_path / "initrd.img"
    initrd.write_bytes(archive({"file": (0o100644, bytes(30 << 20))}))
    said = "Initramfs unpacking failed: write error"
    small = Machine("amd64", KernelBoot(Path("/k"), initrd, "console=ttyS0"), memory=64)
    (finding,) = diagnose_console(said, small)
    assert "--mem 110" in finding.remedy
    (finding,) = diagnose_console(said, replace(small, memory=512))
    assert "--mem 2048" in finding.remedy


def test_a_kernel_that_overwrites_the_initrd_has_too_little_memory(tmp_path: Path) -> None:
    initrd, kernel = tmp_path / "initrd.img", tmp_path / "kernel"
    initrd.write_bytes(archive({"file": (0o100644, bytes(1 << 20))}))
    head = bytearray(0x264)
    head[0x202:0x208] = b"HdrS\x0f\x02"
    struct.pack_into("<QI", head, 0x258, 16 << 20, 58 << 20)
    kernel.write_bytes(head)
    said = "Initramfs unpacking failed: invalid magic at start of compressed archive"
    small = Machine("amd64", KernelBoot(kernel, initrd, "console=ttyS0"), memory=73)
    (finding,) = diagnose_console(said, small)
    assert (finding.code.number, "--mem 75" in finding.remedy) == (1023, True)
    (finding,) = diagnose_console(said, replace(small, memory=75))
    assert finding.code.number == 1022


def test_a_console_without_errors_has_no_diagnosis() -> None:
    assert diagnose_console("[    0.1] Linux version 6.1\nlogin: ", DIRECT) == []


def crashes(*pauses: int, name: str = "web") -> str:
    """Return what init prints when a service ends again and again."""
    return "".join(
        f"init: service {name} ended: exit code 1; it is started again in {pause}s\n"
        f"    | connecting\n    | no database {pause}\n"
        for pause in pauses
    )


def test_a_service_that_ends_again_and_again_is_a_crash_loop() -> None:
    assert find_crash_loop(crashes(1, 2, 4, 8)) is None
    assert find_crash_loop(crashes(1, 2, 4) + crashes(1, 2, 4, name="db")) is None
    loop = find_crash_loop(crashes(1, 2, 4, 8, 16))
    assert loop is not None
    assert (loop.name, loop.last_lines) == ("web", ("connecting", "no database 16"))


def test_a_failed_wait_says_what_was_not_met() -> None:
    console = crashes(1, 2, 4, 8, 16)
    ended, *_ = failure_diagnostics(RunOutcome.CRASH_LOOP, 31.2, console, DIRECT, ())
    assert ended.message == "gave up after 31 s: the service web ends again and again"
    assert ended.hints == ("its last lines:\nconnecting\nno database 16",)
    network = Network("user", ports=(Port(8080, 80), Port(2222, 22)))
    condition = WaitCondition(re.compile("ready"), (8080,))
    unmet = condition.unmet("boot\n", PortProbe(network, (8080,)))
    late, *_ = failure_diagnostics(RunOutcome.TIMED_OUT, 60.4, "boot\n", DIRECT, (), unmet)
    assert late.message == (
        "not ready after 60 s: no line of the console matched 'ready'; "
        "port 8080 of this host (port 80 of the guest) did not answer"
    )
    assert condition.unmet("it is ready\n", None) == ()


def test_no_output_is_a_missing_console() -> None:
    assert str(diagnose_console(BANNER, DIRECT)[0].code) == "DM1027"
    (found,) = diagnose_console("", Machine("arm64", FirmwareBoot()))
    assert "ttyAMA0" in found.remedy


def test_module_errors_do_not_hide_the_cause() -> None:
    said = "x: version magic '1' should be '2'\nKernel panic - not syncing: Attempted to kill init!"
    codes = [str(f.code) for f in diagnose_console(f"{said} exitcode=0x1", DIRECT)]
    assert codes == ["DM1025", "DM1026"]


def test_the_last_lines_end_with_the_panic() -> None:
    text = "a\n\nb\nKernel panic - not syncing: no\nCall Trace:\n x\nSeaBIOS (version 1)\n"
    assert has_given_up(text)
    assert last_lines(text, 2) == ["b", "Kernel panic - not syncing: no"]


def test_escape_sequences_are_removed() -> None:
    assert plain_text(b"\x1bc\x1b[?7l\x1b[2Ja\x1b[1;31mb\r\nc") == "ab\nc"


def test_every_code_of_a_signature_is_in_the_document() -> None:
    text = DOCUMENT.read_text("utf-8")
    listed = set(re.findall(r"DM10\d\d", text))
    assert {str(s.code) for s in SIGNATURES} <= listed
