"""The table of console messages that explain a failed boot."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from assembler.codes import Code
from assembler.codes import machine as codes


@dataclass(frozen=True, slots=True)
class ConsoleSignature:
    """A pattern of console output, its cause and remedy.

    `{what}` in `cause` is replaced by the text of the pattern's first matching group.
    """

    code: Code
    pattern: re.Pattern[str]
    cause: str
    remedy: str
    # Other signatures that match explain more.
    vague: bool = False
    # Applies only to a machine with an initrd.
    with_initrd: bool = False
    # The keys of the value in image.yml to fix.
    keys: tuple[str, ...] = ()


_CMDLINE, _KERNEL, _INIT = ("kernel", "cmdline"), ("kernel", "image"), ("init",)


def _signature(
    code: Code, pattern: str, cause: str, remedy: str, keys: tuple[str, ...] = ()
) -> ConsoleSignature:
    return ConsoleSignature(code, re.compile(pattern), cause, remedy, keys=keys)


# Ordered from causes to consequences: the first match is the cause.
SIGNATURES = (
    _signature(
        codes.EMULATOR_FAULT,
        r"(?P<what>MP-BIOS bug: 8254 timer not connected|IO-APIC \+ timer doesn't work)",
        "the emulated timer failed ({what})",
        "start it again; no_timer_check in `kernel.cmdline` avoids it",
        _CMDLINE,
    ),
    _signature(
        codes.SECURE_BOOT_REFUSED,
        r"(?P<what>BdsDxe: failed to load .*: (?:Access Denied|Security Violation)"
        r"|Verification failed: .*Security Violation.*|bad shim signature)",
        "the firmware refused an unsigned program ({what})",
        "sign it with a key that the firmware trusts (`dolmen build --secure-boot-key`, and "
        "--secure-boot-keys here), or start without Secure Boot",
    ),
    _signature(
        codes.NOT_BOOTABLE,
        r"(?P<what>No bootable device|BdsDxe: No bootable option or device was found"
        r"|Boot failed: not a bootable disk|Boot failed: Could not read from CDROM)",
        "the firmware found no boot loader ({what})",
        "run images for UEFI with --uefi, and images for the BIOS without; check that the image is "
        "complete",
    ),
    _signature(
        codes.OUT_OF_MEMORY,
        r"(?P<what>Initramfs unpacking failed: write error|System is deadlocked on memory"
        r"|Out of memory and no killable processes|Out of memory: Kill(?:ed)? process \d+.*"
        r"|Failed to allocate memory for initrd|initrd too large to handle"
        r"|Initramfs unpacking failed: .*[Oo]ut of memory|initrd extends beyond end of memory"
        r"|qemu: .*initrd is too large.*)",
        "there was not enough memory ({what})",
        "give the machine more: --mem 2048",
    ),
    _signature(
        codes.BROKEN_INITRD,
        r"(?P<what>Initramfs unpacking failed: .*|junk (?:at the end of|within|in) compressed "
        r"archive|compression method \S+ not configured|invalid magic at start of compressed"
        r"|rootfs image is not initramfs \((?P<why>.*)\))",
        "the initrd could not be unpacked ({what})",
        "build it again; if it is complete, the kernel does not support its compression: choose "
        "another with --compression",
        _KERNEL,
    ),
    _signature(
        codes.NO_INIT,
        r"Failed to execute (?P<what>\S+) \(error -8\)",
        "this kernel cannot execute {what}",
        "use an image for the machine's architecture under `init:`; a script begins with #! and an "
        "interpreter",
        _INIT,
    ),
    _signature(
        codes.NO_INIT,
        r"Failed to execute (?P<what>\S+) \(error -13\)|check access for rdinit=(?P<other>\S+) "
        r"failed: -13",
        "{what} is not executable",
        "its mode lacks the x bits: see `mode` in `files:` of image.yml",
        _INIT,
    ),
    _signature(
        codes.NO_INIT,
        r"(?:Failed to execute (?P<what>\S+) \(error -2\)|Requested init (?P<other>\S+) failed)",
        "{what}, or its interpreter or dynamic loader, is missing",
        "check the files of the images under `init:`, and `init=` in `kernel.cmdline`",
        _INIT,
    ),
    _signature(
        codes.NO_INIT,
        r"(?P<what>No working init found|No init found)",
        "the system has no init",
        "add an image with /init under `init:` in image.yml",
        _INIT,
    ),
    replace(
        _signature(
            codes.NO_INIT,
            r"check access for rdinit=\S+ failed: -2"
            r"|VFS: Cannot open root device \"(?:\(null\))?\"",
            "the initrd has no /init, or not the program of `rdinit=`",
            "add an image with it under `init:` in image.yml",
            _INIT,
        ),
        with_initrd=True,
    ),
    _signature(
        codes.NO_ROOT,
        r"(?P<what>VFS: Unable to mount root fs on \S+|VFS: Cannot open root device .*"
        r"|Cannot open root device .*|Waiting for root device .*)",
        "the kernel has no root filesystem ({what})",
        "an initrd needs an executable /init, from an image under `init:`; else `root=` in "
        "`kernel.cmdline` has to name a disk whose drivers are built into the kernel",
        _CMDLINE,
    ),
    replace(
        _signature(
            codes.WRONG_MODULES,
            r"(?P<what>\S+: version magic '.*' should be '.*'|\S+: disagrees about version of "
            r"symbol \S+|modprobe: FATAL: Module \S+ not found in directory \S+"
            r"|modprobe: can't change directory to '\S+'"
            r"|can't insert '?\S+'?: (?:Key was rejected by service|invalid module format)"
            r"|\S+: Unknown symbol \S+ \(err \S+\))",
            "the modules are not for this kernel ({what})",
            "use the modules of the image under `kernel:`, and find the image that also has "
            "/lib/modules",
            _KERNEL,
        ),
        vague=True,
    ),
    _signature(
        codes.INIT_ENDED,
        r"init: cannot go on: (?P<what>.*)",
        "init cannot go on: {what}",
        "see the lines above, and the section of image.yml that it names",
    ),
    _signature(
        codes.INIT_ENDED,
        r"Kernel panic - not syncing: (?P<what>Attempted to kill init! exitcode=\S+)",
        "the first process ended ({what})",
        "see the lines above; try the image under `init:` alone",
        _INIT,
    ),
    _signature(
        codes.KERNEL_PANIC,
        r"Kernel panic - not syncing: (?P<what>.*)",
        "the kernel panicked: {what}",
        "see the lines above",
    ),
)
