"""Why a machine did not come up: known signatures on its console, their causes and remedies."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from assembler.codes import Code
from assembler.codes import machine as codes
from assembler.diagnostics import Diagnostic, Severity
from assembler.machine.description import KernelBoot, Machine

_PANIC = re.compile(r"Kernel panic - not syncing: (?P<what>.*)")
# What a firmware says last: it waits for somebody at the keyboard.
_NOTHING_TO_BOOT = re.compile(r"BdsDxe: No bootable option or device was found|No bootable device")
# What a firmware says before any kernel does.
_FIRMWARE = re.compile(
    r"SeaBIOS \(version|Machine UUID|i?PXE|Press Ctrl-B|Press ESC|Booting from|Probing EDD|BdsDxe:"
    r"|UEFI firmware|EFI stub:"
)
_CONSOLES = {"amd64": "ttyS0", "arm64": "ttyAMA0", "riscv64": "ttyS0"}


@dataclass(frozen=True, slots=True)
class Signature:
    """What a console says in a case, and what to tell about it.

    `cause` and `remedy` may have the names of groups of the pattern in braces.
    """

    code: Code
    pattern: re.Pattern[str]
    cause: str
    remedy: str
    # Found together with others, it does not explain as much as they do.
    vague: bool = False
    # Means this only if the machine was given an initrd.
    with_initrd: bool = False


def _signature(
    code: Code, pattern: str, cause: str, remedy: str, *, vague: bool = False
) -> Signature:
    return Signature(code, re.compile(pattern), cause, remedy, vague)


# The first that is found is the cause; what follows from it is further down.
SIGNATURES = (
    _signature(
        codes.EMULATOR_FAULT,
        r"(?P<what>MP-BIOS bug: 8254 timer not connected|IO-APIC \+ timer doesn't work)",
        "the emulated timer failed ({what})",
        "start it again; no_timer_check in `kernel.cmdline` avoids it",
    ),
    _signature(
        codes.SECURE_BOOT_REFUSED,
        r"(?P<what>BdsDxe: failed to load .*: (?:Access Denied|Security Violation)"
        r"|Verification failed: .*Security Violation.*|bad shim signature)",
        "the firmware refused what is not signed ({what})",
        "sign it with a key that this firmware has (`dolmen build --secure-boot-key`, and "
        "--secure-boot-keys here), or start without Secure Boot",
    ),
    _signature(
        codes.NOT_BOOTABLE,
        r"(?P<what>No bootable device|BdsDxe: No bootable option or device was found"
        r"|Boot failed: not a bootable disk|Boot failed: Could not read from CDROM)",
        "the firmware found nothing that it can boot ({what})",
        "start images for UEFI with --uefi, and those for the BIOS without; see whether the image "
        "is whole",
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
        "build it again; if it is whole, the kernel lacks its compression: choose another with "
        "--compression",
    ),
    _signature(
        codes.NO_INIT,
        r"Failed to execute (?P<what>\S+) \(error -8\)",
        "{what} is no program that this kernel runs",
        "take the image under `init:` for the machine's architecture; a script begins with #! and "
        "an interpreter",
    ),
    _signature(
        codes.NO_INIT,
        r"Failed to execute (?P<what>\S+) \(error -13\)|check access for rdinit=(?P<other>\S+) "
        r"failed: -13",
        "{what} may not be executed",
        "its mode lacks the x bits: see `mode` in `files:` of image.yml",
    ),
    _signature(
        codes.NO_INIT,
        r"(?:Failed to execute (?P<what>\S+) \(error -2\)|Requested init (?P<other>\S+) failed)",
        "{what}, or the interpreter or library loader that it needs, is not there",
        "see what the images under `init:` bring, and `init=` in `kernel.cmdline`",
    ),
    _signature(
        codes.NO_INIT,
        r"(?P<what>No working init found|No init found)",
        "the system has no init",
        "put an image that brings /init under `init:` in image.yml",
    ),
    replace(
        _signature(
            codes.NO_INIT,
            r"check access for rdinit=\S+ failed: -2"
            r"|VFS: Cannot open root device \"(?:\(null\))?\"",
            "there is no /init in the initrd, or what `rdinit=` names",
            "put an image that brings it under `init:` in image.yml",
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
    ),
    _signature(
        codes.WRONG_MODULES,
        r"(?P<what>\S+: version magic '.*' should be '.*'|\S+: disagrees about version of symbol "
        r"\S+|modprobe: FATAL: Module \S+ not found in directory \S+"
        r"|modprobe: can't change directory to '\S+'"
        r"|can't insert '?\S+'?: (?:Key was rejected by service|invalid module format)"
        r"|\S+: Unknown symbol \S+ \(err \S+\))",
        "the modules are not this kernel's ({what})",
        "take the modules from the image under `kernel:`, and look for what else brings "
        "/lib/modules",
        vague=True,
    ),
    _signature(
        codes.INIT_ENDED,
        r"init: cannot go on: (?P<what>.*)",
        "init cannot go on: {what}",
        "the lines before tell more; see the section of image.yml that it names",
    ),
    _signature(
        codes.INIT_ENDED,
        r"Kernel panic - not syncing: (?P<what>Attempted to kill init! exitcode=\S+)",
        "the first process ended ({what})",
        "the lines before tell why; try the image under `init:` by itself",
    ),
    _signature(
        codes.KERNEL_PANIC,
        r"Kernel panic - not syncing: (?P<what>.*)",
        "the kernel panicked: {what}",
        "the lines before tell what happened",
    ),
    _signature(
        codes.SERVICE_FAILED,
        r"init: (?P<what>.+ (?:ended: .+; it is started again in .*|failed after [\d.]+ s: .*"
        r"|cannot run: .*))",
        "a container does not run: {what}",
        "see its entry in image.yml, and what it says itself on the console or in /var/log",
        vague=True,
    ),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """A cause that was found, and what to do about it."""

    code: Code
    cause: str
    remedy: str

    def diagnostic(self) -> Diagnostic:
        """Return it as it is shown."""
        return Diagnostic(self.code, self.cause, None, (self.remedy,), (), Severity.ERROR)


def gave_up(text: str) -> bool:
    """Tell whether the kernel or the firmware cannot go on."""
    return (_PANIC.search(text) or _NOTHING_TO_BOOT.search(text)) is not None


def is_emulator_fault(text: str) -> bool:
    """Tell whether QEMU, and not the image, is what failed."""
    return SIGNATURES[0].pattern.search(text) is not None


def diagnose(text: str, machine: Machine) -> list[Finding]:
    """Return what is known to be wrong, the cause first."""
    found = []
    boot = machine.boot
    has_initrd = isinstance(boot, KernelBoot) and boot.initrd is not None
    for signature in SIGNATURES:
        match = signature.pattern.search(text)
        if match is None or (signature.with_initrd and not has_initrd):
            continue
        groups = match.groupdict()
        what = next((v for v in groups.values() if v), match[0]).strip()
        finding = Finding(signature.code, signature.cause.replace("{what}", what), signature.remedy)
        found.append((signature.vague, finding))
        if not signature.vague:
            break
    if not found and not any(_said_by_system(line) for line in text.splitlines()):
        return [_silent(machine)]
    # A cause that is certain comes first.
    return [finding for _vague, finding in sorted(found, key=lambda f: f[0])]


def _silent(machine: Machine) -> Finding:
    console = _CONSOLES.get(machine.architecture, "ttyS0")
    boot = machine.boot
    if isinstance(boot, KernelBoot):
        words = boot.cmdline.split()
        consoles = [w for w in words if w.startswith("console=")]
        if f"console={console}" not in (w.partition(",")[0] for w in consoles):
            named = f"only {', '.join(consoles)}" if consoles else "no console"
            return Finding(
                codes.NO_CONSOLE,
                f"nothing came over the serial console: the command line names {named}",
                f"add console={console} to `kernel.cmdline` in image.yml",
            )
    return Finding(
        codes.NO_CONSOLE,
        "nothing came over the serial console",
        f"the command line of its kernel needs console={console}; --gui shows the screen",
    )


def _said_by_system(line: str) -> bool:
    return len(line.strip()) > 1 and not _FIRMWARE.search(line)


def last_lines(text: str, count: int = 20) -> list[str]:
    """Return the last lines that say something; of a panic, those that lead to it."""
    panic = _PANIC.search(text)
    if panic is not None:
        # After it come only addresses, and perhaps the next attempt to boot.
        text = text[: panic.end()]
    lines = [line.rstrip() for line in text.splitlines()]
    return [line for line in lines if line][-count:]
