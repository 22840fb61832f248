"""Root's commands run in a user namespace with ids that no user of the machine has."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from assembler.dockerfile.user_namespace import namespace_command, subordinate_ids

ALL = "         0          0 4294967295\n"


def ids(tmp_path: Path, listed: str, own: str) -> int | None:
    (tmp_path / "subuid").write_text(listed)
    (tmp_path / "uid_map").write_text(own)
    return subordinate_ids("uid", etc=tmp_path, proc=tmp_path)


@pytest.mark.parametrize(
    ("listed", "own", "start"),
    [
        ("root:300000:65536\n", ALL, 300_000),
        ("user:100000:65536\nroot:200000:1000\nroot:300000:65536\n", ALL, 300_000),
        ("user:100000:65536\n", ALL, 0x6FFF0000),
        ("nonsense\n", ALL, 0x6FFF0000),
        # A container of an ordinary user, whose root has an id of its own.
        ("root:300000:65536\n", "0 1000 1\n1 100000 65536\n", 1),
        ("", "0 100000 65536\n", None),
        ("", "0 1000 1\n", None),
    ],
)
def test_the_ids_of_a_namespace(tmp_path: Path, listed: str, own: str, start: int | None) -> None:
    assert ids(tmp_path, listed, own) == start


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="it is for root alone")


@needs_root
def test_a_closed_directory_is_hidden_except_for_what_is_needed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "needed" / "deep").mkdir(parents=True)
    (closed / "secret").write_text("secret")
    (closed / "needed" / "deep" / "file").write_text("text")
    os.chown(closed / "needed" / "deep", 300_000, 300_001)
    closed.chmod(0o700)
    command = namespace_command((300_000, 300_001), [closed / "needed" / "deep"], closed)
    script = "id -u; cat needed/deep/file; ls; touch needed/deep/new; cat /proc/self/uid_map"
    done = subprocess.run(
        [*command, "sh", "-c", script], capture_output=True, text=True, check=True
    )
    user, text, rest = done.stdout.split("\n", 2)
    assert (user, text) == ("0", "textneeded")
    assert rest.split() == ["0", "300000", "65536"]
    made = (closed / "needed" / "deep" / "new").stat()
    assert (made.st_uid, made.st_gid) == (300_000, 300_001)


@needs_root
def test_what_is_missing_is_said(tmp_path: Path) -> None:
    """As root in a container without privileges."""
    command = namespace_command((300_000, 300_000), [tmp_path], tmp_path)
    dropped = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", "--")
    done = subprocess.run([*dropped, *command, "true"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "a user namespace for root cannot be created: Operation not permitted: unshare\n"
    )


@needs_root
def test_an_agent_of_root_is_reachable(tmp_path: Path) -> None:
    agent = tmp_path / "agent"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(agent))
    agent.chmod(0o600)
    server.listen()

    def answer() -> None:
        client, _ = server.accept()
        client.sendall(client.recv(100).upper())
        client.close()

    threading.Thread(target=answer, daemon=True).start()
    temporary = tmp_path / "t"
    temporary.mkdir()
    os.chown(temporary, 300_000, 300_000)
    ask = (
        "import os, socket; s = socket.socket(socket.AF_UNIX); "
        "s.connect(os.environ['SSH_AUTH_SOCK']); s.sendall(b'sign'); print(s.recv(100).decode())"
    )
    command = namespace_command((300_000, 300_000), [temporary], temporary, str(agent))
    done = subprocess.run(
        [*command, "/usr/bin/env", "python3", "-c", ask],
        env={"PATH": os.environ["PATH"], "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("SIGN\n", "")
    # The process that passes the data on ends with the command.
    end = time.monotonic() + 20
    while left := processes_with(str(temporary)):
        assert time.monotonic() < end, left
        time.sleep(0.1)


def processes_with(text: str) -> list[int]:
    """Return the processes with a text in their command lines."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if text.encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found
