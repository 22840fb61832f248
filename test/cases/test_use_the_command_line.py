"""A user tries the command line: help, version, completion, doctor, mistyped commands."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.oci.reference import Reference
from assembler.oci.store import Store
from dolmen.app import COMMANDS
from dolmen.argv import hoist_global_options
from support.pictures import Painter

if TYPE_CHECKING:
    from support.cli import Dolmen


def test_help_lists_every_command_with_its_summary(dolmen: Dolmen) -> None:
    shown = dolmen.run("--help").stdout
    for command in COMMANDS:
        assert f"  {command.name}" in shown
        assert command.summary in shown


@pytest.mark.parametrize("command", [c.name for c in COMMANDS])
def test_every_command_has_help_with_an_example(dolmen: Dolmen, command: str) -> None:
    helped = dolmen.run(command, "--help")
    assert helped.returncode == 0, helped.stderr
    assert "dolmen " + command in helped.stdout.split("Options:")[0].split("\n", 1)[1] or (
        "Commands:" in helped.stdout
    )


def test_a_mistyped_command_names_the_nearest_one(dolmen: Dolmen) -> None:
    failed = dolmen.run("validat")
    assert failed.returncode == 2
    assert "validate" in failed.stderr


def test_version_for_people_and_for_scripts(dolmen: Dolmen) -> None:
    assert dolmen.run("version").stdout.startswith("dolmen ")
    assert set(json.loads(dolmen.run("version", "--json").stdout)) == {"version", "python"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(dolmen: Dolmen, shell: str) -> None:
    assert "_DOLMEN_COMPLETE" in dolmen.run("completion", shell).stdout


def test_bash_completes_commands(dolmen: Dolmen) -> None:
    completed = dolmen.run(
        env={
            "_DOLMEN_COMPLETE": "complete_bash",
            "COMP_WORDS": "dolmen val",
            "COMP_CWORD": "1",
        }
    )
    assert completed.stdout.split() == ["validate"]


def test_an_unknown_shell_is_refused_with_the_known_ones(dolmen: Dolmen) -> None:
    failed = dolmen.run("completion", "tcsh")
    assert failed.returncode == 2
    assert "bash, zsh, fish or powershell" in failed.stderr


def test_doctor_names_what_is_missing_and_how_to_install_it(dolmen: Dolmen) -> None:
    empty = dolmen.run("doctor", env={"PATH": "/nonexistent"})
    assert empty.returncode == 0
    assert "sudo apt-get install qemu-system-x86" in empty.stdout
    assert "docker daemon" in empty.stdout
    found = json.loads(dolmen.run("doctor", "--json").stdout)
    assert {"group", "name", "well", "seen", "purpose", "mend"} == set(found[0])


def test_doctor_fails_when_the_store_cannot_be_written(dolmen: Dolmen) -> None:
    failed = dolmen.run("doctor", "--cache", "/proc/nowhere/cache")
    assert failed.returncode == 1
    assert "is not writable" in failed.stdout


def test_global_options_may_precede_and_follow_the_command() -> None:
    assert hoist_global_options(["build", "--cache", "X", "a.yml"]) == [
        "--cache",
        "X",
        "build",
        "a.yml",
    ]
    assert hoist_global_options(["build", "-v", "2", "a.yml"]) == ["-v", "-v", "build", "a.yml"]
    assert hoist_global_options(["build", "a.yml", "--", "--cache"]) == [
        "build",
        "a.yml",
        "--",
        "--cache",
    ]
    assert hoist_global_options(["build", "--color=never", "-q"]) == [
        "--color=never",
        "-q",
        "build",
    ]


def test_long_options_with_one_dash_are_accepted() -> None:
    assert hoist_global_options(["build", "-format", "tar", "-arch=arm64"]) == [
        *("build", "--format", "tar", "--arch=arm64")
    ]


def test_closed_streams_cause_no_traceback(dolmen: Dolmen) -> None:
    closed = subprocess.run(
        f"{sys.executable} -m dolmen version >&-; {sys.executable} -m dolmen validate - <&-",
        shell=True,
        env=dolmen.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in closed.stderr
    assert "the file is empty" in closed.stderr


def test_a_circular_exception_chain_is_reported(conformance_layout: Path, dolmen: Dolmen) -> None:
    yaml = dolmen.home / "image.yml"
    yaml.write_text('services: [{name: s, image: "example/hostslink:1"}]\n')
    store = dolmen.home / "store"
    shutil.copytree(conformance_layout, store)
    failed = dolmen.run("build", "--offline", "--cache", store, "-o", "x.tar", yaml)
    assert failed.returncode == 1
    assert "etc/hosts" in failed.stderr


def test_version_is_also_an_option(dolmen: Dolmen) -> None:
    assert dolmen.run("--version").stdout == dolmen.run("version").stdout


def test_nothing_heavy_is_imported_for_help_and_version() -> None:
    heavy = {"rich", "ruamel", "jsonschema", "requests", "oras", "docker", "zstandard", "isal"}
    script = (
        "import sys\n"
        "from dolmen.app import app\n"
        "try: app(sys.argv[1:], prog_name='dolmen')\n"
        "except SystemExit: pass\n"
        "print(sorted({m.split('.')[0] for m in sys.modules}))"
    )
    for words in (["--help"], ["version"], ["build", "--help"]):
        ran = subprocess.run(
            [sys.executable, "-c", script, *words], capture_output=True, text=True, check=True
        )
        modules = set(eval(ran.stdout.splitlines()[-1]))  # noqa: S307 - our own output
        assert not heavy & modules, words


def test_a_closed_pipe_is_no_traceback(dolmen: Dolmen) -> None:
    piped = subprocess.run(
        f"{sys.executable} -m dolmen explain | head -n 1",
        shell=True,
        env=dolmen.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Traceback" not in piped.stderr


def test_color_follows_the_option_and_the_terminal(dolmen: Dolmen, tmp_path: Path) -> None:
    wrong = tmp_path / "image.yml"
    wrong.write_text("kernle: {}\n")
    assert "\x1b[" not in dolmen.run("validate", wrong).stderr
    assert "\x1b[" in dolmen.run("validate", "--color", "always", wrong).stderr
    assert "\x1b[" not in dolmen.run("validate", "--color", "never", wrong).stderr


def test_a_full_standard_output_is_reported(dolmen: Dolmen) -> None:
    with Path("/dev/full").open("w") as full:
        failed = subprocess.run(
            [sys.executable, "-m", "dolmen", "schema", "image"],
            env=dolmen.environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert failed.returncode == 1
    assert "cannot write standard output: No space left on device" in failed.stderr


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("build --format kernel+in", "kernel+initrd"),
        ("build --format tar,kernel+in", "tar,kernel+initrd"),
        ("build --arch risc", "riscv64"),
        ("build --compression zs", "zstd"),
        ("new --template se", "service"),
        ("explain DM0102", "DM0102"),
        ("completion fi", "fish"),
        ("validate --schema bu", "build"),
        ("cache inspect ex", "example/app:1"),
        ("cache rm docker.io/ex", "docker.io/example/app:1"),
        ("--cache other cache push ex", ""),
    ],
)
def test_values_are_completed(dolmen: Dolmen, line: str, offered: str) -> None:
    store = Store(dolmen.home / ".cache" / "dolmen")
    painter = Painter(store)
    store.put(Reference.parse("example/app:1"), painter.image({"a": b"1"}))
    words = f"dolmen {line}"
    completed = dolmen.run(
        env={
            "_DOLMEN_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        }
    )
    assert completed.stdout.split() == offered.split()
    assert completed.stderr == ""


def test_doctor_wraps_its_lines_below_themselves(dolmen: Dolmen) -> None:
    """On a terminal of 60 columns nothing breaks out of its column but single long words."""
    leader, follower = pty.openpty()
    subprocess.run(
        [sys.executable, "-m", "dolmen", "--color", "never", "doctor"],
        env=dolmen.environment({"COLUMNS": "60", "PATH": "/nonexistent"}),
        stdin=subprocess.DEVNULL,
        stdout=follower,
        check=False,
    )
    os.close(follower)
    lines = os.read(leader, 1 << 16).decode().splitlines()
    os.close(leader)
    column = next(line.index("/") for line in lines if " store " in line)
    assert any(line.startswith(" " * column) for line in lines)
    assert all(len(line) <= 60 or " " not in line[column:] for line in lines)


def test_an_interrupt_after_the_work_is_ignored(dolmen: Dolmen) -> None:
    """The interpreter is ending then, and would print a traceback."""
    prelude = (
        "import os, signal, threading; "
        "threading._register_atexit(os.kill, os.getpid(), signal.SIGINT); "
        "from dolmen.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", prelude, "version", "--short"],
        env=dolmen.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
