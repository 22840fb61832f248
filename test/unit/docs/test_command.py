"""The check runs as a command, with what the application knows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from checks.known import from_application
from checks.paths import FOLDERS
from checks.tree import PACKAGES

ROOT = Path(__file__).parents[3]


def run(tree: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "docs" / "check.py", tree]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_findings_are_printed_and_fail(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("`dolmen build --offline`, `dolmen build --gone`\n")
    result = run(tmp_path)
    assert result.stdout == "README.md:1:41: `dolmen build` has no option --gone\n"
    assert (result.returncode, result.stderr) == (1, "1 findings in documents and texts\n")


def test_a_tree_without_mistakes_passes(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("`dolmen build --offline`, DM0124\n")
    result = run(tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_the_application_tells_its_commands_and_codes() -> None:
    known = from_application()
    run = known.program.children["run"]
    assert known.program.options["--cache"]
    assert run.default == "qemu"
    assert "--mem" in run.children["qemu"].options
    assert known.program.children["ssh"].is_open
    assert "DM0124" in known.codes


def test_the_folders_that_are_checked_exist() -> None:
    assert [f for f in (*FOLDERS, *PACKAGES.values()) if not (ROOT / f).is_dir()] == []
