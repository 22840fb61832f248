"""A user adds a shared directory and a TPM to machines, and keeps or discards their state."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assembler.machine import virtiofs
from support.booting import LIMIT, Run, System, left_behind, machines_of
from support.cli import Dolmen
from support.nobody import LAUNCHER, NOBODY, home_of_nobody, why_not

pytestmark = [
    pytest.mark.slow,
    pytest.mark.boot,
    pytest.mark.timeout(int(3 * LIMIT)),
    pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed"),
]
UP = "the system is up"
SMALL = ("--mem", "256", "--stop-timeout", "1s")
needs_swtpm = pytest.mark.skipif(not shutil.which("swtpm"), reason="swtpm is not installed")
needs_virtiofsd = pytest.mark.skipif(
    virtiofs.find_virtiofsd() is None, reason="virtiofsd is not installed"
)


def helper_pids(dolmen: Dolmen) -> list[int]:
    """Return the PIDs of the helper processes of the only machine."""
    (machine,) = json.loads(dolmen.run("ps", "--json").stdout)
    return [process["number"] for process in machine["beside"]]


def gone(numbers: list[int]) -> bool:
    """Tell whether no such process is left, after a moment."""
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{n}").exists() for n in numbers) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(Path(f"/proc/{n}").exists() for n in numbers)


@needs_virtiofsd
def test_a_directory_is_shared_both_ways(
    dolmen: Dolmen, tiny_system: System, tmp_path: Path
) -> None:
    one, other = tmp_path / "one", tmp_path / "the, other"
    for folder in (one, other):
        folder.mkdir()
        (folder / "from-here").write_text(f"this is {folder.name}\n")
    words = ("--virtiofs", f"pictures={one}", "--virtiofs", other)
    with Run.start(dolmen, "run", "qemu", tiny_system.prefix, *SMALL, *words) as run:
        run.expect(UP)
        pids = helper_pids(dolmen)
        assert len(pids) == 2
        run.type("mkdir /a /b; mount -t virtiofs pictures /a; mount -t virtiofs virtiofs1 /b")
        run.type(
            "cat /a/from-here /b/from-here; echo back $((6*7)) > /a/from-there; sync; poweroff -f"
        )
        run.expect("this is one\n")
        run.expect("this is the, other\n")
        assert run.end() == 0
    assert (one / "from-there").read_text() == "back 42\n"
    said = run.errors.read_text()
    assert f"{one} is shared: mount -t virtiofs pictures /mnt" in said
    assert gone(pids)
    assert left_behind(dolmen.home) == []


@needs_virtiofsd
def test_an_unprivileged_user_shares_directories(tiny_system: System) -> None:
    if reason := why_not():
        pytest.skip(reason)
    with home_of_nobody() as home:
        (home / "from-here").write_text("hello to root\n")
        words = ("run", tiny_system.prefix, *SMALL, "--virtiofs", f"home={home}")
        with (home / "errors").open("wb") as errors:
            process = subprocess.Popen(
                [*LAUNCHER, sys.executable, "-B", "-m", "dolmen", *map(str, words)],
                cwd=home,
                env=Dolmen(home).environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        with Run(process, errors=home / "errors") as run:
            run.expect(UP)
            run.type(
                "mkdir /a; mount -t virtiofs home /a; cat /a/from-here; echo back > /a/b; sync"
            )
            run.expect("hello to root\n")
            run.type("poweroff -f")
            assert run.end() == 0
        # What the guest's root has made belongs to who shares.
        assert (home / "b").stat().st_uid == NOBODY
        assert left_behind(home) == []


@needs_swtpm
def test_a_state_directory_keeps_tpm_and_disks_unless_ephemeral(
    dolmen: Dolmen, tiny_system: System
) -> None:
    state = dolmen.home / "kept"
    words = ("run", "qemu", tiny_system.prefix, *SMALL, "--tpm", "--state", state)
    words = (*words, "--disk", "size=64M,format=raw")
    with Run.start(dolmen, *words) as run:
        run.expect(UP)
        pids = helper_pids(dolmen)
        assert len(pids) == 1
        run.type("cat /sys/class/tpm/tpm0/tpm_version_major; ls /dev/tpm*")
        run.expect(r"2\n/dev/tpm0\s")
        run.type("echo kept for later > /dev/sda; sync; poweroff -f")
        assert run.end() == 0
    assert gone(pids)
    assert left_behind(dolmen.home) == []
    disk, tpm = state / "disk.img", state / "tpm" / "tpm2-00.permall"
    assert disk.read_bytes().startswith(b"kept for later")
    before = tpm.read_bytes(), tpm.stat().st_mtime_ns
    disk_before = disk.stat().st_mtime_ns
    new = dolmen.home / "new.img"
    with Run.start(dolmen, *words, "--ephemeral", "--disk", f"{new},size=8M,bus=virtio") as run:
        run.expect(UP)
        run.type("head -n 1 /dev/sda; ls /dev/tpm0; echo $(cat /sys/block/vda/size)")
        run.expect(r"kept for later\n/dev/tpm0\s+16384\n")
        run.type("echo forgotten > /dev/sda; sync; poweroff -f")
        assert run.end() == 0
    assert (tpm.read_bytes(), tpm.stat().st_mtime_ns) == before
    assert disk.read_bytes().startswith(b"kept for later")
    assert disk.stat().st_mtime_ns == disk_before
    assert not new.exists()
    assert left_behind(dolmen.home) == []


@needs_swtpm
@needs_virtiofsd
def test_helper_processes_of_a_detached_machine_end_with_it(
    dolmen: Dolmen, tiny_system: System, tmp_path: Path
) -> None:
    words = ("run", tiny_system.prefix, "--detached", "--mem", "256", "--tpm")
    done = dolmen.run(*words, "--virtiofs", tmp_path)
    assert done.returncode == 0, done.stderr
    pids = helper_pids(dolmen)
    assert len(pids) == 2
    assert all(Path(f"/proc/{n}").exists() for n in pids)
    assert dolmen.run("stop", "--timeout", "0").returncode == 0
    assert gone(pids)
    assert machines_of(dolmen.home) == []
    assert left_behind(dolmen.home) == []


@needs_virtiofsd
@needs_swtpm
def test_helper_processes_end_with_a_killed_run(
    dolmen: Dolmen, tiny_system: System, tmp_path: Path
) -> None:
    words = ("run", tiny_system.prefix, *SMALL, "--tpm", "--virtiofs", tmp_path)
    with Run.start(dolmen, *words) as run:
        run.expect("SeaBIOS")
        pids = helper_pids(dolmen)
        run.process.kill()
        run.process.wait()
        assert gone(pids)
    assert machines_of(dolmen.home) == []


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--virtiofs", "x=/no/such/place"), 1, "/no/such/place not found"),
        (("--virtiofs", "a=/tmp", "--virtiofs", "a=/var"), 2, "duplicate name a"),
        (("--virtiofs", f"{'x' * 40}=/tmp"), 2, "is not a valid name"),
        (("--virtiofs", "/tmp", "--virtiofsd", "/no/virtiofsd"), 1, "/no/virtiofsd not found"),
        (("--virtiofs", "/tmp", "--virtiofsd", "/bin/false"), 1, "false ended with code 1"),
    ],
)
def test_an_invalid_share_is_an_error(
    dolmen: Dolmen, tiny_system: System, words: tuple[str, ...], code: int, told: str
) -> None:
    done = dolmen.run("run", tiny_system.prefix, "--timeout", "20s", "--wait-for", "x", *words)
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert machines_of(dolmen.home) == []
    assert left_behind(dolmen.home) == []
