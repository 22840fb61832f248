"""Builds the wheel: the same bytes on each machine, at any time."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from release.sources import DIST, REPOSITORY, VERSION, reproducible_environment


def build_wheel(directory: Path) -> Path:
    """Build the wheel into a directory, and return its path."""
    directory.mkdir(parents=True, exist_ok=True)
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "-t",
        "wheel",
        "-d",
        directory.resolve(),
    ]
    subprocess.run(
        command,
        cwd=REPOSITORY,
        env=reproducible_environment(),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return directory / f"dolmen-{VERSION}-py3-none-any.whl"


def main() -> None:
    """Build the wheel and print its path."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, default=DIST)
    sys.stdout.write(f"{build_wheel(parser.parse_args().directory)}\n")


if __name__ == "__main__":
    main()
