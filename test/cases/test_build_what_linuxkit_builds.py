"""A user of LinuxKit builds an unchanged YAML: the same system comes out, or docs say why not.

The cases in test/conformance were recorded from LinuxKit. What is compared is what there is after
unpacking. A case may differ only if LinuxKit's own behaviour in it is odd, and if docs/linuxkit.md
names the case and says what Dolmen does instead.
"""

from __future__ import annotations

import importlib.util
import json
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest

CONFORMANCE = Path(__file__).parent.parent / "conformance"
CASES = sorted(p.parent for p in CONFORMANCE.glob("open/*/cmd.json"))
DIFFERENCES = Path(__file__).parent.parent.parent / "docs" / "linuxkit.md"
COMPARE = {"mtime": False, "pax": False, "unordered": True, "last": True}


@pytest.fixture(scope="module")
def compare() -> ModuleType:
    """Give the comparing script as a module."""
    spec = importlib.util.spec_from_file_location("compare", CONFORMANCE / "compare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda p: p.name)
def test_the_same_system_comes_out(
    case: Path, compare: ModuleType, conformance_layout: Path
) -> None:
    command = f"{shlex.quote(sys.executable)} -m dolmen build {{opts}}"
    differences = compare.run_case(str(case), command, str(conformance_layout), COMPARE)
    if not differences:
        return
    told = "\n".join(differences[:30])
    assert "reference_oddity" in json.loads((case / "cmd.json").read_text()), told
    assert case.name in DIFFERENCES.read_text(), f"not listed in {DIFFERENCES.name}:\n{told}"


def test_every_case_named_in_the_list_of_differences_exists() -> None:
    names = {case.name for case in CASES}
    listed = {
        word.strip("`,.;:()") for word in DIFFERENCES.read_text().split() if word[1:4].isdigit()
    }
    assert {w for w in listed if "-" in w} <= names
