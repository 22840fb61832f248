"""Run a command of root in a user namespace with subordinate ids.

This file is also a program that needs nothing but Python: root executes it, it enters a new user
namespace, and executes the command there as its root. `docs/security.md` says what that isolates.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
# How often, in seconds, a process looks whether the command has ended.
_LOOK_AGAIN = 0.5
_NAME_ONLY: int = getattr(os, "O_PATH", 0)
# Enough for all users of every distribution; the highest one is 65534.
_COUNT = 1 << 16
# Of the ids that container managers of Linux use, the last ones: no user of this machine has them.
_FALLBACK = 0x6FFF0000
_EVERYTHING = 0xFFFFFFFF
_RELAY_CHUNK = 1 << 16


def subordinate_ids(
    kind: str, *, etc: Path = Path("/etc"), proc: Path = Path("/proc/self")
) -> int | None:
    """Return the first of 65536 ids for a namespace of root; `kind` is uid or gid.

    None if root is in a user namespace already that has no ids to spare.
    """
    ranges = _own_ranges((proc / f"{kind}_map").read_text())
    for start in (*_listed(etc / f"sub{kind}"), _FALLBACK, 1):
        if any(low <= start and start + _COUNT <= high for low, high in ranges):
            # In the first namespace, low ids belong to users of the machine.
            if start == 1 and ranges == [(0, _EVERYTHING)]:
                continue
            return start
    return None


def _listed(path: Path) -> list[int]:
    """Return the ranges of root in /etc/subuid or /etc/subgid."""
    found = []
    with suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            user, start, count = line.strip().split(":")
            if user in ("root", "0") and int(count) >= _COUNT:
                found.append(int(start))
    return found


def _own_ranges(text: str) -> list[tuple[int, int]]:
    """Return the ids of this namespace as ranges, adjacent ones joined."""
    ranges: list[tuple[int, int]] = []
    for line in sorted(text.splitlines(), key=lambda row: int(row.split()[0])):
        start, _, count = map(int, line.split())
        if ranges and ranges[-1][1] == start:
            ranges[-1] = (ranges[-1][0], start + count)
        else:
            ranges.append((start, start + count))
    return ranges


def namespace_command(
    ids: tuple[int, int], paths: list[Path], directory: Path | None, agent: str = ""
) -> list[str]:
    """Return the first words of a command that runs in a user namespace.

    `paths` are the directories that it needs although they may be in one that only root can
    enter. An `agent` is a socket of this machine that the command gets as SSH_AUTH_SOCK.
    """
    request = {
        "ids": ids,
        "paths": [str(path) for path in paths],
        "directory": str(directory or "/"),
        "agent": agent,
    }
    return [sys.executable, "-I", "-S", __file__, json.dumps(request)]


def _main() -> None:
    request, *command = sys.argv[1:]
    wanted = json.loads(request)
    try:
        _enter(wanted)
    except OSError as error:
        what = f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)
        sys.exit(f"a user namespace for root cannot be created: {what}")
    os.execvp(command[0], command)  # noqa: S606 - the command of the caller


def _enter(wanted: dict[str, Any]) -> None:
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, "only Linux has user namespaces")
    uid, gid = wanted["ids"]
    _call("unshare", _CLONE_NEWNS)
    _mount("none", "/", "", _MS_REC | _MS_PRIVATE)
    # By its number, since the directory of the agent may be hidden.
    agent = os.open(wanted["agent"], _NAME_ONLY) if wanted["agent"] else None
    umask = os.umask(0o022)
    _open_ways([Path(path) for path in wanted["paths"]])
    os.umask(umask)
    os.chdir(wanted["directory"])
    if agent is not None:
        # Only the user of an agent may use it: a process of root passes the data on.
        os.environ["SSH_AUTH_SOCK"] = _relay_socket(f"/proc/self/fd/{agent}", uid, gid)
    ready, go = os.pipe(), os.pipe()
    if not os.fork():
        _map_ids(os.getppid(), uid, gid, ready[0], go[1], ready[1])
    os.close(ready[0])
    os.close(go[1])
    _call("unshare", _CLONE_NEWUSER)
    os.write(ready[1], b"x")
    answer = os.read(go[0], 4096).decode()
    if answer != "mapped":
        raise OSError(1, answer or "no ids were mapped")
    os.close(ready[1])
    os.close(go[0])
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def _open_ways(paths: list[Path]) -> None:
    """Keep the paths reachable: hide directories above them that only root can enter."""
    handles = [(path, os.open(path, _NAME_ONLY)) for path in paths]
    hidden: list[Path] = []
    for path, _ in handles:
        closed = (p for p in reversed(path.parents) if not p.stat().st_mode & 0o001)
        first = next(closed, None)
        if first is not None and first not in hidden:
            hidden.append(first)
    for directory in hidden:
        _mount("tmpfs", str(directory), "tmpfs", 0, "mode=0755")
    for path, handle in handles:
        if any(path.is_relative_to(directory) for directory in hidden):
            path.mkdir(parents=True, exist_ok=True)
            _mount(f"/proc/self/fd/{handle}", str(path), "", _MS_BIND | _MS_REC)
        os.close(handle)


def _map_ids(process: int, uid: int, gid: int, ready: int, done: int, unused: int) -> None:
    """Map the ids of a process when it has its namespace; this process stays outside of it."""
    os.close(unused)
    answer = "mapped"
    if os.read(ready, 1):
        try:
            for kind, start in (("uid", uid), ("gid", gid)):
                # Written at once: the kernel accepts a single write.
                Path(f"/proc/{process}/{kind}_map").write_text(f"0 {start} {_COUNT}\n")
        except OSError as error:
            answer = f"{error.strerror}: {error.filename}"
        os.write(done, answer.encode())
    os._exit(0)


def _relay_socket(agent: str, uid: int, gid: int) -> str:
    """Start a process that passes the data of a new socket to an agent's; return its path."""
    path = os.path.join(os.environ["TMPDIR"], f"agent-{os.getpid()}")  # noqa: PTH118
    server = socket.socket(socket.AF_UNIX)
    with suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108
    server.bind(path)
    os.chown(path, uid, gid)
    os.chmod(path, 0o600)  # noqa: PTH101
    server.listen()
    command = os.getpid()
    if os.fork():
        server.close()
        return path
    # This process stays outside of the namespace. The command has other ids at its end, so that the
    # kernel would refuse the signal of PR_SET_PDEATHSIG.
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    server.settimeout(_LOOK_AGAIN)
    while True:
        try:
            client, _ = server.accept()
        except TimeoutError:
            if os.getppid() != command:
                os._exit(0)
            continue
        other = socket.socket(socket.AF_UNIX)
        try:
            other.connect(agent)
        except OSError:
            client.close()
            continue
        for pair in ((client, other), (other, client)):
            threading.Thread(target=_pass_on, args=pair, daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(_RELAY_CHUNK):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    words = (source, target, kind, flags, data)
    _call("mount", *(w.encode() if isinstance(w, str) else ctypes.c_ulong(w) for w in words))


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


if __name__ == "__main__":
    _main()
