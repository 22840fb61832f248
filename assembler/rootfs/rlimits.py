"""Resource limits: from `nofile,1024,4096` to rlimits of the runtime specification."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from assembler.codes import rootfs
from assembler.config import RLIM_INFINITY, RLIMITS
from assembler.rootfs.diagnostic_collector import DiagnosticCollector

if TYPE_CHECKING:
    from assembler.rootfs.container_settings import ContainerSettings, ListItem
    from assembler.rootfs.json_rendering import JsonObject

_NUMBER = re.compile(r"[0-9]{1,20}")


def rlimits(settings: ContainerSettings) -> list[JsonObject]:
    """Return the limits in their order."""
    findings, found = DiagnosticCollector(), []
    for word in settings.items["rlimits"]:
        with findings.collect():
            found.append(_limit(settings, word))
    findings.raise_errors()
    return found


def _limit(settings: ContainerSettings, word: ListItem) -> JsonObject:
    parts = [part.strip() for part in word.text.split(",")]
    if len(parts) != 3:
        raise settings.error(
            rootfs.BAD_LIMIT,
            f"{word.text!r} is not a limit of three parts",
            "write NAME,SOFT,HARD, as nofile,1024,4096",
            place=word.place,
        )
    name = parts[0].upper().removeprefix("RLIMIT_")
    if name not in RLIMITS:
        raise settings.error(
            rootfs.BAD_LIMIT,
            f"{parts[0]!r} is not a limit",
            f"limits are {', '.join(n.lower() for n in RLIMITS)}",
            place=word.place,
        )
    soft, hard = (_value(settings, word, part) for part in parts[1:])
    if soft > hard:
        raise settings.error(
            rootfs.BAD_LIMIT,
            f"{word.text!r}: the soft limit is above the hard one",
            "the first number is the soft limit, the second the hard one",
            place=word.place,
        )
    return {"type": f"RLIMIT_{name}", "hard": hard, "soft": soft}


def _value(settings: ContainerSettings, word: ListItem, text: str) -> int:
    if text.lower() == "unlimited":
        return RLIM_INFINITY
    if not _NUMBER.fullmatch(text) or int(text) > RLIM_INFINITY:
        raise settings.error(
            rootfs.BAD_LIMIT,
            f"{word.text!r}: {text!r} is neither a number nor `unlimited`",
            place=word.place,
        )
    return int(text)
