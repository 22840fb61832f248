"""Write several formats in one run; what several of them need is made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.codes import measurement
from assembler.codes import output as codes
from assembler.consoles import SERIAL_CONSOLES
from assembler.diagnostics import Diagnostic, Severity
from assembler.errors import OutputError, wrap_os_errors
from assembler.events import LogMessage, WarningEmitted
from assembler.formats.protocol import Format, FormatOptions, Needs, Target
from assembler.helper_images import BOOTLOADERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.encode import Assembly
    from assembler.events import Reporter
    from assembler.formats.written_output import Output

# Formats with kernel and initrd as files, and those that have them unless they are signed.
_NEVER_UNIFIED = frozenset({"iso-efi-initrd"})
_UNIFIED_IF_SIGNED = frozenset({"raw", "iso", "azure"})


def write_formats(
    assembly: Assembly,
    formats: Sequence[Format],
    target: Target,
    options: FormatOptions | None = None,
    reporter: Reporter | None = None,
) -> list[Output]:
    """Write the system in each format, and return the outputs."""
    options = options or FormatOptions()
    for output_format in formats:
        _check_requirements(output_format, assembly)
    needs = Needs()
    for output_format in formats:
        needs |= output_format.needs
    if reporter is not None and BOOTLOADERS in needs.helpers:
        _suggest_console(assembly, reporter)
    boot = needs.boot and assembly.plan.boot is not None
    assembly.boots = needs.boot
    assembly.prepare(tree=needs.tree, initrd=needs.initrd, boot=boot)
    if target.output is None:
        with wrap_os_errors(target.directory):
            target.directory.mkdir(parents=True, exist_ok=True)
    for output_format in formats:
        if output_format.check is not None:
            output_format.check(assembly, options)
    if options.before_writing is not None:
        options.before_writing()
    written: list[Output] = []
    for output_format in formats:
        written += output_format.write(assembly, target, options)
    return written


def check_architecture(formats: Sequence[Format], architecture: str) -> None:
    """Refuse formats that do not exist for an architecture; no plan is needed for that."""
    for one in formats:
        if one.architectures and architecture not in one.architectures:
            raise OutputError.of(
                codes.BAD_FORMAT,
                f"the format {one.name} is not for {architecture}",
                f"it is for {', '.join(sorted(one.architectures))}",
            )


def check_signing(formats: Sequence[Format], architecture: str, reporter: Reporter) -> None:
    """Refuse a key for formats without a program for UEFI; warn if only some have one."""
    unsigned = [one.name for one in formats if architecture not in one.signs_on]
    if not unsigned:
        return
    names = ", ".join(unsigned)
    problem = Diagnostic(
        codes.NOTHING_TO_SIGN,
        f"--secure-boot-key has no effect on {names}: there is no UEFI program in it to sign",
        hints=("leave the key out, or choose a format with one, such as uki, raw-efi or iso-efi",),
        severity=Severity.WARNING if len(unsigned) < len(formats) else Severity.ERROR,
    )
    if problem.severity is Severity.ERROR:
        raise OutputError([problem])
    reporter.emit(WarningEmitted(problem))


def check_enclave_signing(formats: Sequence[Format]) -> None:
    """Refuse a key for enclave images if there is none."""
    names = [one.name for one in formats]
    if "eif" not in names:
        raise OutputError.of(
            codes.NOTHING_TO_SIGN,
            f"--enclave-key has no effect on {', '.join(names)}: there is no enclave image to sign",
            "leave the key out, or choose the format eif",
        )


def check_pcr_key(
    formats: Sequence[Format], architecture: str, reporter: Reporter, *, signed: bool
) -> None:
    """Refuse a key for formats without a unified kernel image; warn if only some have one."""
    without = [
        one.name
        for one in formats
        if architecture not in one.signs_on
        or one.name in _NEVER_UNIFIED
        or (one.name in _UNIFIED_IF_SIGNED and architecture == "amd64" and not signed)
    ]
    if not without:
        return
    problem = Diagnostic(
        measurement.NO_SIGNED_POLICY,
        f"--pcr-key has no effect on {', '.join(without)}: there is no unified kernel image in it",
        hints=("leave the key out, or choose a format with one, such as uki, raw-efi or iso-efi",),
        severity=Severity.WARNING if len(without) < len(formats) else Severity.ERROR,
    )
    if problem.severity is Severity.ERROR:
        raise OutputError([problem])
    reporter.emit(WarningEmitted(problem))


def _check_requirements(one: Format, assembly: Assembly) -> None:
    """Refuse a format that cannot be written, before anything is encoded."""
    check_architecture([one], assembly.plan.architecture)
    if one.needs_kernel and assembly.plan.boot is None:
        raise OutputError.of(
            codes.NO_KERNEL,
            f"the format {one.name} needs a kernel, and the YAML has none",
            "add a section `kernel` with an image, or choose the format tar",
        )


def _suggest_console(assembly: Assembly, reporter: Reporter) -> None:
    """Suggest a serial console for a system that would boot silently without a screen."""
    words = assembly.cmdline.split()
    console = SERIAL_CONSOLES.get(assembly.plan.architecture)
    if console and not any(word.startswith("console=") for word in words):
        reporter.emit(
            LogMessage(
                "the command line names no console, so a machine without a screen shows nothing: "
                f"add console={console} to cmdline of the kernel"
            )
        )
