"""The build hook: notes when each package of the catalogue was changed, since a wheel has no git.

The time of a package is that of the programs in its image, which has the same bytes wherever it is
built.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_FOLDERS = ("pkg", "kernel")
# In an archive of the sources, which has no git, either.
_KEPT = "catalog-times.json"


class CatalogTimes(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the file of times to a wheel, and to an archive of the sources."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the file, and have it included."""
        if version == "editable":
            return
        self._scratch = tempfile.TemporaryDirectory()
        file = Path(self._scratch.name) / _KEPT
        kept = Path(self.root) / _KEPT
        times = json.loads(kept.read_text()) if kept.is_file() else _times(Path(self.root))
        file.write_text(json.dumps(times, indent=1, sort_keys=True) + "\n")
        file.chmod(0o644)
        target = "assembler/_catalog/times.json" if self.target_name == "wheel" else _KEPT
        build_data["force_include"][str(file)] = target

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove the file."""
        if version != "editable":
            self._scratch.cleanup()


def _times(root: Path) -> dict[str, int]:
    """Return the time of the last commit that changed each package; nothing without git."""
    times = {}
    for build_file in sorted(p for folder in _FOLDERS for p in root.glob(f"{folder}/*/build.yml")):
        name = build_file.parent.relative_to(root).as_posix()
        command = ["git", "-C", str(root), "log", "-1", "--format=%ct", "HEAD", "--", name]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return {}
        if done.stdout.strip():
            times[name] = int(done.stdout)
    return times
