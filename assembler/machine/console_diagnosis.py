"""Diagnose a failed boot from known messages on the console."""

from __future__ import annotations

import re
from dataclasses import dataclass

from assembler.codes import Code
from assembler.codes import machine as codes
from assembler.consoles import SERIAL_CONSOLES
from assembler.diagnostics import Diagnostic, Place, Severity
from assembler.machine.console_signatures import SIGNATURES
from assembler.machine.description import KernelBoot, Machine
from assembler.machine.initrd_memory import memory_to_come_up

_PANIC = re.compile(r"Kernel panic - not syncing: (?P<what>.*)")
# The last message of a firmware that waits for a key.
_NO_BOOT_DEVICE = re.compile(r"BdsDxe: No bootable option or device was found|No bootable device")
# The output of firmware before a kernel starts.
_FIRMWARE_OUTPUT = re.compile(
    r"SeaBIOS \(version|Machine UUID|i?PXE|Press Ctrl-B|Press ESC|Booting from|Probing EDD|BdsDxe:"
    r"|UEFI firmware|EFI stub:"
)
# Init's message about a failed container, followed by the container's last output.
_CONTAINER_FAILURE = re.compile(
    r"init: (?P<kind>service|onboot|onshutdown) (?P<name>\S+) "
    r"(?P<what>ended: .+|failed after [\d.]+ s: .+|cannot run: .+)(?P<tail>(?:\n +\| .*)*)"
)
_MAX_CONTAINERS = 3
# Init waits twice as long after each end of a service, unless it has run for a minute: 1, 2, 4, 8,
# 16 seconds. What waits for something else has often found it by then.
_RESTART_PAUSE = re.compile(r"it is started again in (?P<seconds>\d+)s$")
_CRASH_LOOP_PAUSE = 16
_SECTIONS = {"service": "services"}


@dataclass(frozen=True, slots=True)
class CrashLoop:
    """A service that ends again and again, and its last lines."""

    name: str
    last_lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConsoleFinding:
    """A cause that was found, and its remedy."""

    code: Code
    cause: str
    remedy: str
    # The keys of the value in image.yml to fix; a container is identified by its name.
    keys: tuple[str, ...] = ()

    def diagnostic(self, place: Place | None = None) -> Diagnostic:
        """Return the diagnostic, with its place in image.yml if that is known."""
        return Diagnostic(self.code, self.cause, place, (self.remedy,), (), Severity.ERROR)


def has_given_up(text: str) -> bool:
    """Tell whether the kernel has panicked or the firmware found no boot device."""
    return (_PANIC.search(text) or _NO_BOOT_DEVICE.search(text)) is not None


def find_crash_loop(text: str) -> CrashLoop | None:
    """Return the first service that has ended five times in a row, each soon after its start."""
    for match in _CONTAINER_FAILURE.finditer(text):
        pause = _RESTART_PAUSE.search(match["what"])
        if pause is not None and int(pause["seconds"]) >= _CRASH_LOOP_PAUSE:
            return CrashLoop(match["name"], tuple(_tail_lines(match)))
    return None


def is_emulator_fault(text: str) -> bool:
    """Tell whether QEMU failed, and not the image."""
    return SIGNATURES[0].pattern.search(text) is not None


def diagnose_console(text: str, machine: Machine) -> list[ConsoleFinding]:
    """Return the known causes of a failed boot, the most certain first."""
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
        if signature.code in (codes.OUT_OF_MEMORY, codes.BROKEN_INITRD):
            finding = _memory_finding(finding, what, machine)
        (vague if signature.vague else certain).append(finding)
        if certain:
            break
    found = [*certain, *vague, *_failed_containers(text)]
    if not found and not any(_is_system_output(line) for line in text.splitlines()):
        return [_no_output_finding(machine)]
    return found


def _memory_finding(finding: ConsoleFinding, what: str, machine: Machine) -> ConsoleFinding:
    """Return the finding that memory was short if it was; what is damaged then is of no account."""
    boot = machine.boot
    if not isinstance(boot, KernelBoot) or boot.initrd is None:
        return finding
    needed = memory_to_come_up(boot.initrd, machine.memory, boot.kernel, boot.cmdline)
    if needed is None:
        return finding
    return ConsoleFinding(
        codes.OUT_OF_MEMORY,
        f"there was not enough memory ({what})",
        f"the system needs about {needed} MB to come up, and more for its programs: --mem {needed}",
    )


def _failed_containers(text: str) -> list[ConsoleFinding]:
    """Return a finding for each container that init reports as failed."""
    failures: dict[tuple[str, str], list[re.Match[str]]] = {}
    for match in _CONTAINER_FAILURE.finditer(text):
        failures.setdefault((match["kind"], match["name"]), []).append(match)
    found = []
    for (kind, name), matches in list(failures.items())[:_MAX_CONTAINERS]:
        last = matches[-1]
        output = _tail_lines(last)
        last_output = f'; its last output: "{output[-1]}"' if output else ""
        repeated = f", {len(matches)} times so far" if len(matches) > 1 else ""
        found.append(
            ConsoleFinding(
                codes.SERVICE_FAILED,
                f"the {kind} {name} {last['what']}{repeated}{last_output}",
                "see its entry in image.yml, and its output on the console or in /var/log",
                (_SECTIONS.get(kind, kind), name),
            )
        )
    return found


def _tail_lines(failure: re.Match[str]) -> list[str]:
    """Return the last output of a container, as init has repeated it."""
    lines = (line.strip().removeprefix("|").strip() for line in failure["tail"].splitlines())
    return [line for line in lines if line]


def _no_output_finding(machine: Machine) -> ConsoleFinding:
    console = SERIAL_CONSOLES.get(machine.architecture, "ttyS0")
    boot = machine.boot
    if isinstance(boot, KernelBoot):
        words = boot.cmdline.split()
        consoles = [w for w in words if w.startswith("console=")]
        if f"console={console}" not in (w.partition(",")[0] for w in consoles):
            named = f"only {', '.join(consoles)}" if consoles else "no console"
            return ConsoleFinding(
                codes.NO_CONSOLE,
                f"no output on the serial console: the kernel command line has {named}",
                f"add console={console} to `kernel.cmdline` in image.yml",
                ("kernel", "cmdline"),
            )
    return ConsoleFinding(
        codes.NO_CONSOLE,
        "no output on the serial console",
        f"its kernel command line needs console={console}; --gui shows the screen",
    )


def _is_system_output(line: str) -> bool:
    return len(line.strip()) > 1 and not _FIRMWARE_OUTPUT.search(line)


def last_lines(text: str, count: int = 20) -> list[str]:
    """Return the last lines that are not empty; after a panic, the lines up to it."""
    panic = _PANIC.search(text)
    if panic is not None:
        # Only a stack trace follows, and perhaps the next boot.
        text = text[: panic.end()]
    lines = [line.rstrip() for line in text.splitlines()]
    return [line for line in lines if line][-count:]
