"""Mutation testing finds the tests of a module, and tells changes that they notice from others."""

from __future__ import annotations

import os
import sys
import textwrap
from pathlib import Path

import pytest

import mutation
from mutation import Baseline, Copy, Mutant

CODE = """\
def clamp(number: int) -> int:
    if (
        number
        > 9
    ):
        return 9
    while number < 0:
        number += 1
    return number


def idle() -> int:
    return 3
"""
TESTS = """\
from assembler.clamping import clamp


def test_clamp() -> None:
    assert (clamp(10), clamp(5), clamp(-2)) == (9, 5, 0)
"""
PATH = "assembler/clamping.py"


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    source = tmp_path / "source"
    for path, text in (
        ("assembler/__init__.py", ""),
        (PATH, CODE),
        ("test/unit/test_clamping.py", TESTS),
        ("pyproject.toml", '[tool.coverage.run]\ndata_file = ".coverage/data"\nparallel = true\n'),
    ):
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(text)
    names = [file.relative_to(source).as_posix() for file in source.rglob("*")]
    return Copy(tmp_path / "copy", Path(sys.executable), names, source)


def changed(line: int, old: str, new: str) -> Mutant:
    assert CODE.count(old) == 1
    return Mutant(PATH, line, "", CODE.replace(old, new))


@pytest.mark.slow
def test_changes_are_killed_or_survive(copy: Copy) -> None:
    tests = mutation.tests_of(copy.folder, PATH)
    before = mutation.baseline(copy, tests)
    killed, survivor = changed(4, "> 9", "> 4"), changed(4, "> 9", ">= 9")
    endless, not_run = changed(8, "+= 1", "+= 0"), changed(13, "3", "4")

    assert [mutation.runs(before, m, CODE) for m in (killed, survivor, not_run)] == [1, 1, 0]
    assert mutation.outcome(copy, killed, CODE, tests, 30) == mutation.KILLED
    assert mutation.outcome(copy, survivor, CODE, tests, 30) == mutation.SURVIVED
    assert mutation.outcome(copy, endless, CODE, tests, 3) == mutation.TIMED_OUT
    assert (copy.folder / PATH).read_text() == CODE


@pytest.mark.slow
def test_tests_that_fail_without_a_change_are_refused(copy: Copy) -> None:
    copy.write(PATH, CODE.replace("> 9", "> 4"))
    with pytest.raises(SystemExit, match="fail without any change"):
        mutation.baseline(copy, mutation.tests_of(copy.folder, PATH))


def test_programs_that_tests_start_import_from_the_copy(copy: Copy) -> None:
    code = """
        import subprocess, sys
        shown = "import assembler.clamping as c; print(c.__file__)"
        subprocess.run([sys.executable, "-c", shown], env={}, cwd="/", check=True)
    """
    status, output = copy.run("-c", textwrap.dedent(code))
    assert (status, output.strip()) == (0, str(copy.folder / PATH))


def test_a_change_in_the_same_second_is_not_hidden_by_bytecode(copy: Copy) -> None:
    show = ("-c", "from assembler.clamping import idle; print(idle())")
    assert copy.run(*show) == (0, "3\n")
    time = (copy.folder / PATH).stat().st_mtime
    copy.write(PATH, CODE.replace("return 3", "return 4"))
    os.utime(copy.folder / PATH, (time, time))
    assert copy.run(*show) == (0, "4\n")


def test_the_tests_of_a_module_are_those_of_its_stage_and_those_that_import_it(
    tmp_path: Path,
) -> None:
    for path, text in {
        "store/test_names.py": "",
        "store/deep/test_x.py": "from assembler.oci.store.names import Names",
        "layers/test_reading.py": "from assembler.oci.store import blobs, names",
        "test_other.py": "from assembler.oci.store.namesakes import x\nimport assembler.oci.names",
        "test_whole.py": "import assembler.oci.store.names as n",
    }.items():
        target = tmp_path / "test/unit" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    assert mutation.tests_of(tmp_path, "assembler/oci/store/names.py") == (
        "test/unit/store",
        "test/unit/layers/test_reading.py",
        "test/unit/test_whole.py",
    )
    assert mutation.tests_of(tmp_path, "assembler/oci/push.py") == ()


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ("def f(x: int | None): ...", "def f(x: int % None): ...", False),
        ("x: a | b = 1", "x: a & b = 1", False),
        ("@dataclass(slots=True)\nclass A: ...", "@dataclass(slots=False)\nclass A: ...", False),
        ("@dataclass(eq=True)\nclass A: ...", "@dataclass(eq=False)\nclass A: ...", True),
        ("x = 1  # one", "x = 1", False),
        ("x = 1", "x = ", False),
        ("x: int = 1", "x: int = 2", True),
        ("def f(x=1): ...", "def f(x=2): ...", True),
    ],
)
def test_equivalent_code_is_no_mutation(before: str, after: str, *, changes: bool) -> None:
    assert mutation.is_change(before, after) is changes


@pytest.mark.parametrize(
    ("line", "ran", "expected"),
    [(4, {2}, True), (4, {1}, False), (13, {12}, False), (13, {13}, True), (6, {2}, False)],
)
def test_a_statement_of_several_lines_runs_as_its_first(
    line: int, ran: set[int], *, expected: bool
) -> None:
    mutant = Mutant(PATH, line, "", CODE)
    assert mutation.runs(Baseline(1.0, {PATH: ran}), mutant, CODE) is expected
