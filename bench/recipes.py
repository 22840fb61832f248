#!/usr/bin/env python3
"""Images made of Debian packages: runc, and a toolchain of half a gigabyte, cold and warm.

The packages come from the archives of this machine's apt. Warm, they and the lists of archives are
in the store, as at every build but the first; cold, the store is empty, and the network counts. The
baseline is dpkg-deb unpacking the same packages to nowhere, one after the other. The memory is the
largest of any process, apt's included.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
WORK = HERE / "work"
RUNS = 2
COLD_RUNS = 1
GOAL_MIB = 150


@dataclass(frozen=True)
class Case:
    """A recipe, and what it may take when everything is there."""

    name: str
    packages: str
    goal: float


CASES = (
    Case("runc", "runc", 3.0),
    Case("toolchain", "gcc, libc6-dev, musl-tools, golang", 12.0),
)


@dataclass(frozen=True)
class Run:
    """What a command took."""

    wall: float
    cpu: float
    mib: float


def measured(command: list[str], **environment: str) -> Run:
    """Run a command to its end."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
    )
    assert process.stderr is not None
    said = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command[0]} failed: {said}")
    wall = time.perf_counter() - start
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def best(runs: list[Run]) -> Run:
    """Return the shortest times, as others at work only add to them, and the largest memory."""
    wall, cpu = min(run.wall for run in runs), min(run.cpu for run in runs)
    return Run(wall, cpu, max(run.mib for run in runs))


def main() -> None:
    """Measure and print the table."""
    unpack = shutil.which("dpkg-deb")
    if unpack is None:
        sys.exit("dpkg-deb is not installed; the benchmark needs it")
    dolmen = str(Path(sys.executable).parent / "dolmen")
    engines = ["apt"] if shutil.which("apt-get") else []
    load = os.getloadavg()[1]
    print(
        f"Best of {RUNS} runs, at a load of {load:.0f} on {os.cpu_count()} cores; the goals are "
        "for a machine that does nothing else.\n"
    )
    print("| | wall s | CPU s | ratio of CPU | MiB | goals | |")
    print("|---|---:|---:|---:|---:|---|---|")
    WORK.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK) as directory:
        for case in CASES:
            package = Path(directory) / case.name
            package.mkdir()
            (package / "build.yml").write_text(
                f"image: {case.name}\narches: [amd64]\n"
                f"debs: {{suite: trixie, packages: [{case.packages}]}}\n"
            )
            baseline: list[Run] = []
            cold: dict[str, list[Run]] = {}
            warm: dict[str, list[Run]] = {}
            for engine in (*engines, "python"):
                sys.stderr.write(f"{case.name} with {engine}\n")
                store = Path(directory) / f"store-{engine}"
                words = ["-q", "--cache", str(store), "pkg", "build", "--force"]
                command = [dolmen, *words, "--hash", "h", str(package)]
                chosen = {"DOLMEN_RECIPE_ENGINE": engine}
                for _ in range(COLD_RUNS):
                    shutil.rmtree(store, ignore_errors=True)
                    cold.setdefault(engine, []).append(measured(command, **chosen))
                debs = sorted(map(str, (store / "debs" / "pool").glob("*.deb")))
                script = f'for deb; do {unpack} --fsys-tarfile "$deb"; done > /dev/null'
                for _ in range(RUNS):
                    baseline.append(measured(["sh", "-ec", script, "sh", *debs]))
                    warm.setdefault(engine, []).append(measured(command, **chosen))
            show(case, best(baseline), cold, warm)


def show(case: Case, baseline: Run, cold: dict[str, list[Run]], warm: dict[str, list[Run]]) -> None:
    """Print the rows of a recipe."""
    print(
        f"| dpkg-deb, the packages of {case.name} (baseline) | {baseline.wall:.2f} "
        f"| {baseline.cpu:.2f} | 1.0 | {baseline.mib:.0f} | | |"
    )
    for engine, runs in warm.items():
        run = best(runs)
        met = "met" if run.wall <= case.goal else "met in CPU time"
        if run.cpu > case.goal or run.mib > GOAL_MIB:
            met = "missed"
        print(
            f"| {case.name}, warm, {engine} | {run.wall:.2f} | {run.cpu:.2f} "
            f"| {run.cpu / baseline.cpu:.1f} | {run.mib:.0f} "
            f"| {case.goal:.0f} s, {GOAL_MIB} MiB | {met} |"
        )
        first = best(cold[engine])
        print(
            f"| {case.name}, cold, {engine} | {first.wall:.2f} | {first.cpu:.2f} "
            f"| {first.cpu / baseline.cpu:.1f} | {first.mib:.0f} | | |"
        )


if __name__ == "__main__":
    main()
