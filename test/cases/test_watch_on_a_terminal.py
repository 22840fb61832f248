"""A user watches builds and machines on terminals of different widths, and without one."""

from __future__ import annotations

import re
import shutil
import socket
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from support.booting import LIMIT, System, left_behind, machines_of
from support.cli import Dolmen
from support.guests import HOME, REPOSITORY, assemble, needs_qemu
from support.screens import Screen

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(int(3 * LIMIT)),
    pytest.mark.skipif(not shutil.which("tmux"), reason="tmux is not installed"),
]
needs_a_machine = pytest.mark.skipif(
    not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed"
)
widths = pytest.mark.parametrize("columns", [80, 200])
DOLMEN = (sys.executable, "-m", "dolmen")
# The events of a build, as slow as one that fetches what it needs.
BUSY = """
import time
from assembler.events import TaskAdvanced, TaskEnded, TaskStarted
from dolmen.progress import progress_reporter
from dolmen.settings import Settings
from pathlib import Path
with progress_reporter(Settings(Path("store"), 0, "auto")) as reporter:
    reporter.emit(TaskStarted(1, "build dolmen/kernel-virtual:%s for linux/amd64" % ("0a1b" * 10)))
    reporter.emit(TaskStarted(2, "pull docker.io/library/redis:7", 123456789))
    reporter.emit(TaskStarted(3, "fetch [22] Debian packages", 22, "packages"))
    reporter.emit(TaskAdvanced(2, 61000000))
    reporter.emit(TaskAdvanced(3, 11))
    while not Path("go").exists():
        time.sleep(0.1)
    for task, outcome in ((3, "done"), (1, "built"), (2, "done")):
        reporter.emit(TaskEnded(task, outcome))
"""


# Tasks that begin and end faster than bars are drawn.
HASTY = """
import random, time
from assembler.events import TaskEnded, TaskStarted
from dolmen.progress import progress_reporter
from dolmen.settings import Settings
from pathlib import Path
chance = random.Random(1)
with progress_reporter(Settings(Path("store"), 0, "auto")) as reporter:
    running = []
    for number in range(1000):
        reporter.emit(TaskStarted(number, f"task {number}"))
        running.append(number)
        time.sleep(chance.random() * 0.004)
        if len(running) > 5:
            reporter.emit(TaskEnded(running.pop(chance.randrange(5)), "done"))
    for number in running:
        reporter.emit(TaskEnded(number, "done"))
"""


def test_no_line_is_drawn_over(dolmen: Dolmen) -> None:
    (dolmen.home / "hasty.py").write_text(HASTY)
    with Screen.start(dolmen, (sys.executable, "hasty.py")) as screen:
        lines = screen.wait_for("ended with 0").splitlines()
    told = sorted(int(line.split()[1].rstrip(":")) for line in lines if line.startswith("task"))
    assert told == list(range(1000))


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}], ids=["colour", "plain"])
def test_progress_fits_the_terminal_and_leaves_a_line_for_each_task(
    dolmen: Dolmen, columns: int, env: dict[str, str]
) -> None:
    (dolmen.home / "busy.py").write_text(BUSY)
    with Screen.start(dolmen, (sys.executable, "busy.py"), columns=columns, env=env) as screen:
        shown = screen.wait_for("11 of 22 packages +0:00:0[1-9]").splitlines()
        assert len(shown) == 3
        if columns == 40:
            # Beginnings and ends of names are seen, and all of amounts and times.
            assert re.match(r"build dolmen/k\S*…\S* *linux/amd64 +0:00:\d\d$", shown[0])
            assert re.match(r"pull d\S*…\S*:7 61.0 MB of 123 MB 0:00:\d\d$", shown[1])
            assert re.match(r"fetch \S*…\S*ages +11 of 22 packages 0:00:\d\d$", shown[2])
        else:
            built = "build dolmen/kernel-virtual:0a1b0a1b0a1b for linux/amd64"
            assert re.match(rf"{built} +0:00:\d\d$", shown[0])
            assert re.match(
                r"pull docker.io/library/redis:7 +[━╸ ]+ 61.0 MB of 123 MB 0:00:\d\d$", shown[1]
            )
            # A name in brackets is no markup.
            assert shown[2].startswith("fetch [22] Debian packages ")
            assert "━" in shown[2]
        assert screen.broken_lines() == []
        coloured = re.search(r"\x1b\[[0-9;]*3[0-9]", screen.text(escapes=True))
        # There is no room for bars, which have colours, at 40 columns.
        assert bool(coloured) is (columns > 40 and not env)
        (dolmen.home / "go").touch()
        shown = screen.wait_for("ended with 0").splitlines()
        assert screen.broken_lines() == []
        if columns == 40:
            assert "build d" in shown[1]
            assert "…" in shown[1]
            assert max(map(len, shown[:3])) < columns
            return
        assert [re.sub(r"[\d.]+s$", "S", line) for line in shown if line][:3] == [
            "fetch [22] Debian packages: done 11 packages in S",
            "build dolmen/kernel-virtual:0a1b0a1b0a1b for linux/amd64: built in S",
            "pull docker.io/library/redis:7: done 61.0 MB in S",
        ]
        assert "━" not in screen.text()


def test_without_a_terminal_there_is_a_plain_line_for_each_task(
    dolmen: Dolmen, tiny_system: System, tmp_path: Path
) -> None:
    words = ("--cache", tiny_system.store, "build", "--offline", "--force", "--dir", tmp_path)
    done = dolmen.run(*words, tiny_system.yaml)
    assert done.returncode == 0
    for text in (done.stdout, done.stderr):
        assert not re.search(r"[\x1b\r━]", text)
    assert re.fullmatch(r"(?:\S.* [\d.]+ k?M?B\n|\S.*: .* in [\d.]+s\n)+", done.stderr)


@widths
@needs_a_machine
def test_a_machine_is_run_and_ended_on_a_terminal(
    dolmen: Dolmen, tiny_system: System, columns: int
) -> None:
    words = ("--cache", tiny_system.store, "run", "qemu", "--offline", "--mem", "256")
    more = ("--stop-timeout", "1s", "--wait-for", "the system is up", tiny_system.yaml)
    with Screen.start(dolmen, (*DOLMEN, *words, *more), columns=columns) as screen:
        shown = screen.wait_for("ready after")
        ours = [line for line in screen.broken_lines() if "dolmen:" in line]
        assert ours == []
        # Only with the narrow one something has to be broken, and not within a word.
        introduced = shown.partition("SeaBIOS")[0]
        assert " ".join(introduced.split()).count("hardware acceleration is slow") == 1
        assert "twice sends Ctrl-]" in " ".join(introduced.split())
        assert ("\n  " in introduced) is (columns == 80)
        screen.press("C-c")
        shown = screen.wait_for(r"ended with \d+[\s\S]* echo ")
        assert "dolmen: shutting the machine down; a second request ends it at once" in shown
        last = shown.partition("dolmen: the machine did not power off within 1 s; killed\n")[2]
        # The terminal may break it anywhere.
        told = last.partition("ended with 130\n")[0].replace("\n", "")
        assert told == f"next: dolmen build {tiny_system.yaml}"
        # The terminal is as it was: it echoes, and edits lines.
        assert re.search(r"(?<!-)\bicanon\b", shown)
        assert re.search(r"(?<!-)\becho\b", shown)
    assert machines_of(dolmen.home) == []
    assert left_behind(dolmen.home) == []


@needs_a_machine
def test_a_boot_diagnosis_is_readable(dolmen: Dolmen, tiny_system: System, tmp_path: Path) -> None:
    prefix = tiny_system.variant(tmp_path / "x", initrd=b"\x07x" * 9999)
    words = ("run", prefix, "--mem", "256", "--wait-for", "never", "--timeout", "110s")
    with Screen.start(dolmen, (*DOLMEN, *words)) as screen:
        shown = screen.wait_for(r"ended with \d")
        said = shown[shown.index("error[DM1011]") :].partition("ended with")[0]
        assert "DM1022" in said
        assert "hint: build it again" in said
        assert [line for line in screen.broken_lines() if line in said or "hint" in line] == []
        assert max(map(len, said.splitlines())) < 80
        assert re.search(r"\x1b\[[0-9;]*31m", screen.text(escapes=True))


def test_diagnostics_without_color(dolmen: Dolmen) -> None:
    # By a short path: what has no spaces cannot be broken between words.
    (dolmen.home / "wrong.yml").write_text(
        "kernel: {image: 'linuxkit/kernel:6', cmdlin: 'x'}\nservice: []\n"
    )
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        command = ("env", *(f"{k}={v}" for k, v in env.items()), *DOLMEN, "validate", "wrong.yml")
        with Screen.start(dolmen, command) as screen:
            shown = screen.wait_for("ended with 1")
            assert "error[" in shown
            assert "\x1b[" not in screen.text(escapes=True).partition("ended with")[0]
            assert screen.broken_lines() == []


def free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])


def run_the_web_server(dolmen: Dolmen, limit: float) -> None:
    """Run the example, look at its page, and end it with Ctrl-C."""
    port = free_port()
    words = ("run", "qemu", "examples/nginx.yml", "--publish", f"{port}:80")
    script = f'cd {REPOSITORY} && exec "$@"'
    command = ("sh", "-c", script, "sh", *DOLMEN, *words, "--wait-port", str(port))
    with Screen.start(dolmen, command) as screen:
        screen.wait_for("ready after", limit)
        (machine,) = machines_of(dolmen.home)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
            assert "<h1>It runs</h1>" in answer.read().decode()
        ours = [line for line in screen.broken_lines() if "dolmen:" in line]
        assert ours == []
        screen.press("C-c")
        shown = screen.wait_for(r"ended with \d+\n")
        assert "power off: all is stopped" in shown
        assert "ended with 130" in shown
    deadline = time.monotonic() + 5
    while Path(f"/proc/{machine}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{machine}").exists()
    assert machines_of(dolmen.home) == []
    assert left_behind(dolmen.home) == []
    with socket.socket() as freed:
        freed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        freed.bind(("127.0.0.1", port))


@needs_qemu
def test_the_example_web_server_leaves_nothing_behind(tmp_path: Path) -> None:
    # With the store that the tests have filled: what is missing is built.
    assemble(REPOSITORY / "examples" / "nginx.yml", tmp_path)
    run_the_web_server(Dolmen(HOME), LIMIT)


@needs_qemu
@pytest.mark.whole
@pytest.mark.timeout(1200)
def test_the_example_web_server_from_a_clean_store(dolmen: Dolmen) -> None:
    run_the_web_server(dolmen, 1000)
