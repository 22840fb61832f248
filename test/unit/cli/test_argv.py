"""Command lines in LinuxKit's syntax become those of Dolmen."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import typer

from dolmen.app import COMMANDS
from dolmen.argv import hoist_global_options
from dolmen.commands.pkg.build import app as build_app
from dolmen.lazy import load_command
from dolmen.switches import SwitchCommand, replace_switches

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize(
    ("words", "level"),
    [
        (["-v", "2"], 2),
        (["-v2"], 2),
        (["-v=2"], 2),
        (["--verbose", "1"], 1),
        (["--verbose=3"], 3),
        (["-v0"], 0),
        (["-v"], 1),
        (["-vv"], 2),
        (["--verbose"], 1),
        (["--verbose=true"], 1),
        (["--verbose=false"], 0),
    ],
)
def test_verbosity_has_a_level(words: list[str], level: int) -> None:
    assert hoist_global_options(["build", *words, "a.yml"]) == [*["-v"] * level, "build", "a.yml"]


def test_other_words_are_no_verbosity() -> None:
    for words in (["-vx"], ["-v4"], ["--verbose=x"], ["--version"]):
        assert hoist_global_options([*words, "build"]) == [*words, "build"]


def test_quiet_is_a_switch_with_a_value() -> None:
    assert hoist_global_options(["build", "--quiet=true"]) == ["--quiet", "build"]
    assert hoist_global_options(["-q", "build", "-q=false"]) == ["build"]


def test_help_is_a_command() -> None:
    assert hoist_global_options(["help"]) == ["--help"]
    assert hoist_global_options(["help", "pkg", "build"]) == ["pkg", "build", "--help"]
    assert hoist_global_options(["-v", "help", "run"]) == ["-v", "run", "--help"]
    assert hoist_global_options(["run", "help"]) == ["run", "help"]


def switches(*words: str) -> list[str]:
    return replace_switches(words, typer.main.get_command(build_app).params)


@pytest.mark.parametrize(
    ("words", "replaced"),
    [
        (["--pull=true"], ["--pull"]),
        (["--pull=1", "--docker=T"], ["--pull", "--docker"]),
        (["--pull=false", "a"], ["a"]),
        (["--pull", "--pull=false"], []),
        (["--pull=false", "--pull"], ["--pull"]),
        (["--manifest=false"], ["--no-manifest"]),
        (["--no-manifest=false"], ["--manifest"]),
        (["--no-manifest=true"], ["--no-manifest"]),
        (["--pull=maybe"], ["--pull=maybe"]),
        # An option with a value keeps it.
        (["--ssh=true", "--sbom-scanner=false"], ["--ssh=true", "--sbom-scanner=false"]),
        (["--", "--pull=true"], ["--", "--pull=true"]),
    ],
)
def test_a_switch_takes_a_value(words: list[str], replaced: list[str]) -> None:
    assert switches(*words) == replaced


def leaves(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Yield a command, or all commands of a group."""
    if not hasattr(command, "commands"):
        yield name, command
        return
    context = SimpleNamespace(token_normalize_func=None, resilient_parsing=True)
    for inner in command.commands:
        yield from leaves(f"{name} {inner}", command.resolve_command(context, [inner])[1])


def test_all_commands_take_values_of_switches() -> None:
    all_leaves = [leaf for e in COMMANDS for leaf in leaves(e.name, load_command(e))]
    kinds = {name: isinstance(command, SwitchCommand) for name, command in all_leaves}
    assert {"pkg build", "pkg builder prune", "version"} <= kinds.keys()
    assert [name for name, takes in kinds.items() if not takes] == []
