"""The entry point: an interrupt prints one word, and no traceback, however early it comes.

Until the command is loaded, there is nothing to clean up: an interrupt ends the process by its
signal, in silence. Python's own start, before the first line of Dolmen, prints a traceback.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the module `signal` takes time to load
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Run `dolmen` with the process's arguments."""
    # Not if interrupts are ignored.
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    try:
        from dolmen.entry import run_command_line  # noqa: PLC0415

        run_command_line()
    except BaseException as error:
        if not _is_interrupt(error):
            _ignore_signals()
            raise
        _exit_interrupted()


def _is_interrupt(error: BaseException | None) -> bool:
    """Tell whether Ctrl-C caused an error; some Python operations wrap exceptions."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, KeyboardInterrupt):
            return True
        if isinstance(error, SystemExit):
            return False
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def _ignore_signals() -> None:
    """Ignore signals from now on: all is done, and the interpreter would print a traceback."""
    import signal  # noqa: PLC0415

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _exit_interrupted() -> NoReturn:
    """Print the message once, and exit; cleanup has finished by now."""
    _ignore_signals()
    # A terminal has printed ^C.
    if sys.stderr is not None:
        sys.stderr.write("\ninterrupted\n" if sys.stderr.isatty() else "interrupted\n")
        sys.stderr.flush()
    # The interpreter could end by the signal instead.
    os._exit(130)


if __name__ == "__main__":
    main()
