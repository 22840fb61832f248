"""Switches with a value in Go's syntax: `--pull=true`, `--pull=false`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

from dolmen.switch_values import FALSE, TRUE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class SwitchCommand(TyperCommand):
    """A command whose switches take a value, too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - click's context
        """Replace switches with a value by the switch, or by nothing."""
        return super().parse_args(ctx, replace_switches(args, self.params))


def replace_switches(words: Sequence[str], options: Iterable[Any]) -> list[str]:
    """Return the words without values of switches; the last word of a switch counts."""
    switches = {
        name: option
        for option in options
        if getattr(option, "is_flag", False)
        for name in (*option.opts, *option.secondary_opts)
    }
    replaced: list[str] = []
    for number, word in enumerate(words):
        if word == "--":
            return [*replaced, *words[number:]]
        name, equals, value = word.partition("=")
        option = switches.get(name)
        if not equals or option is None or value not in TRUE | FALSE:
            replaced.append(word)
            continue
        names = (option.opts, option.secondary_opts)
        on, off = names if name in option.opts else reversed(names)
        if value in TRUE:
            replaced.append(name)
        elif off:
            replaced.append(off[0])
        else:
            replaced = [w for w in replaced if w not in on]
    return replaced
