#!/usr/bin/env python3
"""How long a user waits for an answer: whole processes, median of several runs.

The baseline is the Python interpreter doing nothing, run in between.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 15


def yaml_of_200_lines() -> str:
    """Return a file as users have it: services with a few fields each."""
    service = """  - name: service-{n}
    image: example/service:{n}
    command: ["/usr/bin/service", "--number", "{n}"]
    env: ["A=1", "B=2"]
    capabilities: [CAP_NET_BIND_SERVICE]
    binds: ["/etc/resolv.conf:/etc/resolv.conf"]
"""
    head = "kernel:\n  image: example/kernel:1\ninit:\n  - example/init:1\nservices:\n"
    return head + "".join(service.format(n=n) for n in range(33))


def seconds(command: list[str]) -> float:
    """Run the command once and return the time it took."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print the table."""
    with tempfile.TemporaryDirectory() as directory:
        image = Path(directory) / "image.yml"
        image.write_text(yaml_of_200_lines())
        dolmen = [str(Path(sys.executable).parent / "dolmen")]
        commands = {
            "python -c pass (baseline)": ([sys.executable, "-c", "pass"], None),
            "dolmen --help": ([*dolmen, "--help"], 0.25),
            "dolmen version": ([*dolmen, "version"], 0.25),
            "dolmen validate, 200 lines": ([*dolmen, "validate", str(image)], 0.6),
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(RUNS):
            for name, (command, _limit) in commands.items():
                times[name].append(seconds(command))
    medians = {name: statistics.median(values) for name, values in times.items()}
    base = medians["python -c pass (baseline)"]
    print("| command | median s | of the baseline | goal s | |")
    print("|---|---:|---:|---:|---|")
    for name, (_, limit) in commands.items():
        verdict = "" if limit is None else "met" if medians[name] <= limit else "missed"
        goal = "" if limit is None else f"{limit}"
        print(f"| {name} | {medians[name]:.3f} | {medians[name] / base:.1f} | {goal} | {verdict} |")


if __name__ == "__main__":
    main()
