"""Progress on terminals of different widths, and in logs."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from rich.cells import cell_len
from rich.console import Console

from assembler.events import LogMessage, TaskAdvanced, TaskEnded, TaskStarted
from dolmen import line_log
from dolmen.line_log import LineLog
from dolmen.progress_rows import ProgressRows

LONG = "build example.com/organization/team/a-package-with-a-name:0123456789ab for linux/amd64"


def rows(columns: int, *tasks: tuple[str, int | None, int, str], note: str = "") -> list[str]:
    """Return what is drawn for tasks: title, total, done, unit."""
    out = StringIO()
    console = Console(file=out, width=columns, force_terminal=True, no_color=True)
    display = ProgressRows(console=console, auto_refresh=False)
    for title, total, done, unit in tasks:
        display.add_task(title, total=total, completed=done, unit=unit, title=title, note=note)
    with console.capture() as captured:
        console.print(display.get_renderable())
    return [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in captured.get().splitlines()]


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_rows_fit_and_show_amounts_and_times(columns: int) -> None:
    shown = rows(
        columns,
        (LONG, None, 0, "B"),
        ("pull docker.io/library/redis:7", 123_456_789, 61_000_000, "B"),
        ("fetch [22] Debian packages", 22, 11, "packages"),
        (
            "fetch 漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字",
            None,
            5,
            "B",
        ),
        ("nothing to do", 0, 0, "files"),
    )
    assert max(map(cell_len, shown)) < columns
    assert all(line.endswith("0:00:00") for line in shown)
    assert "61.0 MB of 123 MB 0:00:00" in shown[1]
    assert "11 of 22 packages 0:00:00" in shown[2]
    assert (LONG in shown[0]) is (columns == 120)
    if columns < 120:
        assert re.match(r"build exa.*….*amd64 0:00:00$", shown[0])


def test_at_80_columns_names_are_whole_and_bars_where_there_is_room() -> None:
    shown = rows(
        80,
        ("pull registry.example.com/organization/app:1.25", 10**9, 10**8, "B"),
        ("pull docker.io/library/redis:7", 123_456_789, 61_000_000, "B"),
    )
    assert shown[0].startswith("pull registry.example.com/organization/app:1.25 ")
    assert "━" not in shown[0]
    assert re.search(r"redis:7 +━━━━━╸ +61.0 MB of 123 MB", shown[1])


def test_a_note_takes_the_room_that_is_left() -> None:
    (line,) = rows(60, ("build a", None, 0, "B"), note="RUN make " + "x" * 100)
    assert line.startswith("build a  RUN make xxx")
    assert len(line) == 59


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(line_log.time, "monotonic", lambda: now[0])
    return now


def test_a_log_has_a_line_per_task_and_signs_of_life(
    capsys: pytest.CaptureFixture[str], clock: list[float]
) -> None:
    log = LineLog()
    log.emit(TaskStarted(1, "pull a", 100_000_000))
    log.emit(TaskStarted(2, "build b"))
    for second in range(1, 26):
        clock[0] = 100.0 + second
        log.emit(TaskAdvanced(1, second * 1_000_000))
    log.emit(TaskEnded(1, "done"))
    log.emit(TaskEnded(2, "built"))
    assert capsys.readouterr().err.splitlines() == [
        "pull a: 10.0 MB of 100 MB, 11s",
        "build b: 11s",
        "pull a: 21.0 MB of 100 MB, 22s",
        "build b: 22s",
        "pull a: done 25.0 MB in 25.0s",
        "build b: built in 25.0s",
    ]


def test_output_of_a_program_is_a_sign_of_life(
    capsys: pytest.CaptureFixture[str], clock: list[float]
) -> None:
    for verbosity, expected in ((0, "build b: 11s"), (2, "line")):
        log = LineLog(verbosity)
        log.emit(TaskStarted(1, "build b"))
        for _ in range(15):
            clock[0] += 1
            log.emit(LogMessage("line", 2, from_program=True))
        lines = capsys.readouterr().err.splitlines()
        assert set(lines) == {expected}
        assert len(lines) == (1 if verbosity == 0 else 15)
