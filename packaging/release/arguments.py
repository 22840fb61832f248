"""The command lines of the programs that build for several architectures."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from release.environment import PLATFORMS
from release.sources import DIST


@dataclass(frozen=True, slots=True)
class ReleaseArguments:
    """The directory to write to, and the named architectures."""

    directory: Path
    architectures: tuple[str, ...]


def parse_arguments(description: str | None, default: str) -> ReleaseArguments:
    """Parse the arguments of the process; `default` describes what no architecture means."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--directory", type=Path, default=DIST)
    parser.add_argument(
        "--architecture",
        action="append",
        default=[],
        choices=sorted(PLATFORMS),
        help=f"may be repeated; default: {default}",
    )
    arguments = parser.parse_args()
    return ReleaseArguments(arguments.directory, tuple(arguments.architecture))
