"""Run records are written and read, and stale ones removed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from assembler.errors import MachineError, UsageError
from assembler.machine.process_identity import Process
from assembler.machine.records import MachineDirectory, RunRecord, state_directory


def record(name: str, process: Process, owner: Process | None = None) -> RunRecord:
    return RunRecord(name, "/x.yml", process, owner, "amd64", "tcg", 256, 1, ("80:80/tcp",), 0)


@pytest.fixture
def dead() -> Process:
    """Give a process that has lived."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        process = Process.of(child.pid)
        assert process.alive
        child.communicate(b"\n")
    assert not process.alive
    return process


def test_the_state_directory_is_the_users() -> None:
    assert state_directory({"XDG_STATE_HOME": "/s"}) == Path("/s/dolmen")
    assert state_directory({}) == Path("~/.local/state/dolmen").expanduser()


def test_records_are_read_as_written(tmp_path: Path, dead: Process) -> None:
    machines = MachineDirectory(tmp_path)
    here = Process.of(os.getpid())
    kept = [record("a", here, here), record("b", dead)]
    for one in kept:
        machines.write_record(machines.new(one.name, exactly=True), one)
    assert [e.record for e in machines.all()] == kept
    assert [e.alive for e in machines.all()] == [True, False]
    assert machines.find().record.name == "a"
    assert machines.find("b").record == kept[1]
    with pytest.raises(MachineError, match="machine c not found"):
        machines.find("c")


def test_a_reused_pid_is_another_process() -> None:
    here = Process.of(os.getpid())
    assert here.alive
    assert not Process(here.number, "12345").alive
    assert not Process(here.number, "").alive
    assert not Process(0, "").alive


def test_names_are_found_or_refused(tmp_path: Path) -> None:
    machines = MachineDirectory(tmp_path)
    names = [machines.new(n, exactly=False).name for n in ("a", "a", "my image!", "..", "-x")]
    assert names == ["a", "a-2", "my-image", "machine", "x"]
    with pytest.raises(UsageError):
        machines.new("../a", exactly=True)
    with pytest.raises(MachineError):
        machines.new("a", exactly=True)


def test_only_stale_machines_are_removed(tmp_path: Path, dead: Process) -> None:
    machines = MachineDirectory(tmp_path)
    here = Process.of(os.getpid())
    machines.write_record(machines.new("ours", exactly=True), record("ours", here, here))
    machines.write_record(machines.new("detached", exactly=True), record("detached", dead))
    machines.write_record(machines.new("killed", exactly=True), record("killed", dead, dead))
    machines.new("being-prepared", exactly=True)
    killed = machines.new("killed-while-preparing", exactly=True)
    (killed / "prepared-by.json").write_text(
        json.dumps({"number": dead.number, "started": dead.started})
    )
    machines.remove_stale()
    left = sorted(p.name for p in machines.folder.iterdir())
    assert left == ["being-prepared", "detached", "ours"]
