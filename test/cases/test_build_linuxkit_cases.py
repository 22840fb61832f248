"""A user of LinuxKit builds an unchanged YAML: the same system comes out, or docs say why not.

The cases in test/conformance were recorded from LinuxKit. What is compared is what there is after
unpacking. Every difference must be of a kind that docs/linuxkit.md explains, and the case must be
listed there.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest

CONFORMANCE = Path(__file__).parent.parent / "conformance"
CASES = sorted(p.parent for p in CONFORMANCE.glob("open/*/cmd.json"))
DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "linuxkit.md"
COMPARE = {"mtime": False, "pax": False, "unordered": True, "last": True}

_TREE = r"(?:containers/(?:\w+)/[^/]+/(?:lower|rootfs)/)?"
# The corrections, as the comparison prints them: the sign, the path, and the rest of the line.
KINDS = {
    "hard links in an initrd are kept": (
        r"! \S+ (type: want 'symlink' got 'file'|linkname: want '\S+' got None"
        r"|content: want None .*|[ug]id: want \d+ got \d+)"
    ),
    "missing parent directories are created": (rf"\+ (?:{_TREE}|containers/)\S+: extra \(dir\)"),
    "a hard link keeps the content of its original target": (
        rf"! {_TREE}(?:hl/\w+|three) (type|linkname|content|mode): want .*"
    ),
    "whiteouts": (
        rf"[-+!] {_TREE}(?:b text: .*|(?:e/x|opq/old2|p/q/r|p/q/r/s|wh-then-add|d/sub): .*)"
    ),
    "the image's own modes and names": (
        rf"[-+!] {_TREE}(?:(?:dev|etc) (?:mode: want '0755' got '07[05]0'|[ug]id: want 0 got \d+)"
        rf"|\.: missing \(dir\)|/?abs/olute: .*)"
        r"|\+ containers/\w+/[^/]+/lower: extra \(dir\)|\+ (?:abs/olute): extra \(file\)"
    ),
    "directories of images keep their modes": (
        r"! (?:etc|tmp|var|root|usr)(?:/\S+)?"
        r" (?:mode: want '\d+' got '(?:0755|1777|0700)'|[ug]id: want [1-9]\d* got 0)"
    ),
    "labels are complete": (
        r"! containers/\S+/config\.json /linux/(?:[ug]idMappings|resources)\S*: .*"
    ),
}


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
def test_a_recorded_case_gives_the_same_system(
    case: Path, compare: ModuleType, conformance_layout: Path
) -> None:
    command = f"{shlex.quote(sys.executable)} -m dolmen build {{opts}}"
    differences = compare.run_case(str(case), command, str(conformance_layout), COMPARE)
    told = listed()
    if case.name in told["alone"]:
        assert differences, "listed as different, and is not"
        return
    unexplained = [
        line
        for line in differences
        if not any(re.fullmatch(KINDS[kind], line) for kind in KINDS if case.name in told[kind])
    ]
    assert not unexplained
    for kind, pattern in KINDS.items():
        if case.name in told[kind]:
            assert any(re.fullmatch(pattern, d) for d in differences), f"not different: {kind}"


def listed() -> dict[str, set[str]]:
    """Return the cases that the document names: those of a kind of difference, and those alone."""
    text = DOCUMENT.read_text("utf-8").partition("### Recorded cases")[2].partition("\n## ")[0]
    told: dict[str, set[str]] = {kind: set() for kind in KINDS} | {"alone": set()}
    for line in text.splitlines():
        if line.startswith("| "):
            head, rest = line.strip("| ").split(" | ", 1)
            cases = set(re.findall(r"\d{3}-[\w-]+", line))
            told[head if head in KINDS else "alone"] |= cases
            assert rest
    return told


def test_every_listed_case_exists() -> None:
    names = {case.name for case in CASES}
    told = listed()
    assert all(told.values())
    assert {case for cases in told.values() for case in cases} <= names
