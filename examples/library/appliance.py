"""Build an appliance in two formats, and write a report about it."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import dolmen

FORMATS = ("kernel+initrd", "tar-kernel-initrd")


@dataclass(frozen=True)
class Report:
    """What a release page says about an appliance."""

    images: dict[str, str]
    files: dict[str, str]

    def write(self, path: Path) -> None:
        """Write the report as JSON."""
        path.write_text(json.dumps({"images": self.images, "files": self.files}, indent=2) + "\n")


def show(event: dolmen.Event) -> None:
    """Print finished work and warnings to standard error."""
    match event:
        case dolmen.TaskStarted(title=title):
            sys.stderr.write(f"{title}\n")
        case dolmen.WarningEmitted(diagnostic=diagnostic):
            sys.stderr.write(f"{diagnostic.message}\n")


def build(yaml: Path, directory: Path, sources: dolmen.ImageSources) -> Report:
    """Build the appliance; a mistake in the YAML is raised with all its diagnostics."""
    checked = dolmen.validate(yaml)
    if not checked.valid:
        raise dolmen.ConfigError(checked.diagnostics)
    options = dolmen.BuildOptions(formats=FORMATS, directory=directory, sources=sources)
    plan = dolmen.plan(yaml, options, progress=show)
    result = dolmen.build(yaml, options, progress=show)
    return Report(
        images=dict(plan.images),
        files={str(output.path): output.sha256 for output in result.outputs},
    )


def main() -> int:
    """Read the command line, build, and report errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("yaml", type=Path)
    parser.add_argument("--directory", type=Path, default=Path())
    parser.add_argument("--store", type=Path)
    arguments = parser.parse_args()
    sources = dolmen.ImageSources()
    if arguments.store is not None:
        sources = dolmen.ImageSources(store=arguments.store, offline=True)
    try:
        report = build(arguments.yaml, arguments.directory, sources)
    except dolmen.DolmenError as error:
        for diagnostic in error.diagnostics:
            sys.stderr.write(f"{diagnostic.place or arguments.yaml}: {diagnostic.message}\n")
        return 1
    report.write(arguments.directory / "report.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
