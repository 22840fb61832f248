"""A user builds several packages in parallel, and stops them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.oci.platform import Platform, host_platform
from support.dockerfiles import Kitchen, kitchen_with_a_shell, programs_running, wait_until

if TYPE_CHECKING:
    from support.cli import Dolmen

HERE = host_platform()
ARM64 = Platform("linux", "arm64")
BOTH = "image: {}\norg: example\narches: [amd64, arm64]\n"
pytestmark = pytest.mark.slow
buildah = [
    pytest.mark.skipif(not shutil.which("buildah"), reason="buildah is not installed"),
    pytest.mark.skipif(os.getuid() != 0, reason="the test's base is made for root"),
]


class Cook:
    """`dolmen pkg build` into a kitchen's store."""

    def __init__(self, dolmen: Dolmen, kitchen: Kitchen) -> None:
        self.dolmen, self.kitchen = dolmen, kitchen

    def package(
        self, name: str, dockerfile: str, files: dict[str, bytes | str | None] | None = None
    ) -> Path:
        """Write a package of two architectures."""
        return self.kitchen.package(dockerfile, files, BOTH.format(name), name)

    def words(self, *words: str | Path) -> list[str | Path]:
        options = ("--offline", "--hash", "h", "--cache", self.kitchen.store.root)
        return ["pkg", "build", *options, *words]

    def build(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return self.dolmen.run(*self.words(*words))

    def begin(self, *words: str | Path) -> subprocess.Popen[str]:
        """Begin a build that is not waited for."""
        return subprocess.Popen(
            [sys.executable, "-m", "dolmen", *self.words("--platforms", str(HERE), *words)],
            env=self.dolmen.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def cook(dolmen: Dolmen, tmp_path: Path) -> Cook:
    return Cook(dolmen, Kitchen(tmp_path))


@pytest.fixture
def cook_with_a_shell(dolmen: Dolmen, tmp_path: Path) -> Cook:
    return Cook(dolmen, kitchen_with_a_shell(tmp_path))


def test_a_failing_package_does_not_stop_independent_ones(cook: Cook) -> None:
    fine = cook.package("fine", "FROM scratch\nCOPY Dockerfile /\n")
    broken = cook.package("broken", "FROM scratch\nCOPY missing /\n")
    needing = cook.package("needing", "FROM example/broken:h\nCOPY Dockerfile /\n")
    done = cook.build(broken, needing, fine)
    assert done.returncode == 1
    assert done.stdout == "example/fine:h\n"
    # Once, and not for each architecture.
    assert done.stderr.count(f"{broken}/Dockerfile:2:6: error[DM0742]") == 1
    assert "  2 | COPY missing /" in done.stderr
    assert "failed for linux/amd64, linux/arm64" in done.stderr
    assert "1 of 3 packages were built; not built:" in done.stderr
    missing = done.stderr.partition("; not built:\n")[2]
    assert re.search(r"example/broken:h\n", missing)
    assert re.search(r"example/needing:h.*a dependency is missing", missing)
    log = Path(re.findall(r"is in (/\S+broken\S+\.log)", done.stderr)[0])
    assert "COPY missing /" in log.read_text()
    # What is mended is built, and nothing else again.
    (broken / "missing").touch()
    done = cook.build(broken, needing, fine)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["example/broken:h", "example/needing:h", "example/fine:h"]
    assert "example/fine:h is up to date, nothing to build" in done.stderr


def test_a_failing_architecture_does_not_stop_the_others(cook: Cook) -> None:
    dockerfile = "FROM scratch\nARG TARGETARCH\nCOPY for-$TARGETARCH /\n"
    package = cook.package("app", dockerfile, {"for-amd64": b""})
    on_it = cook.package("on-it", "FROM example/app:h\nCOPY Dockerfile /\n")
    done = cook.build(package, on_it)
    assert (done.returncode, done.stdout) == (1, "")
    assert "failed for linux/arm64" in done.stderr
    assert "  example/app:h for linux/arm64\n" in done.stderr
    assert "  example/on-it:h for linux/arm64: a dependency" in done.stderr
    for name in ("example/app:h", "example/on-it:h"):
        assert cook.kitchen.image(name).config.platform.architecture == "amd64"
    (package / "for-arm64").touch()
    done = cook.build(package, on_it)
    assert done.returncode == 0, done.stderr
    assert cook.kitchen.image("example/on-it:h", ARM64).config.platform == ARM64


def test_a_single_failing_package_gets_no_list(cook: Cook) -> None:
    package = cook.package("app", "FROM scratch\nCOPY missing /\n")
    done = cook.build("--platforms", "linux/amd64", package)
    assert (done.returncode, "DM0742" in done.stderr) == (1, True)
    assert "not built" not in done.stderr


def test_a_dry_run_does_nothing(cook: Cook) -> None:
    cook.build(cook.package("fine", "FROM scratch\nCOPY Dockerfile /\n"))
    other = cook.package("other", "FROM example/fine:h\nCOPY Dockerfile /\n")
    recipe = cook.package("recipe", "")
    (recipe / "build.yml").write_text(
        "image: recipe\norg: example\ndebs: {suite: trixie, packages: [hello]}\n"
    )
    before = cook.kitchen.store.names().entries
    words = ("--dry-run", "--push", "--platforms", "linux/amd64")
    done = cook.dolmen.run(
        *("pkg", "build", "--hash", "h", "--org", "localhost:1/team"),
        *("--cache", cook.kitchen.store.root, *words, other, recipe, cook.kitchen.root / "fine"),
    )
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == [
        "localhost:1/team/fine:h for linux/amd64: build in process",
        "localhost:1/team/fine:h: push to localhost:1",
        "localhost:1/team/other:h for linux/amd64: build in process",
        "localhost:1/team/other:h: push to localhost:1",
        "localhost:1/team/recipe:h for linux/amd64: build with the newest packages",
        "localhost:1/team/recipe:h: push to localhost:1",
    ]
    done = cook.build("--dry-run", cook.kitchen.root / "fine")
    assert "example/fine:h for linux/arm64: up to date, nothing to build" in done.stdout
    assert cook.kitchen.store.names().entries == before


@pytest.mark.parametrize("switch", ["--manifest=false", "--no-manifest", "--pull=true"])
def test_boolean_options_in_gos_syntax(cook: Cook, switch: str) -> None:
    package = cook.package("app", "FROM scratch\nCOPY Dockerfile /\n")
    done = cook.dolmen.run(
        *("pkg", "build", "--hash", "h", "--cache", cook.kitchen.store.root),
        *(
            "--force=false",
            "--progress",
            "plain",
            "--precache-images",
            "--dry-run",
            switch,
            package,
        ),
    )
    assert done.returncode == 0, done.stderr
    assert cook.build("--progress", "loud", package).returncode == 2


class TestWithBuildah:
    """What programs that run for a while are needed for."""

    pytestmark = buildah

    def test_interrupted_nothing_is_left(self, cook_with_a_shell: Cook) -> None:
        cook = cook_with_a_shell
        packages = [
            cook.package(name, "FROM example/base:1\nRUN sleep 4324\n") for name in ("a", "b")
        ]
        process = cook.begin(*packages)
        # Both at once: neither needs the other.
        wait_until(lambda: len(programs_running("sleep", "4324")) == 2)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, "Traceback" in errors) == (130, False), errors
        assert not programs_running("sleep", "4324")
        assert not list((cook.kitchen.store.root / "building").iterdir())
        names = {n for e in cook.kitchen.store.names().entries for n in e.names}
        assert names
        assert all("example/base" in name for name in names)
        root = cook.kitchen.store.root / "buildah" / "root"
        left = subprocess.run(
            ("buildah", "--root", root, "containers", "-q"), capture_output=True, check=True
        )
        assert not left.stdout.split()

    def test_two_builds_of_one_package_at_once(self, cook_with_a_shell: Cook) -> None:
        cook = cook_with_a_shell
        package = cook.package("a", "FROM example/base:1\nRUN sleep 1.4325\n")
        first = cook.begin(package)
        wait_until(lambda: bool(programs_running("sleep", "1.4325")))
        second = cook.begin(package)
        said = [process.communicate(timeout=120) for process in (first, second)]
        assert (first.returncode, second.returncode) == (0, 0), said
        assert [out for out, _ in said] == ["example/a:h\n"] * 2
        assert "built in" in said[0][1]
        assert "is up to date, nothing to build" in said[1][1]

    def test_what_fails_is_shown_beside_what_goes_on(self, cook_with_a_shell: Cook) -> None:
        cook = cook_with_a_shell
        fine = cook.package("fine", "FROM example/base:1\nRUN sleep 0.5; echo is well\n")
        broken = cook.package("broken", "FROM example/base:1\nRUN echo is not well; cat /nothing\n")
        began = time.monotonic()
        done = cook.build("--platforms", str(HERE), broken, fine)
        assert time.monotonic() - began < 60
        assert (done.returncode, done.stdout) == (1, "example/fine:h\n")
        assert "Dockerfile:2:1: error[DM0743]: RUN failed" in done.stderr
        assert "No such file or directory" in done.stderr
        (log,) = (cook.kitchen.store.root / "logs").glob("*fine*")
        assert "is well" in log.read_text().splitlines()

    def test_a_terminal_shows_what_each_is_at(self, cook_with_a_shell: Cook) -> None:
        cook = cook_with_a_shell
        run = "RUN echo busy with {}; sleep 2\n"
        names = ("one", "two")
        packages = [cook.package(n, "FROM example/base:1\n" + run.format(n)) for n in names]
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))
        with subprocess.Popen(
            [sys.executable, "-m", "dolmen", *cook.words("--platforms", str(HERE), *packages)],
            env={**cook.dolmen.environment(), "TERM": "xterm"},
            stdout=subprocess.DEVNULL,
            stderr=theirs,
        ) as process:
            os.close(theirs)
            shown = b""
            # The terminal is gone when the last that has it open ends.
            with contextlib.suppress(OSError):
                while data := os.read(ours, 1 << 16):
                    shown += data
        os.close(ours)
        assert process.returncode == 0, shown
        for name in names:
            bar = re.search(
                rf"build example/{name}:h for {HERE}[^\r\n]*busy with {name}", shown.decode()
            )
            assert bar, shown
        assert b"built in" in shown
