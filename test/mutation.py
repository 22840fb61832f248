"""Mutation testing: which changes of a module do its unit tests not notice?

    make mutation MODULE=assembler/oci/digest.py SAMPLE=50

A sample of small changes (`<` becomes `<=`, `and` becomes `or`, 1 becomes 2 …), chosen by a seed,
is made in copies of the tree, one at a time. The unit tests of the module run for each. Changes
with which they pass are printed: a test is missing, or the change makes no difference.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent
MODULES = ("assembler/config", "assembler/oci/layers", "assembler/oci/store", "assembler/encode")
UNIT = "test/unit"
PYTEST = ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--hypothesis-seed=0")
# Bytecode saves most of the time of a start; what is measured outside is not meant for copies.
LEFT_OUT = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "COVERAGE_PROCESS_CONFIG")
KILLED, TIMED_OUT, NOT_RUN, SURVIVED = "killed", "timed out", "not run", "survived"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of a module: the changed place and the code that results."""

    path: str
    line: int
    change: str
    code: str

    def __str__(self) -> str:
        """Return it as a line of the report."""
        return f"{self.path}:{self.line}: {self.change}"


@dataclass(frozen=True, slots=True)
class Baseline:
    """The tests without a change: which lines of which file they run, and in what time."""

    seconds: float
    lines: dict[str, set[int]]


class Copy:
    """A copy of the tree, with an interpreter that imports from there and nowhere else."""

    def __init__(self, folder: Path, python: Path, names: Iterable[str], source: Path) -> None:
        """Copy files, and make the interpreter."""
        self.folder = folder
        for name in names:
            if (source / name).is_file():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source / name, target)
        packages = _output(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
        _output(python, "-m", "venv", "--without-pip", folder / ".venv")
        (place,) = (folder / ".venv").glob("lib/python*/site-packages")
        # Programs that tests start import from here, too, whatever their environment is.
        (place / "0copy.pth").write_text(
            f"{folder}\n{folder}/cmd\nimport site; site.addsitedir({packages.strip()!r})\n"
        )

    def run(self, *arguments: str, limit: float | None = None) -> tuple[int | None, str]:
        """Run Python; return its exit code and output, and no code if it took too long."""
        with tempfile.TemporaryDirectory(dir=self.folder.parent) as scratch:
            kept = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
            process = subprocess.Popen(
                [self.folder / ".venv/bin/python", *arguments],
                cwd=self.folder,
                env={**kept, "TMPDIR": scratch, "HOME": scratch},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            try:
                output, _ = process.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                return None, ""
            finally:
                # What a changed program has left running ends with it.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            return process.returncode, output

    def write(self, path: str, code: str) -> None:
        """Replace a module, and its bytecode, which has no finer clock than seconds."""
        target = self.folder / path
        target.write_text(code, "utf-8")
        for stale in (target.parent / "__pycache__").glob(f"{target.stem}.*.pyc"):
            stale.unlink()


def mutants(code: str) -> Iterator[tuple[tuple[int, int], str, int]]:
    """Yield place, operator and number of every change that can be made of a module."""
    import parso
    from cosmic_ray.ast import ast_nodes
    from cosmic_ray.plugins import get_operator, operator_names

    nodes = list(ast_nodes(parso.parse(code)))
    for name in operator_names():
        operator = get_operator(name)
        if operator.arguments():
            continue
        positions = (p for node in nodes for p in operator().mutation_positions(node))
        for number, (start, _) in enumerate(positions):
            yield start, name, number


def sampled(codes: dict[str, str], size: int, seed: int) -> list[Mutant]:
    """Return changes of modules: one of each place before another of the same place."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    places = defaultdict(list)
    for path, code in codes.items():
        for start, name, number in mutants(code):
            places[path, start].append((name, number))
    chance = random.Random(seed)
    order = sorted(places)
    chance.shuffle(order)
    for place in order:
        chance.shuffle(places[place])
    found: list[Mutant] = []
    while len(found) < size and any(places.values()):
        for path, start in order:
            if len(found) < size and places[path, start]:
                name, number = places[path, start].pop()
                code = mutate_code(codes[path], get_operator(name)(), number)
                if code is not None and is_change(codes[path], code):
                    found.append(Mutant(path, start[0], _change(codes[path], code), code))
    return sorted(found, key=lambda mutant: (mutant.path, mutant.line))


def is_change(before: str, after: str) -> bool:
    """Tell whether code means something else, apart from annotations and slots."""
    try:
        return _meaning(before) != _meaning(after)
    except SyntaxError:
        return False


def _meaning(code: str) -> str:
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Name("object")
        elif isinstance(node, ast.ClassDef):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call):
                    decorator.keywords = [k for k in decorator.keywords if k.arg != "slots"]
    return ast.dump(tree)


def _change(before: str, after: str) -> str:
    """Return what changed: the old lines and the new ones."""
    lines = list(difflib.ndiff(before.splitlines(), after.splitlines()))
    old = " ".join(line[2:].strip() for line in lines if line.startswith("- "))
    new = " ".join(line[2:].strip() for line in lines if line.startswith("+ "))
    return f"`{old}` -> `{new}`"


def tests_of(root: Path, path: str) -> tuple[str, ...]:
    """Return the unit tests that fit a module: the folder of its stage, and what imports it."""
    folders = {
        folder.name: folder for folder in sorted((root / UNIT).rglob("*")) if folder.is_dir()
    }
    parts = Path(path).with_suffix("").parts[1:]
    found = [folders[part] for part in reversed(parts) if part in folders][:1]
    package, _, name = ".".join(Path(path).with_suffix("").parts).rpartition(".")
    imports = re.compile(
        rf"from {re.escape(package)}\.{name} import"
        rf"|from {re.escape(package)} import [^\n]*\b{name}\b"
        rf"|import {re.escape(package)}\.{name}\b"
    )
    for file in sorted((root / UNIT).rglob("test_*.py")):
        inside = any(folder in file.parents for folder in found)
        if not inside and imports.search(file.read_text("utf-8")):
            found.append(file)
    return tuple(file.relative_to(root).as_posix() for file in found)


def baseline(copy: Copy, tests: Sequence[str]) -> Baseline:
    """Run tests without a change; they have to pass."""
    started = time.monotonic()
    code, output = copy.run("-m", "coverage", "run", *PYTEST, *tests)
    seconds = time.monotonic() - started
    if code != 0:
        raise SystemExit(f"{output}\nThe tests fail without any change.")
    copy.run("-m", "coverage", "combine", "--quiet")
    copy.run("-m", "coverage", "json", "--quiet", "-o", ".coverage/report.json")
    report = json.loads((copy.folder / ".coverage/report.json").read_text("utf-8"))
    shutil.rmtree(copy.folder / ".coverage")
    lines = {name: set(file["executed_lines"]) for name, file in report["files"].items()}
    return Baseline(seconds, lines)


def outcome(copy: Copy, mutant: Mutant, original: str, tests: Sequence[str], limit: float) -> str:
    """Return what became of a change when the tests ran with it."""
    copy.write(mutant.path, mutant.code)
    try:
        code, _ = copy.run(*PYTEST, *tests, limit=limit)
    finally:
        copy.write(mutant.path, original)
    return TIMED_OUT if code is None else KILLED if code else SURVIVED


def runs(before: Baseline, mutant: Mutant, original: str) -> bool:
    """Tell whether tests run the statement that a change is in."""
    statements = (node for node in ast.walk(ast.parse(original)) if isinstance(node, ast.stmt))
    around = (s for s in statements if s.lineno <= mutant.line <= (s.end_lineno or s.lineno))
    # Of a statement of several lines, only the first counts as run.
    begin = max((statement.lineno for statement in around), default=mutant.line)
    return not {mutant.line, begin}.isdisjoint(before.lines.get(mutant.path, ()))


class Run:
    """Mutation testing of some modules."""

    def __init__(self, modules: Sequence[str], work: Path, jobs: int) -> None:
        """Copy the tree once for each job, and run the tests without changes."""
        python = ROOT / ".venv/bin/python"
        names = _output("git", "-C", ROOT, "ls-files", "-coz", "--exclude-standard").split("\0")
        first = Copy(work / "0", python, names, ROOT)
        # The tree may change meanwhile: the first copy counts.
        others = [Copy(work / str(n), python, names, first.folder) for n in range(1, jobs)]
        self.copies: SimpleQueue[Copy] = SimpleQueue()
        for copy in (first, *others):
            self.copies.put(copy)
        self.codes = {p: (first.folder / p).read_text("utf-8") for p in _files(first, modules)}
        self.tests = {path: tests_of(first.folder, path) for path in self.codes}
        for path, tests in self.tests.items():
            if not tests:
                raise SystemExit(f"There are no unit tests that fit {path}.")
        self.before = {tests: baseline(first, tests) for tests in set(self.tests.values())}

    def try_out(self, mutant: Mutant) -> str:
        """Return what becomes of a change."""
        original, tests = self.codes[mutant.path], self.tests[mutant.path]
        before = self.before[tests]
        if not runs(before, mutant, original):
            return NOT_RUN
        copy = self.copies.get()
        try:
            return outcome(copy, mutant, original, tests, 10 + 3 * before.seconds)
        finally:
            self.copies.put(copy)


def _files(copy: Copy, modules: Iterable[str]) -> Iterator[str]:
    for module in modules:
        path = copy.folder / module
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        if not files or not all(file.is_file() for file in files):
            raise SystemExit(f"There is no module {module}.")
        yield from (file.relative_to(copy.folder).as_posix() for file in files)


def _output(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> int:
    """Print the changes that no test notices."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("modules", nargs="*", default=MODULES, help="modules or folders of them")
    parser.add_argument("--sample", type=int, default=200, help="how many changes")
    parser.add_argument("--seed", type=int, default=1, help="which changes")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at once")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mutation-") as work:
        run = Run(options.modules, Path(work), options.jobs)
        chosen = sampled(run.codes, options.sample, options.seed)
        counts: Counter[str] = Counter()
        with ThreadPoolExecutor(options.jobs) as pool:
            for mutant, what in zip(chosen, pool.map(run.try_out, chosen), strict=True):
                counts[what] += 1
                if what in (SURVIVED, NOT_RUN):
                    note = " (no test runs this)" if what == NOT_RUN else ""
                    sys.stdout.write(f"{mutant}{note}\n")
                    sys.stdout.flush()
    parts = ", ".join(f"{counts[what]} {what}" for what in (KILLED, TIMED_OUT, SURVIVED, NOT_RUN))
    sys.stdout.write(f"{len(chosen)} changes: {parts}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
