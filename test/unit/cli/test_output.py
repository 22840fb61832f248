"""Everything is printed in one place, which escapes what a terminal would obey."""

from __future__ import annotations

import ast
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import assembler
import dolmen
from assembler.codes import packages
from assembler.diagnostics import Diagnostic, Place, Remark, SourceText, render
from assembler.events import LogMessage, TaskEnded, TaskStarted, WarningEmitted
from assembler.machine import RunOutcome, RunResult
from assembler.printable import MAX_MESSAGE_LINE, cut_middle, printable, program_line
from dolmen.line_log import LineLog
from dolmen.output import (
    Styled,
    print_document,
    print_json,
    print_line,
    print_note,
    show_diagnostics,
)
from dolmen.run.report import RunReporter
from dolmen.run.terminal_console import SignalConsole
from dolmen.settings import Settings
from support.hostile import HOSTILE, forbidden_characters

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND_LINE = Path(dolmen.__file__).parent
LIBRARY = Path(assembler.__file__).parent
# What passes the consoles of machines on, prints at an interrupt before all imports, and what
# draws bars; all their other texts come from the one place.
EXCEPTIONS = {
    "output.py",
    "__main__.py",
    "run/tty_mode.py",
    "run/terminal_console.py",
    "run/command_terminal.py",
    "run/signal_pipe.py",
}
# Prints for the process that started it, which reads JSON.
LIBRARY_EXCEPTIONS = {"inspection/pycdlib_listing.py"}
PRINTING_CALLS = {"print", "os.write", "typer.echo", "typer.secho", "click.echo", "rich.print"}
# What may be done with a standard stream elsewhere: nothing that writes.
HARMLESS = {"isatty", "flush", "reconfigure"}


def bypasses(path: Path) -> Iterator[str]:
    """Yield the places of a module that print by themselves."""
    tree = ast.parse(path.read_text("utf-8"))
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        name = ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""
        parent = parents.get(node)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in PRINTING_CALLS:
            yield f"{path.name}:{node.lineno}: {ast.unparse(node.func)}"
        elif name in ("sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__"):
            looks_at = isinstance(parent, ast.Attribute) and parent.attr in HARMLESS
            measures = isinstance(parent, ast.Call) and ast.unparse(parent.func) in (
                *("wants_color", "columns_of", "isinstance"),
            )
            compares = isinstance(parent, ast.Compare)
            silences = isinstance(parent, ast.Attribute) and "dup2" in ast.unparse(
                parents[parents[parent]]
            )
            if not (looks_at or measures or compares or silences):
                yield f"{path.name}:{node.lineno}: {name}"


def test_only_one_module_of_the_command_line_prints() -> None:
    found = [
        place
        for path in sorted(COMMAND_LINE.rglob("*.py"))
        if str(path.relative_to(COMMAND_LINE)) not in EXCEPTIONS
        for place in bypasses(path)
    ]
    assert found == []


def test_the_library_does_not_print() -> None:
    found = [
        place
        for path in sorted(LIBRARY.rglob("*.py"))
        if str(path.relative_to(LIBRARY)) not in LIBRARY_EXCEPTIONS
        for place in bypasses(path)
        # The library writes its files with it.
        if not place.endswith("os.write")
    ]
    assert found == []


@pytest.mark.parametrize(
    "statement",
    [
        *("print(1)", "sys.stdout.write('x')", "sys.stderr.buffer.write(b'x')"),
        *("out = sys.stdout", "os.write(1, b'x')", "typer.echo('x')", "f(file=sys.stderr)"),
    ],
)
def test_a_bypass_is_found(tmp_path: Path, statement: str) -> None:
    (tmp_path / "new.py").write_text(f"{statement}\n")
    assert list(bypasses(tmp_path / "new.py"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü 漢", "plain ü 漢"),
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("a\nb\rc\td\0", "a\\nb\\rc\\td\\x00"),
        ("\u202etxt.exe\u2066", "\\u202etxt.exe\\u2066"),
        (b"\xff\x9b".decode("utf-8", "surrogateescape"), "\\xff\\x9b"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_control_characters_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_long_text_is_cut_in_the_middle() -> None:
    assert cut_middle("0123456789", 7) == "012…789"
    assert cut_middle("0123456789", 10) == "0123456789"
    assert len(printable("x" * 10**6, MAX_MESSAGE_LINE)) == MAX_MESSAGE_LINE


@pytest.mark.parametrize(
    ("line", "plain", "colored"),
    [
        ("\x1b[31mred\x1b[0m", "red", "\x1b[31mred\x1b[0m\x1b[0m"),
        ("\x1b[31mopen", "open", "\x1b[31mopen\x1b[0m"),
        ("\x1b[2J\x1b[Hx\x1b]0;owned\x07y\x1bcz", "xyz", "xyz"),
        ("a\tb\x08\x9b2Jc\u202e", "a       b\\x08c\\u202e", "a       b\\x08c\\u202e"),
        ("\x1b]8;;http://x\x1b\\link", "link", "link"),
    ],
)
def test_colors_alone_are_kept_of_a_programs_output(line: str, plain: str, colored: str) -> None:
    assert program_line(line) == plain
    assert program_line(line, color=True) == colored


def test_no_part_of_a_diagnostic_forges_another_line() -> None:
    source = SourceText(HOSTILE, f"key: {HOSTILE}")
    place = Place(source, 1, 6, 3)
    shown = render(
        Diagnostic(
            packages.BUILD_FAILED,
            f"bad {HOSTILE}",
            place,
            (f"use {HOSTILE}",),
            (Remark(f"first {HOSTILE}", place),),
        )
    )
    assert forbidden_characters(shown) == set()
    assert [line for line in shown.splitlines() if line.startswith(("error[DM9", "forged"))] == []


def test_a_message_is_cut() -> None:
    shown = render(Diagnostic(packages.BUILD_FAILED, "\n".join(["x" * 10**5] * 10**4)))
    assert len(shown) < 10**5


def test_an_excerpt_shows_where_the_escape_is() -> None:
    source = SourceText("a.yml", "k: \x1bab\t= v")
    assert render(Diagnostic(packages.BUILD_FAILED, "m", Place(source, 1, 5, 2))).endswith(
        "  1 | k: \\x1bab = v\n    |        ^^\n"
    )


def test_results_and_notes(capsys: pytest.CaptureFixture[str]) -> None:
    print_line(HOSTILE)
    print_line("  ", Styled(HOSTILE, "32"))
    print_note(HOSTILE)
    print_document(f"{HOSTILE}\n")
    show_diagnostics([Diagnostic(packages.BUILD_FAILED, HOSTILE)], color=True)
    told = capsys.readouterr()
    assert forbidden_characters(told.out, colors=True) == set()
    assert forbidden_characters(told.err, colors=True) == set()
    # Of these only a document has several lines.
    assert told.out.count("\n") == 3 + HOSTILE.count("\n")


@pytest.mark.parametrize("ascii_only", [True, False])
def test_json_has_the_real_content(capsys: pytest.CaptureFixture[str], *, ascii_only: bool) -> None:
    print_json({HOSTILE: [HOSTILE, "ü"]}, ascii_only=ascii_only)
    told = capsys.readouterr().out
    assert forbidden_characters(told) == set()
    assert ("ü" in told) is not ascii_only
    assert json.loads(told) == {HOSTILE: [HOSTILE, "ü"]}


@pytest.mark.parametrize("color", [False, True])
def test_progress_lines(capsys: pytest.CaptureFixture[str], *, color: bool) -> None:
    log = LineLog(2, color=color)
    log.emit(TaskStarted(1, HOSTILE))
    log.emit(LogMessage(HOSTILE))
    log.emit(LogMessage(HOSTILE, 2, from_program=True))
    log.emit(WarningEmitted(Diagnostic(packages.BUILD_FAILED, HOSTILE)))
    log.emit(TaskEnded(1, HOSTILE))
    told = capsys.readouterr().err
    assert forbidden_characters(told, colors=color) == set()
    assert [line for line in told.splitlines() if line.startswith("forged")] == []


def test_the_messages_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = RunReporter(Settings(Path("store")), SignalConsole())
    reporter.emit(LogMessage(HOSTILE))
    failure = Diagnostic(packages.BUILD_FAILED, HOSTILE)
    reporter.show_result(RunResult("n", RunOutcome.TIMED_OUT, 1, HOSTILE, 0, (failure,)))
    told = capsys.readouterr().err
    assert "the console's last lines" in told
    assert forbidden_characters(told) == set()


def test_diagnostics_in_a_stream_of_another_kind() -> None:
    out = io.StringIO()
    show_diagnostics([Diagnostic(packages.BUILD_FAILED, HOSTILE)], stream=out, columns=40)
    assert forbidden_characters(out.getvalue()) == set()
