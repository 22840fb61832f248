"""The bench of a round: its folder, its chance, its commands, and the problems that it finds."""

from __future__ import annotations

import random
import re
import shutil
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.errors import DolmenError
from assembler.oci.store import Store
from faults import invariants, processes
from faults.invariants import DOCUMENTED, Result
from faults.scenarios import WARM_BUILD, Reference, Scenario, reference_of
from faults.servers import servers_of
from support.cli import Dolmen

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from faults.material import Material
    from faults.processes import Ended

# The system calls that a kill waits for: each changes what others see, or is about to.
CALLS = ("openat", "write", "pwrite64", "renameat2", "rename", "unlink", "fsync", "mkdir", "flock")
LIMIT = 20.0
PROGRAM = (sys.executable, "-m", "dolmen")


def injected(call: str, what: str) -> tuple[str, ...]:
    """Return the words that run a command in which a system call goes wrong."""
    # With --seccomp-bpf, strace 6.1 injects nothing.
    words = ("strace", "-f", "-qq", "-e", f"trace={call}", "-e", f"inject={call}:{what}")
    return (*words, "-o", "/dev/null")


@dataclass
class Bench:
    """The place and the tools of one round."""

    material: Material
    place: Path
    chance: random.Random
    program: tuple[str, ...] = PROGRAM
    limit: float = LIMIT
    problems: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the folders."""
        for folder in (self.store, self.out, self.home, self.temporary):
            folder.mkdir(parents=True, exist_ok=True)
        self._outside = self._seen_outside()

    @property
    def store(self) -> Path:
        """Return the store of the round."""
        return self.place / "store"

    @property
    def out(self) -> Path:
        """Return the directory of outputs."""
        return self.place / "out"

    @property
    def home(self) -> Path:
        """Return the home directory."""
        return self.place / "home"

    @property
    def temporary(self) -> Path:
        """Return the directory of temporary files."""
        return self.place / "tmp"

    # Commands

    def note(self, step: str) -> None:
        """Add a step to the report."""
        self.steps.append(step)

    def complain(self, problems: Iterable[str]) -> bool:
        """Add problems; tell whether there are any."""
        found = list(problems)
        self.problems += found
        return bool(found)

    def run(
        self,
        words: Iterable[str],
        *,
        env: Iterable[tuple[str, str]] = (),
        before: tuple[str, ...] = (),
        program: tuple[str, ...] = (),
        statuses: Collection[int] = DOCUMENTED,
        disturb: Callable[[subprocess.Popen[bytes]], None] | None = None,
    ) -> Ended:
        """Run `dolmen WORDS` as a whole process, and judge how it ends and what it prints."""
        said = ["--cache", str(self.store), *(self.filled(word) for word in words)]
        variables = {"TMPDIR": str(self.temporary)} | {k: self.filled(v) for k, v in env}
        environment = Dolmen(self.home).environment(variables)
        command = (*before, *(program or self.program), *said)
        ended = processes.run(command, environment, self.home, self.limit, disturb)
        self.note(f"{' '.join(said[2:])[:150]}: status {ended.status}, {ended.seconds:.2f} s")
        self.complain(invariants.of_process(ended, statuses))
        return ended

    def filled(self, word: str) -> str:
        """Return a word with the paths of this round."""
        paths = {"store": self.store, "out": self.out, "project": self.material.project}
        return re.sub(r"\{(store|out|project)\}", lambda m: str(paths[m[1]]), word)

    def command(self, scenario: Scenario, **more: object) -> Ended:
        """Run the command of a scenario."""
        return self.run(scenario.words, env=scenario.environment, **more)  # type: ignore[arg-type]

    # Stores and references

    def begin(self, scenario: Scenario) -> None:
        """Fill the store as the scenario begins."""
        if scenario.start == "images":
            shutil.rmtree(self.store)
            shutil.copytree(self.material.images, self.store)
        elif scenario.start == "warm":
            self.reference(scenario)
            shutil.rmtree(self.store)
            shutil.copytree(self._warm(scenario), self.store)

    def reference(self, scenario: Scenario) -> Reference:
        """Return how the command ends undisturbed."""
        return reference_of(self.material.references, scenario, self._make_reference)

    def _warm(self, scenario: Scenario) -> Path:
        return self.material.stores / scenario.name

    def _make_reference(self, scenario: Scenario) -> Reference:
        """Run the command undisturbed, once for its result and once to count its system calls."""
        place = self.material.stores / f"{scenario.name}.making"
        with servers_of(self.material, scenario):
            return self._undisturbed(scenario, place)

    def _undisturbed(self, scenario: Scenario, place: Path) -> Reference:
        shutil.rmtree(place, ignore_errors=True)
        bench = Bench(self.material, place, random.Random(1), PROGRAM, 120.0)
        if scenario.start != "empty":
            shutil.rmtree(bench.store)
            shutil.copytree(self.material.images, bench.store)
        if scenario.start == "warm":
            # The words of a build give segments to a command that makes none itself.
            for words in (WARM_BUILD.words, scenario.words):
                bench.run(words, env=scenario.environment)
            shutil.rmtree(self._warm(scenario), ignore_errors=True)
            shutil.copytree(bench.store, self._warm(scenario))
            shutil.rmtree(bench.out)
            bench.out.mkdir()
        counted = place / "counted"
        shutil.copytree(bench.store, counted)
        before = _size(bench.store)
        ended = bench.command(scenario)
        if ended.status or bench.problems:
            raise RuntimeError(f"{scenario.name} fails undisturbed: {bench.problems} {ended.said}")
        result = bench.result()
        growth, made = _size(bench.store) - before, _size(bench.out)
        shutil.rmtree(bench.store)
        counted.rename(bench.store)
        calls = _counted(bench, scenario)
        shutil.rmtree(place)
        return Reference(result, ended.seconds, growth, made, calls)

    # Judgements

    def result(
        self, store: Path | None = None, out: Path | None = None, *, readable: bool = True
    ) -> Result:
        """Return the outputs and the names that are there, which must be `readable`."""
        try:
            entries = Store(store or self.store).names().entries
        except DolmenError as error:
            if readable:
                self.complain([f"the names of the store cannot be read: {error}"])
            return Result(invariants.digests(out or self.out), {})
        names = {entry.name: entry.descriptor.digest for entry in entries if entry.name}
        return Result(invariants.digests(out or self.out), names)

    def judge(self, scenario: Scenario, *, whole: bool) -> None:
        """Compare what is there with the reference; unless `whole`, it may be absent."""
        reference = self.reference(scenario).result
        self.complain(invariants.of_result(self.result(readable=whole), reference, whole=whole))

    def recover(self, scenario: Scenario) -> None:
        """Run the command undisturbed: all is right, and nothing is left over."""
        ended = self.command(scenario, statuses={0})
        if ended.status == 0:
            self.judge(scenario, whole=True)
        self.run(("cache", "verify"), statuses={0})
        self.clean()

    def clean(self, store: Path | None = None, before: tuple[str, ...] = ()) -> None:
        """Run `cache clean` a week later; then no temporary file is left."""
        seen = store or self.store
        invariants.age(seen)
        self.run(("cache", "clean"), before=before, statuses={0})
        self.complain(invariants.left_in_store(seen))
        self.complain(invariants.left_in(self.temporary))

    def accept_outside(self) -> None:
        """Take what is outside now as what has to stay."""
        self._outside = self._seen_outside()

    def finish(self) -> None:
        """Check that nothing outside of the store and the outputs has changed."""
        self.complain(invariants.of_outside(self._outside, self._seen_outside()))
        known = {"store", "out", "home", "tmp", "more"}
        beside = [p.name for p in self.place.iterdir() if p.name not in known]
        self.complain(f"a file outside is made: {name}" for name in beside)

    def _seen_outside(self) -> invariants.Snapshot:
        return invariants.snapshot(self.material.project, self.material.images, self.home)


def _size(directory: Path) -> int:
    """Return the bytes of the blocks that files would take on a small disk."""
    sizes = (path.lstat().st_size for path in directory.rglob("*"))
    return sum(-(-size // 4096) * 4096 + 4096 for size in sizes)


def _counted(bench: Bench, scenario: Scenario) -> dict[str, int]:
    """Return how often one process of the command calls each of `CALLS`."""
    log = bench.place / "more" / "calls"
    log.parent.mkdir()
    trace = f"trace={','.join(CALLS)}"
    words = ("strace", "-f", "-qq", "--seccomp-bpf", "-e", trace, "-o", str(log))
    shutil.rmtree(bench.out)
    bench.out.mkdir()
    bench.command(scenario, before=words)
    per_process: Counter[tuple[str, str]] = Counter()
    for line in log.read_text(errors="replace").splitlines():
        found = re.match(r"(\d+)\s+(\w+)\(", line)
        if found:
            per_process[found[1], found[2]] += 1
    most: dict[str, int] = {}
    for (_, call), count in per_process.items():
        most[call] = max(most.get(call, 0), count)
    return most
