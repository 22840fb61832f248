"""The rounds of faults notice products that break an invariant."""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING

import pytest

from faults import invariants, processes
from faults.bench import PROGRAM, Bench, injected
from faults.invariants import Result
from faults.kind import Outcome, Round, Verdict
from faults.kinds import KINDS
from faults.material import Material, make_material
from faults.runner import RunOptions, drawn_rounds, run_round, table
from faults.scenarios import EXPORT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A program that does what `dolmen` does, and something wrong besides.
BROKEN = r"""
import os, pathlib, subprocess, sys, time
fault, words = sys.argv[1], sys.argv[2:]
store = pathlib.Path(words[1])
out = store.parent / "out"
if fault == "hangs":
    time.sleep(60)
if fault == "traceback":
    raise KeyError("x")
if fault == "status":
    sys.exit(7)
if fault == "silent":
    sys.exit(1)
if fault == "nothing made":
    sys.exit(0)
status = subprocess.run([sys.executable, "-m", "dolmen", *words]).returncode
if fault == "part file":
    (out / ".oci.tar.0123.part").write_bytes(b"x")
elif fault == "wrong bytes":
    with (out / "oci.tar").open("r+b") as file:
        file.write(b"wrong")
elif fault == "temporary file":
    (pathlib.Path(os.environ["TMPDIR"]) / "left").touch()
elif fault == "part of a blob":
    (store / "tmp").mkdir(exist_ok=True)
    (store / "tmp" / "left.new").touch()
elif fault == "control character":
    sys.stderr.write("an odd \x1b]0;name\x07\n")
elif fault == "process":
    subprocess.Popen(["sleep", "50"], start_new_session=True)
elif fault == "file outside":
    (store.parent / "home" / "made").touch()
elif fault == "file beside":
    (store.parent / "beside").touch()
sys.exit(status)
"""
SAID = {
    "hangs": "it hangs",
    "traceback": "Traceback",
    "status": "exit status 7",
    "silent": "exit status 1 without a diagnostic",
    "nothing made": "output oci.tar is missing",
    "part file": "left over: output .oci.tar.0123.part",
    "wrong bytes": "wrong output: oci.tar",
    "temporary file": "left over: tmp/left",
    "part of a blob": "left over in the store: tmp/left.new",
    "control character": "a control character is printed",
    "process": "a process is left: sleep 50",
    "file outside": "a file outside is made",
    "file beside": "a file outside is made: beside",
}


class Undisturbed:
    """A round without a fault."""

    name = "undisturbed"

    def run(self, bench: Bench) -> Outcome:
        bench.reference(EXPORT)
        bench.begin(EXPORT)
        ended = bench.command(EXPORT)
        bench.judge(EXPORT, whole=ended.status == 0)
        bench.complain(invariants.left_in_store(bench.store))
        bench.complain(invariants.left_in(bench.temporary))
        return Outcome.RIGHT


class Recovered(Undisturbed):
    """A round without a fault, after which everything is checked."""

    def run(self, bench: Bench) -> Outcome:
        outcome = super().run(bench)
        bench.recover(EXPORT)
        return outcome


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return make_material(tmp_path_factory.mktemp("faults") / "material")


@pytest.fixture
def orphans() -> Iterator[None]:
    """Become the parent of orphans for the time of a test."""
    processes.adopt_orphans()
    yield
    processes.adopt_orphans(on=False)


def judged(
    kind: Undisturbed, material: Material, place: Path, program: tuple[str, ...], limit: float
) -> Verdict:
    return run_round(kind, Round(kind.name, 1), material, place, RunOptions(1, program, limit))


@pytest.mark.slow
@pytest.mark.parametrize("fault", SAID)
@pytest.mark.usefixtures("orphans")
def test_a_product_that_breaks_an_invariant(fault: str, material: Material, tmp_path: Path) -> None:
    script = tmp_path / "broken.py"
    script.write_text(BROKEN)
    program = (sys.executable, str(script), fault)
    limit = 1.0 if fault == "hangs" else 20.0
    verdict = judged(Undisturbed(), material, tmp_path / "round", program, limit)
    assert verdict.outcome is None
    assert any(SAID[fault] in problem for problem in verdict.problems), verdict.problems
    assert not any("the harness fails" in problem for problem in verdict.problems)


@pytest.mark.slow
@pytest.mark.usefixtures("orphans")
def test_a_product_that_keeps_them(material: Material, tmp_path: Path) -> None:
    verdict = judged(Recovered(), material, tmp_path / "round", PROGRAM, 60.0)
    assert verdict.problems == ()
    assert verdict.outcome is Outcome.RIGHT


@pytest.mark.slow
@pytest.mark.usefixtures("orphans")
def test_signals_and_errors_reach_the_command(material: Material, tmp_path: Path) -> None:
    bench = Bench(material, tmp_path / "round", random.Random(1))
    killed = bench.run(("version",), before=injected("openat", "signal=SIGKILL:when=20"))
    assert killed.status == -9
    bench.begin(EXPORT)
    refused = bench.command(EXPORT, before=injected("fsync", "error=ENOSPC:when=1+"))
    assert refused.status == 1
    assert "No space left" in refused.said or "full" in refused.said


def test_images_that_are_not_the_reference() -> None:
    reference = Result({}, {"a:1": "sha256:1", "b:1": "sha256:2"})
    found = Result({}, {"a:1": "sha256:3", "c:1": "sha256:4"})
    assert list(invariants.of_result(found, reference, whole=False)) == [
        "wrong image: a:1 is sha256:3, not sha256:1",
        "left over: image c:1",
    ]
    assert list(invariants.of_result(Result({}, {}), reference, whole=False)) == []
    assert len(list(invariants.of_result(Result({}, {}), reference, whole=True))) == 2


def test_a_file_outside_that_changes(tmp_path: Path) -> None:
    kept, changed, gone = (tmp_path / name for name in ("kept", "changed", "gone"))
    for path in (kept, changed, gone):
        path.write_bytes(b"x")
    before = invariants.snapshot(tmp_path)
    changed.write_bytes(b"xx")
    gone.unlink()
    assert list(invariants.of_outside(before, invariants.snapshot(tmp_path))) == [
        f"a file outside is changed: {changed}",
        f"a file outside is removed: {gone}",
    ]


def test_rounds_are_shared_out_and_each_can_be_repeated() -> None:
    names = [kind.name for kind in KINDS]
    rounds = drawn_rounds(names, 14, 5)
    assert [r.kind for r in rounds[:6]] == names
    assert len(set(rounds)) == 14
    late = rounds[-1]
    assert drawn_rounds([late.kind], 1, late.seed) == [late]


def test_the_table_counts_outcomes_and_failures() -> None:
    rot, kill = Round("rot", 1), Round("kill", 1)
    verdicts = [
        Verdict(rot, Outcome.REFUSED, (), (), 1.0),
        Verdict(rot, None, ("wrong",), (), 1.0),
        Verdict(kill, Outcome.REPAIRED, (), (), 1.0),
    ]
    assert [line.split() for line in table(verdicts)] == [
        ["kind", "rounds", "right", "refused", "repaired", "failed"],
        ["rot", "2", "0", "1", "0", "1"],
        ["kill", "1", "0", "0", "1", "0"],
    ]
