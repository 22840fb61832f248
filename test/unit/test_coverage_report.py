"""The report on coverage adds up what ran, names the least covered modules, and has a limit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import coverage_report

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def report(tmp_path: Path) -> Path:
    modules = {
        "assembler/oci/store/image_store.py": (100, 90),
        "assembler/oci/image_pull.py": (100, 50),
        "assembler/files.py": (10, 10),
        "assembler/sbom/__init__.py": (0, 0),
        "cmd/dolmen/app.py": (40, 0),
    }
    figures = {
        name: {"summary": {"num_statements": present, "covered_lines": covered}}
        for name, (present, covered) in modules.items()
    }
    path = tmp_path / "report.json"
    path.write_text(json.dumps({"files": figures}))
    return path


def test_figures_for_folders_and_modules_are_printed(
    report: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coverage_report, "LEAST", 2)
    assert coverage_report.main([str(report), "71.4"]) == 0
    assert capsys.readouterr().out == (
        "Lines that ran, by folder:\n"
        "  100.0 %      0 missing  assembler/\n"
        "   70.0 %     60 missing  assembler/oci/\n"
        "  100.0 %      0 missing  assembler/sbom/\n"
        "    0.0 %     40 missing  cmd/dolmen/\n"
        "The 2 modules that are covered least:\n"
        "    0.0 %     40 missing  cmd/dolmen/app.py\n"
        "   50.0 %     50 missing  assembler/oci/image_pull.py\n"
        "Together:\n"
        "   71.4 %     60 missing  assembler\n"
        "    0.0 %     40 missing  cmd\n"
    )


def test_too_little_of_the_library_fails(report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert coverage_report.main([str(report), "71.5"]) == 1
    assert capsys.readouterr().err == "less than 71.5 % of assembler ran\n"
