"""Measurement: the PCRs that a machine has after it started an image, and the events behind them.

    predict_registers(path, options)    the registers of an image -> ImagePrediction
    read_secure_boot_variables(path)    the keys in a firmware's variables -> SecureBootVariables
    prediction_document(images)         the content of NAME-pcrs.json
    lock_file(state)                    the same for systemd-pcrlock
    read_event_log(path), log_differences(registers, log)   what a machine has measured instead
    EfiProgram                          a program: signatures, sections, what is measured of it
    PredictionOptions                   the machine: firmware, variables, Secure Boot

A register is known with all of its events, or it is unknown with the reason; nothing is guessed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.measurement.event_log import log_differences, read_event_log
    from assembler.measurement.events import MeasuredEvent, RegisterPrediction
    from assembler.measurement.predictions import (
        ASSUMPTIONS,
        ImagePrediction,
        PredictionOptions,
        StatePrediction,
        lock_file,
        predict_registers,
        prediction_document,
    )
    from assembler.measurement.programs import EfiProgram
    from assembler.measurement.variables import SecureBootVariables, read_secure_boot_variables

_HOMES = {
    "ASSUMPTIONS": "predictions",
    "EfiProgram": "programs",
    "ImagePrediction": "predictions",
    "MeasuredEvent": "events",
    "PredictionOptions": "predictions",
    "RegisterPrediction": "events",
    "SecureBootVariables": "variables",
    "StatePrediction": "predictions",
    "lock_file": "predictions",
    "log_differences": "event_log",
    "predict_registers": "predictions",
    "prediction_document": "predictions",
    "read_event_log": "event_log",
    "read_secure_boot_variables": "variables",
}

__all__ = [
    "ASSUMPTIONS",
    "EfiProgram",
    "ImagePrediction",
    "MeasuredEvent",
    "PredictionOptions",
    "RegisterPrediction",
    "SecureBootVariables",
    "StatePrediction",
    "lock_file",
    "log_differences",
    "predict_registers",
    "prediction_document",
    "read_event_log",
    "read_secure_boot_variables",
]

if not TYPE_CHECKING:  # Else a type checker would take any name for granted.
    __getattr__ = front(__name__, _HOMES)
