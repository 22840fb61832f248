"""The entry point: an interrupt says so in one word, however early it comes.

Nothing is imported outside of the block that sees to it.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Run `dolmen` with the process's arguments."""
    try:
        from dolmen.entry import enter  # noqa: PLC0415

        enter()
    except BaseException as error:
        if not _is_interrupt(error):
            raise
        _end()


def _is_interrupt(error: BaseException | None) -> bool:
    """Tell whether Ctrl-C is behind it: making a class, for one, wraps what is raised."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, KeyboardInterrupt):
            return True
        if isinstance(error, SystemExit):
            return False
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def _end() -> NoReturn:
    """Say so, once, however often Ctrl-C is pressed; what was under way has cleaned up by now."""
    import signal  # noqa: PLC0415

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # On a terminal, the keys themselves are shown.
    if sys.stderr is not None:
        sys.stderr.write("\ninterrupted\n" if sys.stderr.isatty() else "interrupted\n")
        sys.stderr.flush()
    # The interpreter would rather end by the signal, depending on what it came in the middle of.
    os._exit(130)


if __name__ == "__main__":
    main()
