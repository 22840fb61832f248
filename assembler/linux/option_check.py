"""The check of a kernel's configuration: options that were asked for and are not there, and why.

The kernel's own tools drop such options without an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.linux.conditions import evaluate
from assembler.spelling import nearest_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from assembler.linux.kconfig import Definition, KconfigTree

_VALUES = {"n": 0, "m": 1, "y": 2}
_MAX_SELECTORS = 4


@dataclass(frozen=True, slots=True)
class UnmetOption:
    """An option with another value than the one that was asked for."""

    name: str
    wanted: str
    found: str
    reason: str

    @property
    def message(self) -> str:
        """Return a sentence about it."""
        found = "off" if self.found == "n" else self.found
        return f"CONFIG_{self.name}={self.wanted} is {found} in the kernel: {self.reason}"


def unmet_options(
    wanted: Mapping[str, str], found: Mapping[str, str], tree: KconfigTree
) -> Iterator[UnmetOption]:
    """Yield the options that are not as they were asked for, by name.

    What was asked for as a module may be built in. An empty text asks for nothing.
    """
    for name, value in sorted(wanted.items()):
        result = found.get(name, "n")
        if result == value or (value, result) in (("m", "y"), ('""', "n")):
            continue
        yield UnmetOption(name, value, result, _reason(name, value, result, found, tree))


def _reason(
    name: str, wanted: str, result: str, found: Mapping[str, str], tree: KconfigTree
) -> str:
    definitions = tree.definitions.get(name)
    if not definitions:
        near = nearest_words(name, tree.definitions, 1)
        hint = f"; did you mean CONFIG_{near[0]}?" if near else ""
        return f"this kernel has no such option{hint}"
    if result in ("m", "y") and _VALUES.get(wanted, 2) < _VALUES[result]:
        selectors = [s for s in tree.selected_by.get(name, ()) if found.get(s, "n") in ("m", "y")]
        if selectors:
            return f"selected by {', '.join(sorted(set(selectors))[:_MAX_SELECTORS])}"
        return "no option of a user turns it off"
    failing = [_failing(d, wanted, found) for d in definitions]
    if all(failing):
        return "; or ".join(dict.fromkeys(f"it depends on {terms}" for terms in failing))
    return _reason_without_dependencies(name, definitions, found, tree)


def _failing(definition: Definition, wanted: str, found: Mapping[str, str]) -> str:
    """Return the terms of the dependencies that fail; empty if they all hold."""
    least = _VALUES.get(wanted, 2)
    terms: list[str] = []
    for condition in definition.depends:
        outcome = evaluate(condition, found)
        # Options without a value of y or m may be set if their dependencies are not off.
        if outcome.value < least and not (wanted not in _VALUES and outcome.value):
            terms += outcome.failing
    return ", ".join(dict.fromkeys(terms))


def _reason_without_dependencies(
    name: str, definitions: list[Definition], found: Mapping[str, str], tree: KconfigTree
) -> str:
    choice = next((d.choice for d in definitions if d.choice), 0)
    if choice:
        others = [
            other
            for other, places in tree.definitions.items()
            if other != name
            and any(d.choice == choice for d in places)
            and found.get(other, "n") == "y"
        ]
        if others:
            return f"CONFIG_{others[0]} is the one of its choice"
    if not any(d.prompt for d in definitions):
        selectors = sorted(set(tree.selected_by.get(name, ())))[:_MAX_SELECTORS]
        return f"only other options turn it on: {', '.join(selectors) or 'none does'}"
    hidden = [evaluate(d.prompt_condition, found).failing for d in definitions if d.prompt]
    terms = dict.fromkeys(term for failing in hidden for term in failing)
    if terms:
        return f"it can be set only with {', '.join(terms)}"
    macros = [c for d in definitions for c in d.depends if "$(" in c]
    if macros:
        return f"it depends on what the compiler can do: {', '.join(dict.fromkeys(macros))}"
    return "a range or a default of the kernel decides"
