"""Runs rounds in parallel: each worker has a network of its own, each round a folder of its own."""

from __future__ import annotations

import multiprocessing
import random
import shutil
import tempfile
import time
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from faults import namespaces, processes
from faults.bench import LIMIT, PROGRAM, Bench
from faults.kind import Outcome, Round, Verdict
from faults.kinds import KINDS
from faults.material import Material, make_material
from faults.namespaces import NoNamespacesError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from faults.kind import FaultKind


@dataclass(frozen=True)
class RunOptions:
    """What all rounds of a run share."""

    jobs: int = 1
    program: tuple[str, ...] = PROGRAM
    limit: float = LIMIT
    # Where everything is made, in a new directory; empty for the usual place.
    folder: str = ""
    # Keep the folders of rounds that failed.
    keep: bool = False


def drawn_rounds(kinds: Sequence[str], count: int, seed: int) -> list[Round]:
    """Share rounds out over kinds; each has a seed that repeats it alone."""
    return [Round(kinds[n % len(kinds)], seed + n // len(kinds)) for n in range(count)]


def why_no_rounds() -> str:
    """Return what this machine lacks for rounds, or nothing if they can run."""
    for program in ("strace", "unshare", "nsenter", "prlimit"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        try:
            pool.submit(namespaces.enter_own_network).result()
        except NoNamespacesError as error:
            return str(error)
    return ""


def run_rounds(
    rounds: Sequence[Round], options: RunOptions, on_verdict: Callable[[Verdict], None]
) -> list[Verdict]:
    """Run rounds in worker processes and return their verdicts in the order of the rounds."""
    top = Path(tempfile.mkdtemp(prefix="dolmen-faults-", dir=options.folder or None))
    verdicts: dict[Round, Verdict] = {}
    try:
        material = make_material(top / "material")
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(options.jobs, context, _start_worker) as pool:
            work = [pool.submit(_run, each, top, material, options) for each in rounds]
            for done in as_completed(work):
                verdict = done.result()
                verdicts[verdict.round] = verdict
                on_verdict(verdict)
    finally:
        if not options.keep:
            shutil.rmtree(top, ignore_errors=True)
    return [verdicts[each] for each in rounds]


def _start_worker() -> None:
    namespaces.enter_own_network()
    processes.adopt_orphans()


def _run(each: Round, top: Path, material: Material, options: RunOptions) -> Verdict:
    kind = next(k for k in KINDS if k.name == each.kind)
    place = top / "rounds" / f"{each.kind}-{each.seed}"
    verdict = run_round(kind, each, material, place, options)
    if not (options.keep and verdict.problems):
        shutil.rmtree(place, ignore_errors=True)
    return verdict


def run_round(
    kind: FaultKind, each: Round, material: Material, place: Path, options: RunOptions
) -> Verdict:
    """Run one round; an exception of the harness itself is a problem as well."""
    beginning = time.monotonic()
    chance = random.Random(f"{each.kind}/{each.seed}")
    bench = Bench(material, place, chance, options.program, options.limit)
    outcome = None
    try:
        outcome = kind.run(bench)
        bench.finish()
    except Exception:  # shown as what it is
        bench.complain([f"the harness fails: {traceback.format_exc()[-1500:]}"])
    problems = tuple(dict.fromkeys(bench.problems))
    seconds = time.monotonic() - beginning
    return Verdict(each, None if problems else outcome, problems, tuple(bench.steps), seconds)


def table(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Yield the lines of the table: kind, rounds, outcomes, failures."""
    heads = ["kind", "rounds", *(o.value for o in Outcome), "failed"]
    yield "".join(f"{h:<15}" if n == 0 else f"{h:>10}" for n, h in enumerate(heads))
    for name in dict.fromkeys(v.round.kind for v in verdicts):
        mine = [v for v in verdicts if v.round.kind == name]
        counts = [len(mine), *(sum(v.outcome == o for v in mine) for o in Outcome)]
        counts.append(sum(bool(v.problems) for v in mine))
        yield f"{name:<15}" + "".join(f"{count:>10}" for count in counts)
