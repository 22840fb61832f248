"""A user follows README.md to the letter: its commands run, and print what it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.guests import HOME, needs_qemu

REPOSITORY = Path(__file__).parents[2]
README = REPOSITORY / "README.md"
RUNNER = REPOSITORY / "test" / "support" / "run_until_page.py"
_HEADING = re.compile(r"^#+ (.*)$")
_EXCUSE = re.compile(r"<!-- not tested: .+ -->")
# A page of one's own.
_EDITOR = """#!/bin/sh
exec sed -i 's/It works/It is mine/' "$1"
"""
# `dolmen run` needs a person, who looks at the page and presses Ctrl-C.
_PERSON = """
dolmen() {{
  case "$1" in
    run) "{python}" "{runner}" "$(command -v dolmen)" "$@" ;;
    *) command dolmen "$@" ;;
  esac
}}
"""


@dataclass
class Section:
    """A section of the README: the commands, the files, and what the commands print."""

    name: str
    commands: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    # Commands that are shown with their output.
    shown: list[tuple[str, str]] = field(default_factory=list)
    excused: list[str] = field(default_factory=list)


def sections(text: str) -> list[Section]:
    """Return the sections of a document."""
    found = [Section("")]
    excuse = ""
    kind: str | None = None
    block: list[str] = []
    for line in text.splitlines():
        if kind is None:
            heading = _HEADING.match(line)
            if heading:
                found.append(Section(heading[1]))
            elif line.startswith("```"):
                kind, block = line[3:], []
            elif line:
                excuse = line if _EXCUSE.fullmatch(line) else ""
        elif line == "```":
            _add(found[-1], kind, "\n".join(block) + "\n", excused=bool(excuse))
            kind, excuse = None, ""
        else:
            block.append(line)
    return found


def _add(section: Section, kind: str, text: str, *, excused: bool) -> None:
    if excused:
        section.excused.append(text)
    elif kind == "sh":
        section.commands.append(text)
    elif kind == "console":
        first, _, output = text.partition("\n")
        section.shown.append((first.removeprefix("$ "), output))
    elif kind == "yaml":
        name, _, _ = text.removeprefix("# ").partition("\n")
        section.files[name] = text
    else:
        raise AssertionError(f"the README has a block of the unknown kind {kind!r}")


def test_the_readme_is_read() -> None:
    found = {section.name: section for section in sections(README.read_text())}
    assert list(found["Dolmen"].files) == ["image.yml"]
    assert [command for command, _ in found["Dolmen"].shown] == ["dolmen validate image.yml"]
    commands = "".join(found["Five minutes"].commands)
    for words in ("pip install dolmen", "dolmen new\n", "$EDITOR image.yml", "dolmen run qemu"):
        assert words in commands
    # LinuxKit, the demo and the tests; all else is run.
    assert len([block for section in found.values() for block in section.excused]) == 3


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Give the environment of a user for whom `pip install dolmen` finds the wheel.

    The libraries that Dolmen depends on are those of this environment.
    """
    root = tmp_path_factory.mktemp("readme")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", root, REPOSITORY]
    subprocess.run([*pip, *build], check=True)
    (root / "editor").write_text(_EDITOR)
    (root / "editor").chmod(0o755)
    base = Path(getattr(sys, "_base_executable", sys.executable)).parent
    HOME.mkdir(parents=True, exist_ok=True)
    return {
        "PATH": f"{base}:{os.environ['PATH']}",
        "HOME": str(HOME),
        "LANG": "C.UTF-8",
        "EDITOR": str(root / "editor"),
        "PYTHONPATH": sysconfig.get_paths()["purelib"],
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_IGNORE_INSTALLED": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_FIND_LINKS": str(root),
    }


def run(
    script: str, directory: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=540,
    )


@pytest.mark.slow
@pytest.mark.boot
@needs_qemu
def test_the_commands_of_the_readme_work(tmp_path: Path, environment: dict[str, str]) -> None:
    ran = []
    for section in sections(README.read_text()):
        if not section.commands:
            continue
        directory = tmp_path / str(len(ran))
        directory.mkdir()
        person = _PERSON.format(python=sys.executable, runner=RUNNER)
        done = run(person + "".join(section.commands), directory, environment)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        ran.append(section.name)
        if section.name == "Five minutes":
            # The dolmen of the wheel, and the page that the user has written.
            assert (directory / "venv" / "bin" / "dolmen").is_file()
            assert "<h1>It is mine</h1>" in done.stdout
            assert "image.yml: valid\n" in done.stderr
            assert (directory / "web" / "image-efi.img").is_file()
    assert ran == ["Five minutes"]


def test_the_output_in_the_readme_is_true(tmp_path: Path) -> None:
    programs = Path(sys.executable).parent
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    shown = 0
    for section in sections(README.read_text()):
        for name, text in section.files.items():
            (tmp_path / name).write_text(text)
        for command, output in section.shown:
            done = run(command, tmp_path, environment)
            assert done.stdout + done.stderr == output
            shown += 1
    assert shown == 1
