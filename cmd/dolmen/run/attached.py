"""Being at the console of a machine that runs by itself, and reading what it has said."""

from __future__ import annotations

import fcntl
import os
import selectors
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from assembler.codes import machine as codes
from assembler.errors import MachineError, wrap_os_errors
from assembler.machine.backend import CONSOLE_LOG, CONSOLE_SOCKET
from assembler.machine.control import connect
from assembler.machine.records import Entry
from assembler.machine.waiting import plain
from dolmen.run.interrupts import watched
from dolmen.run.terminal import Keys, clean, may_read, raw, write_all

_LOCK = "console.lock"
_BEFORE = 4096
_PAUSE = 0.1
_CHUNK = 65536


@contextmanager
def console_lock(folder: Path, name: str) -> Iterator[None]:
    """Be the only one at the console: QEMU would let others wait without a word."""
    with wrap_os_errors(folder), (folder / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MachineError.of(
                codes.MACHINE_BUSY,
                f"somebody else is at the console of {name}",
                f"to see what it says: dolmen logs -f {name}",
            ) from None
        yield


def attach(entry: Entry) -> int:
    """Be at the console until the user leaves or the machine ends; return the exit code."""
    name = entry.record.name
    if not entry.alive:
        raise MachineError.of(
            codes.MACHINE_NOT_FOUND, f"{name} has ended", f"what it said: dolmen logs {name}"
        )
    owner = entry.record.owner
    if owner is not None and owner.alive:
        raise MachineError.of(codes.MACHINE_BUSY, f"the console of {name} is where it was started")
    with console_lock(entry.folder, name):
        try:
            console = connect(entry.folder, CONSOLE_SOCKET)
        except OSError as error:
            raise MachineError.of(
                codes.MACHINE_NOT_FOUND, f"{name} does not answer: {error.strerror or error}"
            ) from error
        with console, watched() as interrupts, raw() as is_terminal:
            console.setblocking(True)
            if is_terminal:
                sys.stderr.write("dolmen: Ctrl-] and q leaves the console, the machine goes on\r\n")
                sys.stderr.flush()
            write_all(sys.stdout.fileno(), _end_of_log(entry.folder))
            try:
                left = _relay(console, interrupts.handle)
            finally:
                clean()
    if left and is_terminal:
        sys.stderr.write("\ndolmen: left; the machine goes on\n")
    return 128 + interrupts.came[0] if interrupts.came else 0


def _relay(console: socket.socket, wakeup: int) -> bool:
    """Pass what is typed and said; tell whether the user left, and not the machine."""
    keys = Keys(interrupt_leaves=False)
    typed = sys.stdin.fileno()
    with selectors.DefaultSelector() as selector:
        selector.register(console, selectors.EVENT_READ)
        selector.register(wakeup, selectors.EVENT_READ)
        with suppress(ValueError, OSError):
            if may_read():
                selector.register(typed, selectors.EVENT_READ)
        while True:
            for key, _events in selector.select():
                if key.fileobj == wakeup:
                    return True
                if key.fileobj is console:
                    data = console.recv(_CHUNK)
                    if not data:
                        return False
                    write_all(sys.stdout.fileno(), data)
                    continue
                data = os.read(typed, _CHUNK)
                if not data:
                    selector.unregister(typed)
                    continue
                console.sendall(keys.to_guest(data) if sys.stdin.isatty() else data)
                if keys.leaving:
                    return True


def _end_of_log(folder: Path) -> bytes:
    """Return the last lines, without what would rearrange the terminal."""
    try:
        with (folder / CONSOLE_LOG).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _BEFORE))
            data = file.read()
    except OSError:
        return b""
    text = plain(data)
    if size > _BEFORE:
        text = text.partition("\n")[2]
    return text.replace("\n", "\r\n").encode()


def show_log(entry: Entry, *, follow: bool) -> None:
    """Write what the console has said; with `follow` until the machine ends."""
    out = sys.stdout.fileno()
    with wrap_os_errors(entry.folder, "read"), (entry.folder / CONSOLE_LOG).open("rb") as file:
        rest = b""
        while True:
            ended = not entry.alive
            while data := file.read(_CHUNK):
                # Whole lines: what only terminals obey may be cut in two otherwise.
                lines, newline, rest = (rest + data).rpartition(b"\n")
                write_all(out, plain(lines + newline).encode())
            if ended or not follow:
                break
            time.sleep(_PAUSE)
        write_all(out, plain(rest).encode())
