"""Run the command line: streams, signals, error messages, exit codes.

Exit codes: 0 success, 1 an error with diagnostics, 2 an invalid command line,
130 interrupted, 143 terminated.
"""

from __future__ import annotations

import io
import os
import signal
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from assembler.swallowed_signals import handle_swallowed
from dolmen.argv import hoist_global_options


def run_command_line() -> NoReturn:
    """Run `dolmen` with the process's arguments."""
    _open_streams()
    signal.signal(signal.SIGTERM, _exit_on_sigterm)
    handle_swallowed({SystemExit: signal.SIGTERM, KeyboardInterrupt: signal.SIGINT})
    arguments = hoist_global_options(sys.argv[1:])
    try:
        _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has closed the pipe; flushing would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        _raise_interrupt(error)
        _print_error(error, arguments)
    sys.exit(0)


def _run(arguments: list[str]) -> None:
    # Imported here, so that signals during the imports are handled.
    import typer  # noqa: PLC0415

    from dolmen.app import app  # noqa: PLC0415

    if os.environ.get("_DOLMEN_COMPLETE"):  # PowerShell leaves it empty
        from typer.completion import (  # type: ignore[attr-defined]  # noqa: PLC0415
            completion_init,
        )

        completion_init()
        app(arguments, prog_name="dolmen")
    command = typer.main.get_command(app)
    try:
        # Like typer, except for interrupts and usage errors.
        with command.make_context("dolmen", list(arguments)) as context:
            command.invoke(context)
    except typer.Exit as ended:
        sys.exit(ended.exit_code)
    except (typer.Abort, EOFError):
        raise KeyboardInterrupt from None
    except typer.TyperException as error:
        from dolmen.usage_errors import usage_error  # noqa: PLC0415

        raise usage_error(error) from error


def _open_streams() -> None:
    """Open closed standard streams on the null device."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - for good
    # A name may have characters that the locale lacks.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _raise_interrupt(error: BaseException | None) -> None:
    """Raise the interrupt that caused an error; some calls wrap all exceptions."""
    seen: set[int] = set()
    # The chain may be circular.
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, SystemExit | KeyboardInterrupt):
            raise error
        error = error.__cause__ or error.__context__


def _print_error(error: Exception, arguments: list[str]) -> NoReturn:
    from assembler.errors import (  # noqa: PLC0415
        DolmenError,
        MachineError,
        UsageError,
        host_error,
        is_disk_error,
    )
    from dolmen.output import show_diagnostics, wants_color  # noqa: PLC0415
    from dolmen.setting_values import default_color  # noqa: PLC0415

    if isinstance(error, OSError) and is_disk_error(error):
        error = host_error(error, error.filename or _unnamed_file(error), "write")
    if not isinstance(error, DolmenError):
        raise error
    when = ""
    for word, value in zip(arguments, [*arguments[1:], ""], strict=True):
        if word == "--color" or word.startswith("--color="):
            when = word.partition("=")[2] or value
    if not when:
        with suppress(DolmenError):
            when = default_color()
    show_diagnostics(error.diagnostics, color=wants_color(sys.stderr, when or "auto"))
    if isinstance(error, MachineError):
        sys.exit(error.status)
    sys.exit(2 if isinstance(error, UsageError) else 1)


def _unnamed_file(error: OSError) -> str:
    """Return the name of standard output if an error without a file name is about it."""
    if sys.stdout.isatty():
        return "a file"
    from assembler.errors import is_full_disk_error  # noqa: PLC0415

    if is_full_disk_error(error) and not _is_stdout_full():
        import tempfile  # noqa: PLC0415

        from assembler.disk_space import is_full  # noqa: PLC0415

        places = (Path(tempfile.gettempdir()), Path.cwd())
        return next((f"a file in {p}" for p in places if is_full(p)), "a file")
    return "standard output"


def _is_stdout_full() -> bool:
    """Tell whether standard output is a device, or a file on a full disk."""
    handle = 1
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        return stat.S_ISCHR(os.fstat(handle).st_mode)
    found = os.fstatvfs(handle)
    return not found.f_bavail


def _exit_on_sigterm(number: int, _frame: object) -> NoReturn:
    # An exception, so that everything under way cleans up after itself.
    sys.exit(128 + number)
