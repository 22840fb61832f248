"""Verification of an image: the checks that a disk, a program, a CD or an update set has."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from assembler import magics
from assembler.codes import output as codes
from assembler.data_files import open_data_stream
from assembler.errors import DolmenError, OutputError, wrap_os_errors
from assembler.inspection import open_boot_volume, open_disk
from assembler.measurement import predict_registers
from assembler.verification.programs import check_program
from assembler.verification.report import Checks, FailedCheckError, Report
from assembler.verification.slots import check_partitions, check_slots
from assembler.verification.trusted_keys import check_keys
from assembler.verification.update_sets import check_update_set

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.inspection import BootVolume
    from assembler.verification.programs import SystemProgram
    from assembler.verification.trusted_keys import TrustedKeys

_MAX_PREDICTIONS = 4 << 20
# The first sector, and the header of the partition table.
_TABLE_HEAD = 1024
_PCRS = "predictions of PCRs"
_ALWAYS = (
    "the firmware, its variables and what they forbid (dbx)",
    "the dates of certificates, which firmware ignores",
    "whether boot loader, kernel and services have weaknesses",
)
_OF_DISKS = (
    "the filesystem of the ESP: only its files are checked, not its free space and directories",
    "partitions for data, free slots, and what follows the data in a partition",
    "the UUID in the superblock of a hash tree, which nothing signs",
    "whether the root filesystem has the key that updates are verified with",
)
# Files that a boot loader or a stub reads, and that no signature covers.
_READ_AT_BOOT = ("loader/", "efi/linux/")


def verify(path: Path, keys: TrustedKeys, predictions: Path | None = None) -> Report:
    """Return the checks of an image or of a directory with an update set.

    `predictions` is the file NAME-pcrs.json; by default it is looked for beside the image.
    """
    checks = Checks()
    check_keys(checks, keys)
    if path.is_dir():
        if not (path / "index.json").is_file():
            raise OutputError.of(
                codes.UNKNOWN_FILE_KIND,
                f"the directory {path} has no index.json",
                "known are update sets (NAME-update), disks, ISOs and programs for UEFI",
            )
        check_update_set(checks, path, keys)
        return Report("update set", tuple(checks.found), _ALWAYS)
    with open_disk(path) as disk, ExitStack() as stack:
        try:
            volume = stack.enter_context(open_boot_volume(path))
        except OutputError as error:
            if not magics.has_magic(disk.read(0, _TABLE_HEAD), magics.GPT, _TABLE_HEAD // 2):
                raise
            # It is a disk with a damaged table or ESP.
            check_partitions(checks, disk)
            checks.failed("disk", "programs", error.diagnostics[0].message)
            return Report("disk", tuple(checks.found), (*_ALWAYS, *_OF_DISKS))
        slots = check_partitions(checks, disk) if volume.medium == "disk" else []
        programs = _check_programs(checks, path, volume, keys)
        if volume.medium == "disk":
            check_slots(checks, slots, programs)
        else:
            for program in programs:
                if program.root_hash is not None:
                    checks.unchecked(program.part, "hash tree", "it is on the disk of the system")
    _check_predictions(checks, path, predictions)
    more = _OF_DISKS if volume.medium == "disk" else ()
    return Report(volume.medium, tuple(checks.found), (*_ALWAYS, *more))


def _check_programs(
    checks: Checks, path: Path, volume: BootVolume, keys: TrustedKeys
) -> list[SystemProgram]:
    found = []
    for name, source in sorted(volume.files.items()):
        if not name or name.lower().endswith(".efi"):
            program = check_program(checks, name or path.name, source, keys)
            if program is not None:
                found.append(program)
        elif name.lower().startswith(_READ_AT_BOOT):
            checks.unchecked(name, "signature", "it is read at boot, and nothing signs it")
    return found


def _check_predictions(checks: Checks, path: Path, given: Path | None) -> None:
    with checks.failing(path.name, _PCRS):
        found = _prediction_in(given, path.name) if given else _prediction_beside(path)
        if found is None:
            reason = f"no {given or 'NAME-pcrs.json beside it'} has predictions of {path.name}"
            checks.unchecked(path.name, _PCRS, reason)
            return
        now = predict_registers(path).as_json()
        if (found["medium"], found["bank"]) != (now["medium"], now["bank"]):
            raise FailedCheckError("they are for another medium or bank")
        wrong = sorted(_different(found["states"], now["states"]))
        if wrong:
            raise FailedCheckError(f"PCR {', '.join(map(str, wrong))} would be another")
        checks.ok(path.name, _PCRS, "computed again, they are the same")


def _different(told: list[dict[str, Any]], now: list[dict[str, Any]]) -> set[int]:
    if [s["secureBoot"] for s in told] != [s["secureBoot"] for s in now]:
        raise FailedCheckError("they are for other states of Secure Boot")
    found: set[int] = set()
    for one, other in zip(told, now, strict=True):
        said, wanted = ({r["pcr"]: r for r in state["registers"]} for state in (one, other))
        found.update(n for n in said.keys() | wanted if said.get(n) != wanted.get(n))
    return found


def _prediction_beside(path: Path) -> dict[str, Any] | None:
    """Return the prediction in a file beside the image; what is wrong with others is theirs."""
    for file in sorted(path.absolute().parent.glob("*-pcrs.json")):
        try:
            found = _prediction_in(file, path.name)
        except (DolmenError, ValueError, KeyError, TypeError, RecursionError):
            continue
        if found is not None:
            return found
    return None


def _prediction_in(file: Path, name: str) -> dict[str, Any] | None:
    with wrap_os_errors(file, "read"), open_data_stream(file) as opened:
        document = json.loads(opened.read(_MAX_PREDICTIONS))
    return next((image for image in document["images"] if image["image"] == name), None)
