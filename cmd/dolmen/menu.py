"""A menu on a terminal: arrow keys or numbers choose a line, Enter takes it."""

from __future__ import annotations

import os
import sys
import termios
import tty
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.printable import printable
from dolmen.output import wants_color, write_escaped
from dolmen.run.tty_mode import can_read_stdin
from dolmen.wrapping import columns_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_HINT = "arrow keys or a number, then Enter"
_ELLIPSIS = "…"
_CTRL_D = "\x04"
_UP, _DOWN = {"\x1b[A", "\x1bOA", "k"}, {"\x1b[B", "\x1bOB", "j"}
_CLEAR, _CHOSEN, _PLAIN = "\x1b[K", "\x1b[1m", "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Choice:
    """A line of a menu."""

    name: str
    summary: str


def can_ask() -> bool:
    """Tell whether there is a terminal to ask on, and somebody to answer."""
    return sys.stdin.isatty() and sys.stderr.isatty() and can_read_stdin()


def choose(question: str, choices: Sequence[Choice], color: str = "auto") -> str:
    """Ask for one of the choices and return its name; Enter alone takes the first.

    Ctrl-C raises KeyboardInterrupt and Ctrl-D EOFError.
    """
    if os.environ.get("TERM", "dumb") == "dumb":
        return _choose_by_line(question, choices)
    return _choose_by_key(question, choices, wants_color(sys.stderr, color))


def _choose_by_line(question: str, choices: Sequence[Choice]) -> str:
    """Ask on a terminal that cannot move its cursor."""
    write_escaped(f"{question}\n")
    write_escaped("".join(f"{line}\n" for line in _lines(choices, 0)))
    while True:
        write_escaped("number [1]: ")
        answer = sys.stdin.readline()
        if not answer:
            raise EOFError
        answer = answer.strip() or "1"
        for number, choice in enumerate(choices, 1):
            if answer in (str(number), choice.name):
                return choice.name
        write_escaped(f"a number from 1 to {len(choices)}, please\n")


def _choose_by_key(question: str, choices: Sequence[Choice], color: bool) -> str:  # noqa: FBT001
    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)
    chosen = 0
    write_escaped(f"{_question(question)}\n")
    try:
        # Ctrl-C still interrupts.
        tty.setcbreak(handle, termios.TCSADRAIN)
        write_escaped(_drawn(choices, chosen, color=color))
        while True:
            for key in _keys(handle):
                if key in ("\n", "\r"):
                    return choices[chosen].name
                if key == _CTRL_D:
                    raise EOFError
                chosen = _moved(key, chosen, len(choices))
            write_escaped(f"\x1b[{len(choices)}A" + _drawn(choices, chosen, color=color))
    finally:
        termios.tcsetattr(handle, termios.TCSADRAIN, before)


def _keys(handle: int) -> list[str]:
    """Wait for keys, and return those that were pressed; an arrow key is three characters."""
    data = os.read(handle, 256).decode("utf-8", "replace")
    if not data:
        raise EOFError
    keys = []
    while data:
        length = 3 if data.startswith(("\x1b[", "\x1bO")) else 1
        keys.append(data[:length])
        data = data[length:]
    return keys


def _moved(key: str, chosen: int, count: int) -> int:
    """Return the line that is chosen after a key."""
    if key in _UP:
        return (chosen - 1) % count
    if key in _DOWN:
        return (chosen + 1) % count
    if key.isdecimal() and 1 <= int(key) <= count:
        return int(key) - 1
    return chosen


def _drawn(choices: Sequence[Choice], chosen: int, *, color: bool) -> str:
    drawn = ""
    for number, line in enumerate(_lines(choices, chosen)):
        styled = f"{_CHOSEN}{line}{_PLAIN}" if color and number == chosen else line
        drawn += f"\r{styled}{_CLEAR}\n"
    return drawn


def _lines(choices: Sequence[Choice], chosen: int) -> list[str]:
    """Return the lines of the menu, cut to the width of the terminal."""
    columns = columns_of(sys.stderr) or 80
    widest = max(len(choice.name) for choice in choices)
    lines = []
    for number, choice in enumerate(choices):
        mark = ">" if number == chosen else " "
        line = f"{mark} {number + 1} {choice.name:{widest}}  {choice.summary}"
        line = printable(line)
        lines.append(line if len(line) < columns else line[: columns - 2] + _ELLIPSIS)
    return lines


def _question(question: str) -> str:
    """Return the question, with the keys on a line of their own if there is no room."""
    columns = columns_of(sys.stderr) or 80
    together = f"{question} ({_HINT})"
    return together if len(together) < columns else f"{question}\n{_HINT}"
