#!/usr/bin/env python3
"""Assembling a system of 31,000 entries and 600 MB: cold, after a one-line edit, and unchanged.

The baselines run in between, on the same files: isal inflating all layers (the least that anybody
must do who reads images), isal deflating the initrd (the least for whoever writes one), `cp` of the
tar, `gzip -1` of the uncompressed initrd. A build is the whole process, `dolmen build` with the
images in the store; "cold" means that no segment is there. The memory is that of the largest
process.

    bench/assemble.py [--scale 1.0] [--runs 5]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
WORK = HERE / "work"
DOLMEN = Path(sys.executable).parent / "dolmen"

INFLATE = """
import pathlib, sys
from isal import igzip_lib
for name in sys.argv[1:]:
    with open(name, "rb", buffering=0) as file:
        stream = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        data = file.read(1 << 18)
        while not stream.eof:
            stream.decompress(data, 1 << 20)
            data = file.read(1 << 18) if stream.needs_input else b""
"""
DEFLATE = """
import sys
from isal import isal_zlib
stream = isal_zlib.compressobj(1, isal_zlib.DEFLATED, -15, 9)
with open(sys.argv[1], "rb", buffering=0) as file:
    while data := file.read(1 << 19):
        stream.compress(data)
stream.flush()
"""
# Runs a command and says what it cost: wall, CPU of all processes, the largest one's memory.
MEASURE = """
import os, resource, sys, time
start = time.perf_counter()
pid = os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
_, status, _ = os.wait4(pid, 0)
wall = time.perf_counter() - start
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@dataclass
class Series:
    """What the runs of one command cost."""

    walls: list[float] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)
    mebibytes: float = 0

    @property
    def wall(self) -> float:
        """Return the median of the wall times."""
        return statistics.median(self.walls)

    @property
    def cpu(self) -> float:
        """Return the median of the CPU times."""
        return statistics.median(self.cpus)


@dataclass
class Bench:
    """The workload, and where outputs go."""

    workload: Path
    out: Path
    series: dict[str, Series] = field(default_factory=dict)

    @property
    def store(self) -> Path:
        """Return the store with the images."""
        return self.workload / "layout"

    def measure(self, name: str, command: list[str], *, before: Callable[[], None]) -> None:
        """Run a command once."""
        before()
        # Writing back what others wrote must not count here.
        os.sync()
        ran = subprocess.run(
            [sys.executable, "-c", MEASURE, *command], capture_output=True, text=True, check=False
        )
        if ran.returncode:
            sys.exit(f"{name} failed: {' '.join(command)}\n{ran.stderr}{ran.stdout}")
        wall, cpu, mebibytes = map(float, ran.stdout.split()[-3:])
        series = self.series.setdefault(name, Series())
        series.walls.append(wall)
        series.cpus.append(cpu)
        series.mebibytes = max(series.mebibytes, mebibytes)

    def build(self, form: str, yaml: str) -> list[str]:
        """Return the command that builds a format."""
        return [
            *(str(DOLMEN), "-q", "--cache", str(self.store), "build", "--offline", "--no-sbom"),
            *("--format", form, "--dir", str(self.out), "--name", "system"),
            str(self.workload / yaml),
        ]

    def cold(self) -> None:
        """Forget all segments and outputs."""
        shutil.rmtree(self.store / "segments", ignore_errors=True)
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()

    def layers(self) -> list[str]:
        """Return the blobs that are layers."""
        blobs = sorted((self.store / "blobs" / "sha256").iterdir())
        return [str(b) for b in blobs if b.open("rb").read(2) == b"\x1f\x8b"]

    def run(self) -> None:
        """Run everything once, baselines in between."""
        tar, initrd = self.out / "system.tar", self.out / "system-initrd.img"
        copy, plain = self.out / "copy", self.workload / "initrd.cpio"

        def nothing() -> None:
            pass

        inflate = [sys.executable, "-c", INFLATE, *self.layers()]
        self.measure("inflate", inflate, before=nothing)
        self.measure("tar, cold", self.build("tar", "build.yml"), before=self.cold)
        self.measure("tar, edited", self.build("tar", "build-edit.yml"), before=nothing)
        self.measure("tar, unchanged", self.build("tar", "build-edit.yml"), before=nothing)
        # Both replace a file that is there, as an edit does.
        shutil.copyfile(tar, copy)
        self.measure("cp", ["/bin/cp", str(tar), str(copy)], before=nothing)
        copy.unlink()
        self.measure("inflate", inflate, before=nothing)
        self.measure("initrd, cold", self.build("kernel+initrd", "build.yml"), before=self.cold)
        edit = self.build("kernel+initrd", "build-edit.yml")
        self.measure("initrd, edited", edit, before=nothing)
        self.measure("initrd, unchanged", edit, before=nothing)
        if not plain.exists():
            unpack(initrd, plain)
        self.measure("deflate", [sys.executable, "-c", DEFLATE, str(plain)], before=nothing)
        gzip = ["/bin/sh", "-c", 'exec gzip -1 <"$1" >"$2"', "sh", str(plain), str(copy)]
        self.measure("gzip -1", gzip, before=nothing)
        copy.unlink()


def unpack(initrd: Path, plain: Path) -> None:
    """Write the archive that is in an initrd."""
    with initrd.open("rb") as source, plain.open("wb") as target:
        stream = zlib.decompressobj(31)
        while data := source.read(1 << 20):
            target.write(stream.decompress(data))


def table(bench: Bench) -> str:
    """Return the figures with their goals, as Markdown."""
    s = bench.series
    inflate, cold = s["inflate"].cpu, s["initrd, cold"].wall
    cells = {
        "inflate": ("", ""),
        "deflate": (f"{s['deflate'].cpu / inflate:.2f} CPU of inflate", ""),
        "cp": ("", ""),
        "gzip -1": ("", ""),
        "tar, cold": (f"{s['tar, cold'].cpu / inflate:.2f} CPU of inflate", "2.5 (aim 1.8)"),
        "tar, edited": (f"{s['tar, edited'].wall / s['cp'].wall:.2f} wall of cp", "1.3"),
        "tar, unchanged": ("", "0.25 s"),
        "initrd, cold": (
            " ".join(
                f"{s['initrd, cold'].cpu / one.cpu:.2f} CPU of {name}"
                for name, one in (("inflate,", s["inflate"]), ("gzip -1", s["gzip -1"]))
            ),
            "3.5 of inflate (aim 2.6)",
        ),
        "initrd, edited": (f"{s['initrd, edited'].wall / cold:.2f} wall of cold", "0.25, 1 s"),
        "initrd, unchanged": ("", "0.25 s"),
    }
    lines = ["| | wall s | CPU s | MiB | ratio | goal |", "|---|---|---|---|---|---|"]
    for name, (ratio, goal) in cells.items():
        one = s[name]
        memory = f"{one.mebibytes:.0f}" if goal else ""
        lines.append(f"| {name} | {one.wall:.2f} | {one.cpu:.2f} | {memory} | {ratio} | {goal} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, action="append")
    parser.add_argument("--runs", type=int, default=5)
    chosen = parser.parse_args()
    for scale in chosen.scale or [1.0, 0.1]:
        workload = WORK / ("images" if scale == 1.0 else f"images-{scale}")
        if not (workload / "expect.json").exists():
            sys.stderr.write(f"making the workload of scale {scale}\n")
            maker = [sys.executable, HERE / "make_workload.py", workload, "--scale", str(scale)]
            subprocess.run(maker, check=True, stdout=sys.stderr)
        bench = Bench(workload, WORK / "out")
        shutil.rmtree(bench.out, ignore_errors=True)
        bench.out.mkdir(parents=True)
        started = time.perf_counter()
        for run in range(chosen.runs):
            bench.run()
            took = time.perf_counter() - started
            sys.stderr.write(f"scale {scale}, run {run + 1} of {chosen.runs}, {took:.0f} s\n")
        print(f"Scale {scale}, median of {chosen.runs} runs; goals at scale 1, memory always 64.\n")
        print(table(bench) + "\n")
        shutil.rmtree(bench.out)


if __name__ == "__main__":
    main()
