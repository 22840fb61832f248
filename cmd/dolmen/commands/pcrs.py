"""`dolmen pcrs`: predict what a machine measures into its TPM when it starts an image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assembler.codes import measurement as codes
from assembler.errors import UsageError
from dolmen import completions
from dolmen.lazy import command_app
from dolmen.output import print_document, print_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.measurement import ImagePrediction, SecureBootVariables, StatePrediction

app = command_app()


@app.command()
def pcrs(
    path: Annotated[Path, typer.Argument(metavar="IMAGE", help="Disk, ISO or program for UEFI.")],
    firmware: Annotated[
        Path | None,
        typer.Option(help="Code of the firmware (OVMF_CODE.fd), for PCR 0.", metavar="FILE"),
    ] = None,
    variables: Annotated[
        Path | None,
        typer.Option(
            "--vars", help="Variables of the firmware (OVMF_VARS.fd), for PCR 7.", metavar="FILE"
        ),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(
            "--secure-boot-keys",
            help="Instead of --vars: the certificates PK, KEK and db in DIR, as `dolmen run qemu` "
            "enrols them.",
            metavar="DIR",
        ),
    ] = None,
    secure_boot: Annotated[
        bool | None,
        typer.Option(
            "--secure-boot/--no-secure-boot",
            help="Assume that Secure Boot is on or off.  [default: as the variables say; both "
            "without them]",
        ),
    ] = None,
    architecture: Annotated[
        str,
        typer.Option(
            "--arch",
            help="Architecture of the machine.  [default: the first that the image is for]",
            metavar="ARCH",
            autocompletion=completions.complete_architectures,
        ),
    ] = "",
    events: Annotated[
        bool, typer.Option("--events", help="Print the events of each register, too.")
    ] = False,
    log: Annotated[
        Path | None,
        typer.Option(
            "--event-log",
            help="Fail unless a machine has measured the same: FILE is a copy of its "
            "/sys/kernel/security/tpm0/binary_bios_measurements.",
            metavar="FILE",
        ),
    ] = None,
    lock: Annotated[
        Path | None,
        typer.Option(
            "--pcrlock", help="Write the events for systemd-pcrlock to FILE.", metavar="FILE"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """Predict the PCRs of a TPM after an image has booted, before it ever does.

    \b
    dolmen pcrs image-efi.img
    dolmen pcrs --events --vars /usr/share/OVMF/OVMF_VARS_4M.fd image-efi.img
    dolmen pcrs --secure-boot-keys keys --json image.efi | jq '.images[].states[].registers'
    dolmen pcrs --no-secure-boot --event-log measurements image-efi.img
    dolmen pcrs --no-secure-boot --pcrlock 600-image.pcrlock image.efi

    PCR 4 has the programs that start, 5 the partition table and the boot loader's configuration,
    7 the keys of Secure Boot, 9 command line and initrd, 11 the unified kernel image, 12 what
    overrides its command line; the bank is SHA-256. A register that depends on what is not given
    is unknown, with the reason.
    """
    from assembler.measurement import (
        PredictionOptions,
        lock_file,
        predict_registers,
        prediction_document,
    )

    known = _variables(variables, keys)
    options = PredictionOptions(known, secure_boot, firmware, architecture)
    found = predict_registers(path, options)
    if len(found.states) > 1 and (lock or log):
        raise UsageError.of(
            codes.SEVERAL_STATES,
            f"{'--pcrlock' if lock else '--event-log'} needs to know whether Secure Boot is on",
            "add --secure-boot or --no-secure-boot",
        )
    if lock is not None:
        from assembler.files import atomic_write

        with atomic_write(lock) as file:
            file.write(lock_file(found.states[0]))
    if as_json:
        print_document(prediction_document({path.name: found}).decode())
    else:
        for line in _lines(path, found, events=events):
            print_line(line)
    if log is not None:
        _compare(log, found.states[0])


def _compare(log: Path, state: StatePrediction) -> None:
    from assembler.diagnostics import Diagnostic
    from assembler.errors import OutputError
    from assembler.measurement import log_differences, read_event_log

    problems = [
        Diagnostic(codes.LOG_DIFFERS, f"PCR {number}: {what}")
        for number, what in log_differences(state.registers, read_event_log(log))
    ]
    if problems:
        raise OutputError(problems)


def _variables(variables: Path | None, keys: Path | None) -> SecureBootVariables | None:
    from assembler.measurement import SecureBootVariables, read_secure_boot_variables

    if variables is not None and keys is not None:
        from assembler.codes import usage

        raise UsageError.of(usage.BAD_OPTION, "--vars and --secure-boot-keys exclude each other")
    if keys is not None:
        from assembler.machine import read_key_lists

        return SecureBootVariables(read_key_lists(keys), enabled=True)
    return read_secure_boot_variables(variables) if variables is not None else None


def _lines(path: Path, found: ImagePrediction, *, events: bool) -> Iterator[str]:
    yield f"{path}: {found.medium}"
    for state in found.states:
        yield f"with Secure Boot {'on' if state.secure_boot else 'off'}:"
        for program in state.programs:
            yield f"  starts {program}"
        for other in state.others:
            yield f"  does not start {other}"
        for register in state.registers:
            value = register.value
            shown = value.hex() if value is not None else f"unknown: {register.reason}"
            yield f"  PCR {register.number:<2}  {shown}"
            for event in register.events if events else ():
                yield f"    {event.digest.hex()}  {event.type}  {event.what}"
