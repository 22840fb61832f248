"""Groups of options that several package commands share, added to a command by a decorator."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assembler.packages import PackageBuildOptions


def with_options(
    *updates: Callable[..., Callable[[PackageBuildOptions], PackageBuildOptions]],
    **groups: Callable[..., Any],
) -> Callable[[Callable[..., None]], Any]:
    """Add groups of options to a command.

    The command's argument `options` is a PackageBuildOptions, changed by every update; each other
    group's result is the argument of its name.
    """
    groups_by_name = {**{f"update {n}": u for n, u in enumerate(updates)}, **groups}
    shared = {name: _parameters(group) for name, group in groups_by_name.items()}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = _parameters(command)

        @wraps(command)
        def run(**values: Any) -> None:  # noqa: ANN401 - typer's values
            arguments = {
                name: group(**{o: values[o] if o == "ctx" else values.pop(o) for o in shared[name]})
                for name, group in groups_by_name.items()
            }
            if updates:
                arguments["options"] = _apply(
                    [arguments.pop(f"update {n}") for n in range(len(updates))]
                )
            command(**values, **arguments)

        remaining = [p for name, p in own.items() if name not in (*groups, "options")]
        parameters = [
            *remaining,
            *(p for group in shared.values() for o, p in group.items() if o != "ctx"),
        ]
        signature_parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
        run.__signature__ = inspect.Signature(signature_parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in signature_parameters}
        return run

    return decorate


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    # The library's type is imported when a command runs; no option needs it.
    placeholders = {"PackageBuildOptions": object}
    return inspect.signature(function, eval_str=True, locals=placeholders).parameters


def _apply(
    updates: list[Callable[[PackageBuildOptions], PackageBuildOptions]],
) -> PackageBuildOptions:
    from assembler.packages import PackageBuildOptions

    options = PackageBuildOptions()
    for update in updates:
        options = update(options)
    return options
