#!/usr/bin/env python3
"""Run every benchmark and keep what they print in bench/results.md.

Each benchmark is a script that prints a Markdown table of its figures, measured against a baseline
in the same run, and says on standard error what it is doing.

    bench/run.py             all of them
    bench/run.py startup     one of them; the other tables of results.md stay as they are
    bench/run.py boot --base DIR
                             boots, which are measured only by this name, with options
"""

from __future__ import annotations

import compileall
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results.md"
BENCHMARKS = ("startup", "pull", "flatten", "assemble", "media", "recipes")
# Measured only by its name, since it takes long: it builds packages and boots machines.
OWN = ("boot",)
# Entered by hand: it depends on the network, and needs fresh hosts.
KEPT = ("first",)
INTRODUCTION = """# Results

Measured by `make bench`. Wall times depend on the machine and on what else it does; ratios to a
baseline that ran in between, on the same machine, are what counts.
"""


def main(chosen: list[str]) -> int:
    """Run the benchmarks, with the options of one that is run by its name; write their tables."""
    options: list[str] = []
    if chosen and chosen[0] in OWN:
        chosen, options = chosen[:1], chosen[1:]
    unknown = set(chosen) - {*BENCHMARKS, *OWN}
    if unknown:
        sys.stderr.write(f"no such benchmark: {', '.join(sorted(unknown))}\n")
        return 2
    tables = read_tables()
    # As an installation does; where Python may write no bytecode, each start would compile all.
    for folder in ("assembler", "cmd"):
        compileall.compile_dir(HERE.parent / folder, quiet=2)
    for name in chosen or BENCHMARKS:
        sys.stderr.write(f"== {name}\n")
        ran = subprocess.run(
            [sys.executable, HERE / f"{name}.py", *options],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if ran.returncode:
            return ran.returncode
        tables[name] = ran.stdout.strip()
        sys.stdout.write(tables[name] + "\n\n")
    RESULTS.write_text(
        INTRODUCTION
        + f"\nMachine: {os.cpu_count()} cores, Linux {platform.machine()}, "
        + f"Python {platform.python_version()}.\n"
        + "".join(
            f"\n## {name}\n\n{tables[name]}\n"
            for name in (*BENCHMARKS, *OWN, *KEPT)
            if name in tables
        )
    )
    return 0


def read_tables() -> dict[str, str]:
    """Return the tables that are in results.md already."""
    if not RESULTS.exists():
        return {}
    parts = re.split(r"^## (\w+)$", RESULTS.read_text(), flags=re.MULTILINE)
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
