"""Pulls that are killed at any moment, and parallel pulls into one store."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from assembler.events import NullReporter
from assembler.oci.image_pull import PullOptions, pull
from assembler.oci.reference import Reference
from assembler.oci.store import Store, find_image, verify_store
from support.faulty_registry import QUICK, FaultyRegistry, faulty_registry, noise
from support.pictures import AMD64, ARM64, Painter
from support.progress import directory_bytes, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.cli import Dolmen

pytestmark = pytest.mark.slow

_KILLS = 50
# A busy machine is no stalled registry.
_PATIENT = replace(QUICK, connect_timeout=30.0, stall_timeout=30.0)
# The registry's bytes per second: slow enough for every moment to be hit.
_SLOW = 500_000
# What the store gets in a whole pull of two images, about.
_PULL_BYTES = 330_000


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyRegistry]:
    """Give a registry with six images that share layers."""
    painter = Painter(Store(tmp_path_factory.mktemp("remote")))
    with faulty_registry(painter.store) as made:
        shared = [{f"shared{n}": noise(n, 40_000)} for n in range(3)]
        for n in range(6):
            stack = [shared[n % 3], shared[(n + 1) % 3], {f"own{n}": noise(10 + n, 60_000)}]
            index = painter.index(painter.image(stack, AMD64), painter.image(stack[:2], ARM64))
            made.publish(f"org/app{n}", "1", index)
        yield made


def start(dolmen: Dolmen, store: Store, *names: str) -> subprocess.Popen[bytes]:
    """Start `dolmen cache pull`."""
    command = [sys.executable, "-m", "dolmen", "--cache", store.root, "cache", "pull", *names]
    return subprocess.Popen(
        command,
        cwd=dolmen.home,
        env=dolmen.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def state_of(store: Store) -> str:
    """Return how far a pull has come."""
    layout = store.layout
    if not layout.blobs.exists() or not any(layout.blobs.iterdir()):
        return "nothing"
    if store.names().entries:
        return "named"
    return "parts" if any(layout.tmp.glob("*.part")) else "blobs"


def test_killed_at_fifty_moments(dolmen: Dolmen, registry: FaultyRegistry, tmp_path: Path) -> None:
    chance = random.Random(3)
    names = [f"{registry.host}/org/app{n}:1" for n in (0, 1)]
    references = [Reference.parse(n) for n in names]
    states: Counter[str] = Counter()
    for number in range(_KILLS):
        registry.forget()
        registry.fail("GET .*/blobs/", bytes_per_second=_SLOW)
        store = Store(tmp_path / f"store{number}")
        process = start(dolmen, store, *names)
        # Some of them come to their end.
        goal = chance.uniform(0, 1.2 * _PULL_BYTES)
        wait_until(lambda: bool(registry.requests), process)
        wait_until(lambda: directory_bytes(store.root) >= goal, process)  # noqa: B023
        process.kill()
        process.wait()
        states[state_of(store)] += 1
        assert verify_store(store, NullReporter()).clean
        registry.forget()
        pull(store, references, PullOptions(_PATIENT))
        for reference in references:
            find_image(store, reference, AMD64)
            find_image(store, reference, ARM64)
        assert verify_store(store, NullReporter()).clean
        assert not list(store.layout.tmp.iterdir())
    # The moments were spread over all of a pull.
    assert states["parts"] > 5, states
    assert states["named"] > 0, states


def test_killed_repeatedly_in_one_store(
    dolmen: Dolmen, registry: FaultyRegistry, tmp_path: Path
) -> None:
    chance = random.Random(4)
    store = Store(tmp_path / "store")
    names = [f"{registry.host}/org/app{n}:1" for n in range(6)]
    registry.forget()
    registry.fail("GET .*/blobs/", bytes_per_second=_SLOW / 5)
    kills = 0
    for _ in range(60):
        before = directory_bytes(store.root)
        process = start(dolmen, store, *names)
        goal = before + chance.uniform(10_000, 80_000)
        unfinished = wait_until(lambda: directory_bytes(store.root) >= goal, process)  # noqa: B023
        if not unfinished:
            break
        process.kill()
        process.wait()
        kills += 1
        assert verify_store(store, NullReporter()).clean
    assert kills > 3
    # Each pull went on where the one before was killed, so that it came to an end at some time.
    assert process.returncode == 0
    assert any("range" in r.headers for r in registry.requests)
    for name in names:
        find_image(store, Reference.parse(name), AMD64)
    assert verify_store(store, NullReporter()).clean


def test_eight_parallel_pulls_into_one_store(
    dolmen: Dolmen, registry: FaultyRegistry, tmp_path: Path
) -> None:
    registry.forget()
    registry.fail("GET .*/blobs/", bytes_per_second=_SLOW)
    store = Store(tmp_path / "store")
    names = [f"{registry.host}/org/app{n}:1" for n in range(6)]
    processes = [
        start(dolmen, store, *(names[(first + n) % 6] for n in range(3))) for first in range(8)
    ]
    assert [p.wait(60) for p in processes] == [0] * 8
    asked = Counter(r.path for r in registry.requests)
    blobs = {path: n for path, n in asked.items() if "/blobs/" in path or "sha256:" in path}
    assert set(blobs.values()) == {1}, blobs
    # What a tag stands for only the registry knows: everybody has to ask.
    tags = {path: n for path, n in asked.items() if path.endswith("/1")}
    assert sum(tags.values()) == 8 * 3
    assert sorted(e.name for e in store.names().entries) == names
    for name in names:
        find_image(store, Reference.parse(name), AMD64)
        find_image(store, Reference.parse(name), ARM64)
    assert verify_store(store, NullReporter()).clean
    assert not list(store.layout.tmp.iterdir())


def test_a_disk_that_is_full(dolmen: Dolmen, registry: FaultyRegistry, tmp_path: Path) -> None:
    registry.forget()
    store = Store(tmp_path / "store")
    name = f"{registry.host}/org/app0:1"
    # A limit on the size of files stands for the disk: writing fails in the middle of a blob.
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000)); "
        "import runpy; sys.argv[0] = 'dolmen'; runpy.run_module('dolmen', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "--cache", store.root, "cache", "pull", name],
        env=dolmen.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "error[DM0802]" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert verify_store(store, NullReporter()).clean
    pull(store, [Reference.parse(name)], PullOptions(_PATIENT))
    find_image(store, Reference.parse(name), AMD64)
    assert verify_store(store, NullReporter()).clean


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "term"]
)
def test_stopped_by_the_user(
    dolmen: Dolmen, registry: FaultyRegistry, tmp_path: Path, number: int, status: int
) -> None:
    registry.forget()
    registry.fail("GET .*/blobs/", stall_after=20_000, stall_seconds=20)
    store = Store(tmp_path / "store")
    process = start(dolmen, store, f"{registry.host}/org/app0:1")
    while not registry.asked("GET .*/blobs/"):
        time.sleep(0.01)
    time.sleep(0.2)
    process.send_signal(number)
    assert process.wait(5) == status
    assert verify_store(store, NullReporter()).clean
    registry.forget()
    pull(store, [Reference.parse(f"{registry.host}/org/app0:1")], PullOptions(_PATIENT))
    # What had come was not fetched again.
    assert any(r.headers.get("range") == "bytes=20000-" for r in registry.requests)
