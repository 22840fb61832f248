"""Running the command line, and turning what goes wrong into words and an exit code.

Exit codes: 0 done, 1 an error that was explained, 2 a command line that makes no sense,
130 interrupted, 143 terminated.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from dolmen.argv import hoist


def enter() -> NoReturn:
    """Run `dolmen` with the process's arguments."""
    _open_streams()
    signal.signal(signal.SIGTERM, _terminated)
    arguments = hoist(sys.argv[1:])
    try:
        _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing more must be flushed to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        _stop_if_asked(error)
        _explain(error, arguments)
    sys.exit(0)


def _run(arguments: list[str]) -> None:
    # A signal during the imports is handled, too.
    import typer  # noqa: PLC0415

    from dolmen.app import app  # noqa: PLC0415

    if "_DOLMEN_COMPLETE" in os.environ:
        from typer.completion import (  # type: ignore[attr-defined]  # noqa: PLC0415
            completion_init,
        )

        completion_init()
        app(arguments, prog_name="dolmen")
    command = typer.main.get_command(app)
    try:
        # As typer does, but for what it makes of interrupts and of mistakes.
        with command.make_context("dolmen", list(arguments)) as context:
            command.invoke(context)
    except typer.Exit as ended:
        sys.exit(ended.exit_code)
    except (typer.Abort, EOFError):
        raise KeyboardInterrupt from None
    except typer.TyperException as error:
        from dolmen.misuse import usage_error  # noqa: PLC0415

        raise usage_error(error) from error


def _open_streams() -> None:
    """Give streams that were closed for us somewhere to lead to."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - for good


def _stop_if_asked(error: BaseException | None) -> None:
    """End if a signal is behind the error: some calls wrap whatever is raised inside of them."""
    seen: set[int] = set()
    # Errors that were raised again may lead back to themselves.
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, SystemExit | KeyboardInterrupt):
            raise error
        error = error.__cause__ or error.__context__


def _explain(error: Exception, arguments: list[str]) -> NoReturn:
    from assembler.errors import DolmenError, UsageError, host_error, is_disk_error  # noqa: PLC0415
    from dolmen.console import show_diagnostics, wants_color  # noqa: PLC0415

    if isinstance(error, OSError) and is_disk_error(error):
        error = host_error(error, error.filename or _unnamed(), "write")
    if not isinstance(error, DolmenError):
        raise error
    when = "auto"
    for word, value in zip(arguments, [*arguments[1:], ""], strict=True):
        if word == "--color" or word.startswith("--color="):
            when = word.partition("=")[2] or value
    show_diagnostics(error.diagnostics, color=wants_color(sys.stderr, when))
    sys.exit(2 if isinstance(error, UsageError) else 1)


def _unnamed() -> str:
    """Return what could not be written where the error has no name: files are told by theirs."""
    return "a file" if sys.stdout.isatty() else "standard output"


def _terminated(number: int, _frame: object) -> NoReturn:
    # An exception, so that everything under way cleans up after itself.
    sys.exit(128 + number)
