"""Capabilities: from the names in the YAML to the five sets of the runtime specification."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.codes import rootfs
from assembler.config.checks.limits import CAPABILITIES
from assembler.rootfs.diagnostic_collector import DiagnosticCollector

if TYPE_CHECKING:
    from assembler.rootfs.merging import Merged
    from assembler.rootfs.rendering import Json

_KNOWN = frozenset(CAPABILITIES)


def capabilities(wanted: Merged) -> Json:
    """Return the sets.

    Ambient capabilities are not in the effective set: the kernel computes that set again when the
    command is executed, and ambient ones are in it then.
    """
    findings = DiagnosticCollector()
    own, ambient = _names(wanted, "capabilities", findings), _names(wanted, "ambient", findings)
    findings.raise_errors()
    both = sorted({*own, *ambient})
    return {
        "bounding": both,
        "effective": own,
        "inheritable": both,
        "permitted": both,
        "ambient": ambient,
    }


def _names(wanted: Merged, field: str, findings: DiagnosticCollector) -> list[str]:
    """Return a list of names in its own order, each once."""
    words = wanted.words[field]
    if len(words) == 1 and words[0].text.lower() in ("all", "none"):
        return list(CAPABILITIES) if words[0].text.lower() == "all" else []
    for word in words:
        if word.text not in _KNOWN:
            with findings.caught():
                message = f"there is no capability {word.text!r}"
                raise wanted.error(
                    rootfs.BAD_CAPABILITY, message, *_hints(word.text), place=word.place
                )
    return list(dict.fromkeys(w.text for w in words))


def _hints(text: str) -> list[str]:
    proper = text.upper().removeprefix("CAP_")
    if proper in ("ALL", "NONE"):
        return [f"{proper.lower()!r} stands alone: leave the other names out"]
    if f"CAP_{proper}" in _KNOWN:
        return [f"write it as CAP_{proper}"]
    import difflib  # noqa: PLC0415 - only for somebody who has mistyped

    close = difflib.get_close_matches(f"CAP_{proper}", CAPABILITIES, 1)
    return [f"did you mean {close[0]}?"] if close else []
