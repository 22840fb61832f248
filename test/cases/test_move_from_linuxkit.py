"""Follow docs/from-linuxkit.md: its map is complete and true, and its steps work."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer
import yaml

from dolmen.app import app
from dolmen.argv import hoist_global_options
from dolmen.setting_table import SETTINGS

if TYPE_CHECKING:
    from support.cli import Dolmen

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "from-linuxkit.md").read_text()
FACTS = yaml.safe_load((Path(__file__).parent / "data" / "linuxkit-commands.yml").read_text())
STATES = ("same", "differs", "no effect", "not there")
# The commands of LinuxKit's group `pkg` that its flags are for.
PKG = ("build", "push", "show-tag", "index", "manifest")


def flat(names: list[Any]) -> list[str]:
    return [n for name in names for n in (name if isinstance(name, list) else [name])]


def rows(text: str) -> dict[str, str]:
    """Return the first two cells of the rows of the tables in a text."""
    found = re.findall(r"^\| (\S+) \| (.*?) \|$", text, re.MULTILINE)
    return {name: cell for name, cell in found if name not in ("flag", "variable", "status")}


def sections() -> dict[str, str]:
    """Return the texts of the map by command."""
    start, end = GUIDE.index("## Commands and flags"), GUIDE.index("## Environment variables")
    _, *parts = re.split(r"^### `(linuxkit[^`]*)`\n", GUIDE[start:end], flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


SETTING_VARIABLES = {variable for setting in SETTINGS for variable in setting.variables}
COMMANDS = {name: flat(flags) for name, flags in FACTS["commands"].items()}
MAP = sections()
FLAGS = [(command, flag) for command, flags in COMMANDS.items() for flag in flags]


def test_the_map_has_every_command_and_flag() -> None:
    assert sorted(MAP) == sorted(COMMANDS)
    for command, flags in COMMANDS.items():
        assert sorted(rows(MAP[command])) == sorted(flags), command
        assert flags or MAP[command].strip(), command


def options(words: list[str]) -> set[str] | None:
    """Return the options of a command of Dolmen; None if there is no such command."""
    command = typer.main.get_command(app)
    context = command.make_context("dolmen", [], resilient_parsing=True)
    for word in words:
        children = getattr(command, "commands", {})
        if word not in children:
            return None
        _, command, _ = command.resolve_command(context, [word])
        context = command.make_context(word, [], resilient_parsing=True)
    return {o for p in command.params for o in (*p.opts, *p.secondary_opts) if o[0] == "-"}


def accepts(command: str, flag: str) -> bool:
    """Tell whether Dolmen's command, or Dolmen for all commands, accepts a flag."""
    words = command.split()[1:]
    if hoist_global_options(["build", flag, "1"])[0] in (flag, "-v"):
        return True
    targets = {"pkg": [["pkg", name] for name in PKG], "run": [["run", "qemu"]]}
    found = [options(target) for target in targets.get(" ".join(words), [words])]
    return all(o is not None and flag in o for o in found)


@pytest.mark.parametrize(("command", "flag"), FLAGS, ids=[f"{c} {f}" for c, f in FLAGS])
def test_the_map_is_true(command: str, flag: str) -> None:
    cell = rows(MAP[command])[flag]
    state = next(state for state in STATES if cell.startswith(state))
    assert state == "same" or len(cell) > len(state) + 5, "what is different, or why"
    assert accepts(command, flag) == (state != "not there")


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_exist_unless_the_map_says_otherwise(command: str, dolmen: Dolmen) -> None:
    words = command.split()[1:]
    missing = MAP[command].strip().startswith("Not there")
    if words[:1] == ["completion"]:
        shown = dolmen.run(*words)
    else:
        # `dolmen push --help` explains what to use instead.
        shown = dolmen.run(*words, *([] if words[:1] == ["push"] else ["--help"]))
        for flag, cell in rows(MAP[command]).items():
            if not cell.startswith("not there") and not missing and words and words[-1] != "pkg":
                is_global = flag in hoist_global_options(["build", flag, "1"])[:1]
                is_run = words == ["run"]
                assert is_global or is_run or re.search(rf"{flag}\b", shown.stdout), flag
    if missing and words[:1] == ["run"]:
        # Another word than a backend is an image.
        assert options(words) is None
    else:
        assert shown.returncode == (2 if missing else 0), shown.stderr


def test_the_map_has_every_variable() -> None:
    start, end = GUIDE.index("## Environment variables"), GUIDE.index("## Exit codes")
    cells = rows(GUIDE[start:end])
    assert sorted(cells) == sorted(flat(FACTS["environment"]))
    code = "".join(path.read_text() for path in (ROOT / "cmd").rglob("*.py"))
    for variable, cell in cells.items():
        name = variable.removeprefix("LINUXKIT_")
        is_read = re.search(rf'env\w*\([^()]*"{name}"\)', code) or variable in SETTING_VARIABLES
        assert bool(is_read) == (not cell.startswith("not there")), variable


def test_a_cache_of_linuxkit_is_moved(dolmen: Dolmen, conformance_layout: Path) -> None:
    """The steps of the guide, on a layout with the names that LinuxKit writes."""
    shutil.copytree(conformance_layout, dolmen.home / ".linuxkit" / "cache")
    steps = GUIDE[GUIDE.index("### Move the cache") : GUIDE.index("### Build the same file")]
    (commands,) = re.findall(r"```sh\n(.*?)```", steps, re.DOTALL)
    script = commands.replace("dolmen ", "python -m dolmen ")
    done = subprocess.run(
        ["sh", "-ec", script],
        env=dolmen.environment({"PATH": f"{ROOT / '.venv' / 'bin'}:/usr/bin:/bin"}),
        cwd=dolmen.home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "example/init:v1" in done.stdout
    (dolmen.home / "linuxkit.yml").write_text(
        "kernel: {image: 'example/kernel:6.1', cmdline: quiet}\ninit: ['example/init:v1']\n"
    )
    built = dolmen.run("build", "--offline", "linuxkit.yml")
    assert built.returncode == 0, built.stderr
    names = sorted(path.name for path in dolmen.home.glob("linuxkit-*"))
    assert names == ["linuxkit-cmdline", "linuxkit-initrd.img", "linuxkit-kernel"]
