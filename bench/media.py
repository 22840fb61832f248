#!/usr/bin/env python3
"""Writing disks and ISO volumes from a finished plan, against `cp` of their kernel and initrd.

Each format is written by a process of its own, in turn with `cp` of the kernel and the initrd, on
the same filesystem; the time starts when the initrd's segments exist. Boot loaders and kernel are
stand-ins of the real sizes. The content of the system is incompressible, like most of real systems.

    bench/media.py [--mib 512] [--runs 3]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "test"))
FORMATS = (
    *("raw-bios", "raw-efi", "raw", "uki", "qcow2-bios", "qcow2-efi", "vhd", "dynamic-vhd"),
    *("aws", "azure", "iso-bios", "iso-efi", "iso-efi-initrd", "iso", "kernel+iso"),
    # These compress.
    *("vmdk", "gcp"),
)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mib", type=int, default=512)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--write", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write:
        write(Path(arguments.write[0]), arguments.write[1])
        return
    (HERE / "work").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HERE / "work") as scratch:
        folder = Path(scratch)
        fill(folder, arguments.mib)
        run(folder, "kernel+initrd")
        walls: dict[str, list[float]] = {}
        copying: dict[str, list[float]] = {}
        memory: dict[str, float] = {}
        for _ in range(arguments.runs):
            for name in FORMATS:
                copying.setdefault(name, []).append(copy(folder))
                wall, mebibytes = run(folder, name)
                walls.setdefault(name, []).append(wall)
                memory[name] = max(memory.get(name, 0), mebibytes)
                sys.stderr.write(f"{name}: {wall:.2f} s, cp {copying[name][-1]:.2f} s\n")
    print(f"{arguments.mib} MiB, median of {arguments.runs} runs; goals: 1.5 times cp, 64 MiB.\n")
    print("| | wall s | of cp | peak RSS MiB |\n|---|---:|---:|---:|")
    for name in FORMATS:
        wall = statistics.median(walls[name])
        ratio = statistics.median(w / c for w, c in zip(walls[name], copying[name], strict=True))
        print(f"| {name} | {wall:.2f} | {ratio:.2f} | {memory[name]:.0f} |")


def fill(folder: Path, mebibytes: int) -> None:
    """Make a store with a system of this size."""
    from assembler.oci import Store  # noqa: PLC0415 - of this project, by its path
    from support.archives import E, image  # noqa: PLC0415
    from support.loaders import KERNEL, add_loaders  # noqa: PLC0415

    store = Store(folder / "store")
    add_loaders(store)
    chance = random.Random(1)
    for number in range(mebibytes // 64):
        files = [E(f"{number}/{n}", chance.randbytes(1 << 20)) for n in range(64)]
        image(store, f"made/noise:{number}", tuple(files))
    (folder / "out").mkdir()
    names = ", ".join(f'"made/noise:{n}"' for n in range(mebibytes // 64))
    (folder / "image.yml").write_text(
        f'kernel: {{image: "{KERNEL}", tar: none, cmdline: "console=ttyS0"}}\ninit: [{names}]\n'
    )


def write(folder: Path, name: str) -> None:
    """Write one format in this process, and print its wall time and memory."""
    from assembler.build import (  # noqa: PLC0415
        BuildOptions,
        prepare,
        read_inputs,
    )
    from assembler.encode import Assembly  # noqa: PLC0415
    from assembler.events import NullReporter  # noqa: PLC0415
    from assembler.formats import (  # noqa: PLC0415
        FormatOptions,
        Target,
        select_formats,
        write_formats,
    )
    from assembler.oci import ImageSources  # noqa: PLC0415
    from support.loaders import BOOTLOADERS  # noqa: PLC0415

    options = BuildOptions(
        architecture="amd64",
        sources=ImageSources(store=folder / "store", offline=True),
        sbom=None,
        helper_images={"bootloaders": BOOTLOADERS},
    )
    formats = select_formats([name])
    inputs = read_inputs([str(folder / "image.yml")])
    prepared = prepare(inputs, options, formats, NullReporter())
    with Assembly(prepared.plan, options.sources.open_store()) as assembly:
        assembly.prepare(tree=any(f.needs.tree for f in formats), initrd=True, boot=True)
        assembly.initrd()
        start = time.perf_counter()
        target = Target(folder / "out", "image")
        write_formats(assembly, formats, target, FormatOptions(helpers=prepared.helpers))
        wall = time.perf_counter() - start
    memory = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
    print(json.dumps([wall, int(memory) / 1024]))


def run(folder: Path, name: str) -> tuple[float, float]:
    """Write one format; return its wall time and memory."""
    for path in (folder / "out").iterdir():
        if not path.name.endswith(("-kernel", "-initrd.img", "-cmdline")):
            path.unlink()
    done = subprocess.run(
        [sys.executable, __file__, "--write", folder, name],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={"PYTHONPATH": f"{HERE.parent / 'test'}:{HERE.parent}"},
    )
    wall, memory = json.loads(done.stdout)
    return wall, memory


def copy(folder: Path) -> float:
    """Copy the kernel and the initrd; return the wall time."""
    script = """
import subprocess, sys, time
start = time.perf_counter()
subprocess.run(["cp", *sys.argv[1:]], check=True)
print(time.perf_counter() - start)
"""
    (folder / "copy").mkdir(exist_ok=True)
    files = [folder / "out" / f"image-{part}" for part in ("kernel", "initrd.img")]
    for path in (folder / "copy").iterdir():
        path.unlink()
    done = subprocess.run(
        [sys.executable, "-c", script, *files, folder / "copy"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout)


if __name__ == "__main__":
    main()
