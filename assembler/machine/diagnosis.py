"""Why a machine did not come up: known signatures on its console, their causes and remedies."""

from __future__ import annotations

import re
from dataclasses import dataclass

from assembler.codes import Code
from assembler.codes import machine as codes
from assembler.consoles import SERIAL_CONSOLES
from assembler.diagnostics import Diagnostic, Place, Severity
from assembler.machine.description import KernelBoot, Machine
from assembler.machine.signatures import SIGNATURES

_PANIC = re.compile(r"Kernel panic - not syncing: (?P<what>.*)")
# What a firmware says last: it waits for somebody at the keyboard.
_NOTHING_TO_BOOT = re.compile(r"BdsDxe: No bootable option or device was found|No bootable device")
# What a firmware says before any kernel does.
_FIRMWARE = re.compile(
    r"SeaBIOS \(version|Machine UUID|i?PXE|Press Ctrl-B|Press ESC|Booting from|Probing EDD|BdsDxe:"
    r"|UEFI firmware|EFI stub:"
)
# What init says of containers, and below it what they said last themselves.
_CONTAINER = re.compile(
    r"init: (?P<kind>service|onboot|onshutdown) (?P<name>\S+) "
    r"(?P<what>ended: .+|failed after [\d.]+ s: .+|cannot run: .+)(?P<tail>(?:\n +\| .*)*)"
)
_MOST_CONTAINERS = 3
_SECTIONS = {"service": "services"}


@dataclass(frozen=True, slots=True)
class ConsoleFinding:
    """A cause that was found, and what to do about it."""

    code: Code
    cause: str
    remedy: str
    # The part of image.yml where it is mended; a container is known by its name.
    keys: tuple[str, ...] = ()

    def diagnostic(self, place: Place | None = None) -> Diagnostic:
        """Return it as it is shown, at its place in image.yml if that is known."""
        return Diagnostic(self.code, self.cause, place, (self.remedy,), (), Severity.ERROR)


def has_given_up(text: str) -> bool:
    """Tell whether the kernel or the firmware cannot go on."""
    return (_PANIC.search(text) or _NOTHING_TO_BOOT.search(text)) is not None


def is_emulator_fault(text: str) -> bool:
    """Tell whether QEMU, and not the image, is what failed."""
    return SIGNATURES[0].pattern.search(text) is not None


def diagnose_console(text: str, machine: Machine) -> list[ConsoleFinding]:
    """Return what is known to be wrong, the cause first."""
    certain: list[ConsoleFinding] = []
    vague: list[ConsoleFinding] = []
    boot = machine.boot
    has_initrd = isinstance(boot, KernelBoot) and boot.initrd is not None
    for signature in SIGNATURES:
        match = signature.pattern.search(text)
        if match is None or (signature.with_initrd and not has_initrd):
            continue
        groups = match.groupdict()
        what = next((v for v in groups.values() if v), match[0]).strip()
        cause = signature.cause.replace("{what}", what)
        finding = ConsoleFinding(signature.code, cause, signature.remedy, signature.keys)
        (vague if signature.vague else certain).append(finding)
        if certain:
            break
    # A cause that is certain comes first.
    found = [*certain, *vague, *_containers(text)]
    if not found and not any(_said_by_system(line) for line in text.splitlines()):
        return [_silent(machine)]
    return found


def _containers(text: str) -> list[ConsoleFinding]:
    """Return what init says of containers that failed, once for each of them."""
    failures: dict[tuple[str, str], list[re.Match[str]]] = {}
    for match in _CONTAINER.finditer(text):
        failures.setdefault((match["kind"], match["name"]), []).append(match)
    found = []
    for (kind, name), matches in list(failures.items())[:_MOST_CONTAINERS]:
        last = matches[-1]
        said = [line.strip().removeprefix("|").strip() for line in last["tail"].splitlines()]
        words = f'; it said last: "{said[-1]}"' if said and said[-1] else ""
        often = f", {len(matches)} times so far" if len(matches) > 1 else ""
        found.append(
            ConsoleFinding(
                codes.SERVICE_FAILED,
                f"the {kind} {name} {last['what']}{often}{words}",
                "see its entry in image.yml, and what it says itself on the console or in /var/log",
                (_SECTIONS.get(kind, kind), name),
            )
        )
    return found


def _silent(machine: Machine) -> ConsoleFinding:
    console = SERIAL_CONSOLES.get(machine.architecture, "ttyS0")
    boot = machine.boot
    if isinstance(boot, KernelBoot):
        words = boot.cmdline.split()
        consoles = [w for w in words if w.startswith("console=")]
        if f"console={console}" not in (w.partition(",")[0] for w in consoles):
            named = f"only {', '.join(consoles)}" if consoles else "no console"
            return ConsoleFinding(
                codes.NO_CONSOLE,
                f"nothing came over the serial console: the command line names {named}",
                f"add console={console} to `kernel.cmdline` in image.yml",
                ("kernel", "cmdline"),
            )
    return ConsoleFinding(
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
