"""The rows of the live display: a name, a bar if there is room, the amount and the time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.console import Group
from rich.progress import Progress
from rich.text import Text

from assembler.printable import cut_middle
from assembler.quantities import size_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType
    from rich.progress import Task

_BAR = 12
# A note needs this room after the name.
_MIN_NOTE = 10
_MIN_NAME = 8


class ProgressRows(Progress):
    """A display whose tasks have the fields `title`, `note` and `unit`.

    The amounts are aligned. A name is cut in the middle if it does not fit beside its amount and
    time; a bar needs room that the name leaves.
    """

    def get_renderables(self) -> Iterable[RenderableType]:
        """Return the rows."""
        if not self.tasks:
            return
        rows = [_Row.of(task) for task in self.tasks]
        # The last column stays empty: some terminals break lines there.
        yield Group(*_lines(rows, self.console.width - 1, color=not self.console.no_color))


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    note: str
    # Between 0 and 1; None if the total is unknown.
    share: float | None
    amount: str
    time: str

    @classmethod
    def of(cls, task: Task) -> _Row:
        done, total, unit = int(task.completed), task.total, task.fields["unit"]
        amount = size_text(done) if unit == "B" else str(done)
        if total is not None:
            whole = size_text(int(total)) if unit == "B" else f"{int(total)} {unit}"
            amount = f"{amount} of {whole}"
        elif not done:
            amount = ""
        elif unit != "B":
            amount = f"{amount} {unit}"
        share = None if total is None else min(1.0, done / total) if total else 1.0
        elapsed = str(timedelta(seconds=max(0, int(task.elapsed or 0))))
        return cls(task.fields["title"], task.fields["note"], share, amount, elapsed)

    @property
    def width(self) -> int:
        """Return the width of the whole name with the note or the bar."""
        more = len("  ") + cell_len(self.note) if self.note else 0
        return cell_len(self.name) + (1 + _BAR if self.share is not None else more)


def _lines(rows: list[_Row], width: int, *, color: bool) -> list[Text]:
    amounts = max((len(row.amount) for row in rows), default=0)
    times = max((len(row.time) for row in rows), default=0)
    # Everything moves to the left if the names are short.
    right = 1 + (amounts + 1 if amounts else 0) + times
    width = min(width, max((row.width + right for row in rows), default=0))
    return [_line(row, width, amounts, times, color=color) for row in rows]


def _line(row: _Row, width: int, amounts: int, times: int, *, color: bool) -> Text:
    right = f"{row.amount:>{amounts}} {row.time:>{times}}" if row.amount else row.time
    room = max(_MIN_NAME, width - len(right) - 1)
    name = _cut(row.name, room)
    left = room - cell_len(name)
    line = Text(name, no_wrap=True, overflow="crop")
    if row.share is not None and left > _BAR:
        line.append(" " * (left - _BAR))
        line.append_text(_bar(row.share, color=color))
    elif row.note and left >= _MIN_NOTE and row.share is None:
        line.append(set_cell_size(f"  {row.note}", left), style="dim")
    else:
        line.append(" " * left)
    return line.append(f" {right}")


def _cut(name: str, room: int) -> str:
    """Cut a name in the middle; some characters are two columns wide."""
    shown, width = cut_middle(name, room), room
    while cell_len(shown) > room and width > 1:
        width -= 1
        shown = cut_middle(name, width)
    return shown


def _bar(share: float, *, color: bool) -> Text:
    halves = int(share * 2 * _BAR)
    bar = Text("━" * (halves // 2) + "╸" * (halves % 2), style="green" if share == 1 else "red")
    rest = _BAR - len(bar)
    # Without colors, the rest of the bar would look like its beginning.
    return bar.append("━" * rest if color else " " * rest, style="bright_black")
