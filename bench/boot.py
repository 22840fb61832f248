#!/usr/bin/env python3
"""Size, boot time and memory of small systems, beside those of an earlier checkout.

The systems are examples/minimal.yml and examples/nginx.yml, built with the default compression and
booted by emulation, whatever the machine could do better: so results of different machines compare.
Each checkout builds its own packages and systems with its own code. Boots of both take turns.

    bench/boot.py --base ../before     compare with another checkout
    bench/boot.py --kernel kernel/6.12-kvm    with another kernel, too; it takes an hour to compile
    bench/boot.py --only size,time     without the least memory, which takes longest
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from boot_machine import Machine, boot, least_memory
from boot_size import packed_sizes

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
# The store of the boot tests, so that Debian's archive is asked once.
HOME = CHECKOUT / "build" / "boot-tests"
WORK = HERE / "work" / "boot"
RUNS = 5
PARTS = ("size", "time", "memory")


@dataclass(frozen=True)
class Built:
    """A checkout, and the machines that it has built."""

    minimal: Machine
    nginx: Machine
    nginx_squashfs: Machine

    def machines(self) -> dict[str, Machine]:
        """Return the machines by the names of the table."""
        return {
            "`minimal` initrd": self.minimal,
            "nginx initrd": self.nginx,
            "nginx squashfs": self.nginx_squashfs,
        }


def dolmen(checkout: Path, *words: str | Path) -> None:
    """Run the command line of a checkout."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(HOME),
        "PYTHONPATH": f"{checkout}:{checkout / 'cmd'}",
    }
    done = subprocess.run(
        [sys.executable, "-m", "dolmen", *map(str, words)],
        env=environment,
        cwd=checkout,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"dolmen {words[0]} of {checkout} failed:\n{done.stderr}")


def build(checkout: Path, out: Path, kernel: Path | None = None) -> Built:
    """Build the packages and systems of a checkout, with its own kernels or another one."""
    HOME.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    more = []
    if kernel is not None:
        more.append(out / "kernel.yml")
        more[0].write_text(f'kernel:\n  image: "@pkg:{kernel}"\n')
    examples = checkout / "examples"
    texts = [(examples / f"{name}.yml").read_text() for name in ("minimal", "nginx")]
    named = {n for text in texts for n in re.findall(r'"@pkg:([^"\s]+)', text)}
    packages = sorted({(examples / name).resolve() for name in named})
    dolmen(checkout, "pkg", "build", "--platforms", "linux/amd64", *packages)
    for name, kind in (
        ("minimal", "kernel+initrd"),
        ("nginx", "kernel+initrd"),
        ("nginx", "kernel+squashfs"),
    ):
        # Without a stamp of an earlier build nothing is taken for unchanged.
        dolmen(
            checkout,
            *("build", "--arch", "amd64", "--format", kind, "--dir", out),
            *("--name", f"{name}-{kind.partition('+')[2]}", examples / f"{name}.yml", *more),
        )
    return Built(
        Machine(out, "minimal-initrd", initrd="initrd.img"),
        Machine(out, "nginx-initrd", initrd="initrd.img", page=True),
        Machine(
            out,
            "nginx-squashfs",
            initrd="squashfs-initrd.img",
            root="squashfs.img",
            page=True,
        ),
    )


class Table:
    """A Markdown table with a column for each checkout."""

    def __init__(self, columns: list[str]) -> None:
        """Begin with the heads of the columns."""
        self._compares = len(columns) > 1
        heads = ["", *columns, *(["ratio"] if self._compares else [])]
        self.lines = [f"| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 1)]

    def add(self, name: str, values: list[float], form: str) -> None:
        """Add a row; the ratio is that of the last value to the first."""
        words = [format(value, form) for value in values]
        if self._compares:
            words.append(f"{values[-1] / values[0]:.2f}" if values[0] else "")
        self.lines.append(f"| {name} | {' | '.join(words)} |")


def add_sizes(table: Table, checkouts: list[Built]) -> None:
    """Add the sizes of kernels, and of what initrds consist of."""
    for name in checkouts[0].machines():
        sizes = [c.machines()[name].loaded_bytes / 1e6 for c in checkouts]
        table.add(f"{name}, MB", sizes, ".2f")
    parts = [packed_sizes(c.minimal.path("initrd.img").read_bytes()) for c in checkouts]
    for kind in parts[0]:
        table.add(f"of `minimal`: {kind}, MB packed", [p[kind] / 1e6 for p in parts], ".2f")
    kernels = [c.minimal.path("kernel").stat().st_size / 1e6 for c in checkouts]
    table.add("kernel, MB", kernels, ".2f")


def add_times(table: Table, checkouts: list[Built], runs: int, *, counts: bool) -> None:
    """Add the medians of boots, which take turns."""
    measured: list[list[dict[str, float]]] = [[] for _ in checkouts]
    for number in range(runs):
        for made, column in zip(checkouts, measured, strict=True):
            column.append(boot(made.minimal, counts=counts).times())
            sys.stderr.write(f"boot {number + 1} of {runs}: {column[-1]}\n")
    # The time of a machine that counts instructions is the guest's own.
    whole = (
        {"guest": "`minimal`, kernel to services up, s"}
        if counts
        else {"wall": "`minimal`, QEMU start to services up, s"}
    )
    names = {
        **whole,
        "cpu": "of QEMU's processor time, s",
        "kernel": "kernel to `/init`, s",
        "init": "init: mounts, devices, modules, s",
        "onboot": "`onboot` (DHCP), s",
        "services": "services, s",
    }
    for key, name in names.items():
        medians = [statistics.median(run[key] for run in column) for column in measured]
        table.add(name, medians, ".2f")


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, help="a checkout of the state before")
    parser.add_argument(
        "--kernel", type=Path, help="a package of a kernel, for one more column with it"
    )
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument(
        "--counts",
        action="store_true",
        help="count instructions instead of time, on a machine that does something else as well",
    )
    options = parser.parse_args()
    parts = options.only.split(",")
    if not set(parts) <= set(PARTS):
        sys.exit(f"the parts are {', '.join(PARTS)}")
    folders = {"now": CHECKOUT}
    if options.base:
        folders = {"before": options.base.resolve(), **folders}
    checkouts = [build(folder, WORK / name) for name, folder in folders.items()]
    columns = list(folders)
    if options.kernel:
        kernel = options.kernel.resolve()
        columns.append(f"now, {kernel.parent.name}/{kernel.name}")
        checkouts.append(build(CHECKOUT, WORK / "kernel", kernel))
    table = Table(columns)
    if "size" in parts:
        add_sizes(table, checkouts)
    if "time" in parts:
        add_times(table, checkouts, options.runs, counts=options.counts)
    if "memory" in parts:
        for name in checkouts[0].machines():
            values = [float(least_memory(c.machines()[name])) for c in checkouts]
            table.add(f"least memory: {name}, MiB", values, ".0f")
    clock = "; the guest's seconds are 250 million instructions" if options.counts else ""
    print(f"Emulated (TCG), one processor{clock}; medians of {options.runs} boots, in turns.\n")
    print("\n".join(table.lines))


if __name__ == "__main__":
    main()
