"""Resource limits (rlimits): `nofile,1024,4096` as the runtime specification has it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from assembler.codes import rootfs
from assembler.config.checks.limits import RLIM_INFINITY, RLIMITS
from assembler.rootfs.diagnostic_collector import DiagnosticCollector

if TYPE_CHECKING:
    from assembler.rootfs.merging import Merged, Word
    from assembler.rootfs.rendering import Json

_NUMBER = re.compile(r"[0-9]{1,20}")


def rlimits(wanted: Merged) -> list[Json]:
    """Return the limits in the order given."""
    findings, found = DiagnosticCollector(), []
    for word in wanted.words["rlimits"]:
        with findings.caught():
            found.append(_limit(wanted, word))
    findings.raise_errors()
    return found


def _limit(wanted: Merged, word: Word) -> Json:
    parts = [part.strip() for part in word.text.split(",")]
    if len(parts) != 3:
        raise wanted.error(
            rootfs.BAD_LIMIT,
            f"{word.text!r} is not a limit of three parts",
            "write NAME,SOFT,HARD, as nofile,1024,4096",
            place=word.place,
        )
    name = parts[0].upper().removeprefix("RLIMIT_")
    if name not in RLIMITS:
        raise wanted.error(
            rootfs.BAD_LIMIT,
            f"there is no limit called {parts[0]!r}",
            f"limits are {', '.join(n.lower() for n in RLIMITS)}",
            place=word.place,
        )
    soft, hard = (_value(wanted, word, part) for part in parts[1:])
    if soft > hard:
        raise wanted.error(
            rootfs.BAD_LIMIT,
            f"{word.text!r}: the soft limit is above the hard one",
            "the first number is the soft limit, the second the hard one",
            place=word.place,
        )
    return {"type": f"RLIMIT_{name}", "hard": hard, "soft": soft}


def _value(wanted: Merged, word: Word, text: str) -> int:
    if text.lower() == "unlimited":
        return RLIM_INFINITY
    if not _NUMBER.fullmatch(text) or int(text) > RLIM_INFINITY:
        raise wanted.error(
            rootfs.BAD_LIMIT,
            f"{word.text!r}: {text!r} is neither a number nor `unlimited`",
            place=word.place,
        )
    return int(text)
