"""Capabilities: from names in the YAML to the five sets of the runtime specification."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.codes import rootfs
from assembler.config import CAPABILITIES
from assembler.rootfs.diagnostic_collector import DiagnosticCollector
from assembler.spelling import did_you_mean

if TYPE_CHECKING:
    from assembler.rootfs.container_settings import ContainerSettings
    from assembler.rootfs.json_rendering import JsonObject

_KNOWN = frozenset(CAPABILITIES)


def capabilities(settings: ContainerSettings) -> JsonObject:
    """Return the five sets.

    Ambient capabilities are not in the effective set: the kernel computes that set again when it
    executes the command, and then adds them.
    """
    findings = DiagnosticCollector()
    own, ambient = _names(settings, "capabilities", findings), _names(settings, "ambient", findings)
    findings.raise_errors()
    both = sorted({*own, *ambient})
    return {
        "bounding": both,
        "effective": own,
        "inheritable": both,
        "permitted": both,
        "ambient": ambient,
    }


def _names(settings: ContainerSettings, field: str, findings: DiagnosticCollector) -> list[str]:
    """Return the names of a list in its order, each once."""
    words = settings.items[field]
    if len(words) == 1 and words[0].text.lower() in ("all", "none"):
        return list(CAPABILITIES) if words[0].text.lower() == "all" else []
    for word in words:
        if word.text not in _KNOWN:
            with findings.collect():
                message = f"{word.text!r} is not a capability"
                raise settings.error(
                    rootfs.BAD_CAPABILITY, message, *_hints(word.text), place=word.place
                )
    return list(dict.fromkeys(w.text for w in words))


def _hints(text: str) -> list[str]:
    proper = text.upper().removeprefix("CAP_")
    if proper in ("ALL", "NONE"):
        return [f"{proper.lower()!r} stands alone: remove the other names"]
    if f"CAP_{proper}" in _KNOWN:
        return [f"write it as CAP_{proper}"]
    hint = did_you_mean(f"CAP_{proper}", CAPABILITIES)
    return [hint] if hint else []
