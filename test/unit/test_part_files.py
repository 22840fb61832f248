"""Files are written atomically, obey the umask, and leave nothing when their writer is killed."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler import part_files
from assembler.errors import HostError
from assembler.files import atomic_write
from assembler.scratch_directories import scratch_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

# Writes half of a file, says so, and waits; with `named`, as on a filesystem without O_TMPFILE.
WRITER = """
import os, signal, sys, time
from pathlib import Path
if sys.argv[2] == "named":
    del os.O_TMPFILE
if sys.argv[3] == "forked":
    from assembler.files import atomic_write
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
from assembler.files import atomic_write
with atomic_write(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    if sys.argv[3] == "forked" and os.fork() == 0:
        os.dup2(os.open("/dev/null", os.O_WRONLY), 1)
        signal.pause()
    print("writing", flush=True)
    time.sleep(600)
"""


@pytest.fixture(params=["unnamed", "named"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run with O_TMPFILE and without; in a process that has not seen the directory."""
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE")
    monkeypatch.setattr(part_files, "_cleaned", set())
    return str(request.param)


@pytest.fixture
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """Set the umask."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def writing(path: Path, kind: str, *, forked: bool = False) -> subprocess.Popen[bytes]:
    """Start a process that writes a file and does not end."""
    words = [sys.executable, "-c", WRITER, path, kind, "forked" if forked else ""]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"writing\n"
    return process


def names(directory: Path) -> list[str]:
    """Return the names in a directory."""
    return sorted(p.name for p in directory.iterdir())


def parts(directory: Path) -> list[Path]:
    """Return the part files in a directory."""
    return list(directory.glob(".*.part"))


@pytest.mark.usefixtures("kind")
@pytest.mark.parametrize("old", [None, b"old and longer"])
def test_a_file_is_complete_or_as_before(tmp_path: Path, old: bytes | None) -> None:
    path = tmp_path / "out"
    if old is not None:
        path.write_bytes(old)
    with pytest.raises(TypeError), atomic_write(path) as file:
        file.write("text")  # type: ignore[arg-type]
    assert names(tmp_path) == ([] if old is None else ["out"])
    with atomic_write(path) as file:
        file.write(b"whole")
        assert (path.read_bytes() if path.exists() else None) == old
    assert path.read_bytes() == b"whole"
    assert names(tmp_path) == ["out"]


@pytest.mark.usefixtures("kind")
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002], indirect=True)
def test_modes_obey_the_umask(tmp_path: Path, umask: int) -> None:
    for path, mode, expected in (
        (tmp_path / "ordinary", None, 0o666 & ~umask),
        (tmp_path / "secret", 0o600, 0o600),
        (tmp_path / "shared", 0o644, 0o644),
    ):
        for _ in range(2):
            with atomic_write(path, mode=mode) as file:
                assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600
            assert stat.S_IMODE(path.stat().st_mode) == expected


def test_without_unnamed_files_there_is_a_part_file(tmp_path: Path, kind: str) -> None:
    with atomic_write(tmp_path / "out"):
        assert len(parts(tmp_path)) == (kind == "named")
    assert names(tmp_path) == ["out"]


@pytest.mark.usefixtures("kind")
def test_names_that_are_as_long_as_can_be_are_written(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 127)
    for content in (b"1", b"2"):
        with atomic_write(path) as file:
            file.write(content)
    assert path.read_bytes() == b"2"


@pytest.mark.usefixtures("kind")
def test_a_directory_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(HostError, match="cannot write"), atomic_write(tmp_path / "out"):
        pass
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_ended_writer_leaves_nothing(tmp_path: Path, kind: str, number: signal.Signals) -> None:
    process = writing(tmp_path / "out", kind)
    process.send_signal(number)
    assert process.wait(30) != 0
    assert names(tmp_path) == []


def test_what_a_killed_writer_leaves_is_removed_by_the_next(tmp_path: Path, kind: str) -> None:
    process = writing(tmp_path / "out", kind)
    process.kill()
    process.wait()
    assert len(parts(tmp_path)) == (kind == "named")
    with atomic_write(tmp_path / "other") as file:
        file.write(b"1")
    assert names(tmp_path) == ["other"]


def test_part_files_of_running_writers_stay(tmp_path: Path) -> None:
    process = writing(tmp_path / "out", "named")
    try:
        before = parts(tmp_path)
        with atomic_write(tmp_path / "other"):
            pass
        assert parts(tmp_path) == before
        assert len(before) == 1
    finally:
        process.kill()
        process.wait()


def test_a_forked_worker_keeps_the_part_file(tmp_path: Path) -> None:
    process = writing(tmp_path / "out", "named", forked=True)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    process.wait()
    try:
        part_files.remove_abandoned_parts(tmp_path)
        assert len(parts(tmp_path)) == 1
    finally:
        os.kill(int(children[0]), signal.SIGKILL)


def test_other_files_stay(tmp_path: Path) -> None:
    kept = [".out.part", ".out.0123456789ab.partial", "out.0123456789ab.part"]
    for name in kept:
        (tmp_path / name).touch()
    (tmp_path / ".out.0123456789ab.part").symlink_to(tmp_path / kept[0])
    (tmp_path / ".dir.0123456789ab.part").mkdir()
    os.mkfifo(tmp_path / ".pipe.0123456789ab.part")
    before = names(tmp_path)
    part_files.remove_abandoned_parts(tmp_path)
    assert names(tmp_path) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_part_files_of_others_stay(tmp_path: Path) -> None:
    path = tmp_path / ".out.0123456789ab.part"
    path.touch()
    os.chown(path, 12345, 12345)
    part_files.remove_abandoned_parts(tmp_path)
    assert path.exists()


@pytest.mark.usefixtures("kind")
def test_a_filesystem_without_locks_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(37, "No locks available")

    left = tmp_path / ".left.0123456789ab.part"
    left.touch()
    monkeypatch.setattr(fcntl, "flock", fails)
    with atomic_write(tmp_path / "out") as file:
        file.write(b"1")
    assert names(tmp_path) == [left.name, "out"]


def test_scratch_directories_of_killed_processes_are_removed(tmp_path: Path) -> None:
    abandoned, other = tmp_path / "dolmen-0123456789ab", tmp_path / "dolmen-data"
    for directory in (abandoned, other):
        directory.mkdir()
        (directory / "file").touch()
    with scratch_directory(tmp_path) as first, scratch_directory(tmp_path) as second:
        (second / "file").touch()
        assert names(tmp_path) == sorted([first.name, second.name, other.name])
    assert names(tmp_path) == [other.name]
