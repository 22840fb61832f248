"""Predictions of an image's PCRs: for each state of Secure Boot, with their events."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assembler.codes import output as codes
from assembler.errors import OutputError
from assembler.inspection import CorruptDataError, open_boot_volume
from assembler.measurement import secure_boot
from assembler.measurement.boot import (
    BOOT_CONFIGURATION,
    BOOT_PROGRAMS,
    KERNEL_CONFIGURATION,
    KERNEL_INPUTS,
    BootPrediction,
    ProgramCache,
    predict_boot,
)
from assembler.measurement.events import BANK
from assembler.measurement.firmware import CODE, note_firmware
from assembler.measurement.programs import EfiProgram
from assembler.media import KERNEL_BOOT

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.inspection import BootVolume
    from assembler.measurement.events import RegisterPrediction
    from assembler.measurement.variables import SecureBootVariables

SCHEMA = 1
_REGISTERS = (
    *(BOOT_PROGRAMS, BOOT_CONFIGURATION, secure_boot.STATE, KERNEL_INPUTS),
    *(KERNEL_BOOT, KERNEL_CONFIGURATION),
)
ASSUMPTIONS = (
    "the firmware is EDK II, and starts the image at its first attempt",
    "no boot entry or SMBIOS text adds to the command line, no variable or key chooses an entry",
    "nothing in the system extends the registers",
)


@dataclass(frozen=True, slots=True)
class PredictionOptions:
    """The machine that an image is started on."""

    variables: SecureBootVariables | None = None
    # On, off, or by default that of the variables; without any, both.
    secure_boot: bool | None = None
    firmware: Path | None = None
    # Of images for several ones; by default the first that is there.
    architecture: str = ""


@dataclass(frozen=True, slots=True)
class StatePrediction:
    """The registers with Secure Boot on or off."""

    secure_boot: bool
    # Descriptions of the programs that start, in order.
    programs: tuple[str, ...]
    # Unified kernel images that do not start.
    others: tuple[str, ...]
    registers: tuple[RegisterPrediction, ...]

    def register(self, number: int) -> RegisterPrediction:
        """Return one of the registers."""
        return next(r for r in self.registers if r.number == number)

    def as_json(self) -> dict[str, Any]:
        """Return the prediction as JSON."""
        return {
            "secureBoot": self.secure_boot,
            "programs": list(self.programs),
            "others": list(self.others),
            "registers": [r.as_json() for r in self.registers],
        }


@dataclass(frozen=True, slots=True)
class ImagePrediction:
    """The registers of an image."""

    # program, volume, cd, disk or mbr-disk.
    medium: str
    states: tuple[StatePrediction, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the prediction as JSON, without the name of the image."""
        return {
            "medium": self.medium,
            "bank": BANK,
            "states": [state.as_json() for state in self.states],
        }


def predict_registers(path: Path, options: PredictionOptions | None = None) -> ImagePrediction:
    """Return what a machine measures that starts an image."""
    options = options or PredictionOptions()
    programs = ProgramCache()
    with open_boot_volume(path) as volume:
        try:
            states = tuple(
                _predict(volume, options, programs, secure=s) for s in _states(volume, options)
            )
        except CorruptDataError as error:
            raise OutputError.of(codes.DAMAGED_FILE, f"{path} is damaged: {error}") from error
        except (struct.error, IndexError, OverflowError) as error:
            raise OutputError.of(codes.DAMAGED_FILE, f"{path} is corrupt: {error}") from error
        return ImagePrediction(volume.medium, states)


def _states(volume: BootVolume, options: PredictionOptions) -> tuple[bool, ...]:
    if options.secure_boot is not None:
        return (options.secure_boot,)
    if options.variables is not None:
        return (options.variables.enabled,)
    programs = [
        (p, s) for p, s in volume.files.items() if not p or p.lower().startswith("efi/boot/")
    ]
    signed = any(
        EfiProgram.read(path, source).headers.certificates[1]
        for path, source in programs
        if not path or path.lower().endswith(".efi")
    )
    # Firmware does not start what is not signed.
    return (False, True) if signed else (False,)


def _predict(
    volume: BootVolume, options: PredictionOptions, programs: ProgramCache, *, secure: bool
) -> StatePrediction:
    variables = options.variables
    if variables is not None:
        variables = variables.with_state(enabled=secure)
    boot: BootPrediction = predict_boot(
        volume,
        secure=secure,
        variables=variables,
        architecture=options.architecture,
        programs=programs,
    )
    numbers = list(_REGISTERS)
    if options.firmware is not None:
        note_firmware(boot.log, options.firmware)
        numbers.insert(0, CODE)
    registers = tuple(boot.log.register(number) for number in numbers)
    return StatePrediction(secure, tuple(boot.programs), tuple(boot.others), registers)


def prediction_document(images: dict[str, ImagePrediction]) -> bytes:
    """Return the content of NAME-pcrs.json: the predictions of images by their file names."""
    document = {
        "schema": SCHEMA,
        "assumptions": list(ASSUMPTIONS),
        "images": [{"image": name, **image.as_json()} for name, image in sorted(images.items())],
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def lock_file(state: StatePrediction) -> bytes:
    """Return the events of the known registers as systemd-pcrlock reads them (.pcrlock)."""
    records = [
        {"pcr": event.register, "digests": [{"hashAlg": BANK, "digest": event.digest.hex()}]}
        for register in state.registers
        if register.value is not None
        for event in register.events
    ]
    return json.dumps({"records": records}, indent=2).encode() + b"\n"
