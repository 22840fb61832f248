"""Builds that are killed, interrupted, parallel, out of space, or use a damaged disk."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.events import NullReporter
from assembler.oci.archive_export import ArchiveFormat, ExportOptions, export_archive
from assembler.oci.archive_import import ArchiveInput, import_archive
from assembler.oci.reference import Reference
from assembler.oci.store import Store, find_image, verify_store
from support.cli import Dolmen
from support.pictures import AMD64
from support.progress import cpu_seconds, wait_for_cpu

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assembler.oci.manifest import Manifest

pytestmark = pytest.mark.slow

MAKE_WORKLOAD = Path(__file__).parent.parent.parent / "bench" / "make_workload.py"
# Slow enough for many moments to be hit.
SLOWLY = ("--format", "kernel+initrd,tar-kernel-initrd", "--compression", "gzip:6", "--no-sbom")
OUTPUTS = ("build-kernel", "build-initrd.img", "build-cmdline", "build-initrd.tar")
OLD = b"what an earlier build has left\n"
APP = "127.0.0.1:5000/bench/python-app:v1"


@dataclass(frozen=True)
class Builder:
    """A store and a directory, and the command that builds in it."""

    dolmen: Dolmen
    yaml: Path
    store: Store
    directory: Path

    def command(self, *options: str) -> list[str]:
        """Return the command line."""
        words = [sys.executable, "-m", "dolmen", "--cache", self.store.root, "build", "--offline"]
        return [str(w) for w in (*words, "--dir", self.directory, *(options or SLOWLY), self.yaml)]

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start a build in a process group of its own."""
        return subprocess.Popen(
            self.command(*options),
            cwd=self.dolmen.home,
            env=self.dolmen.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Build to the end."""
        return subprocess.run(
            self.command(*options),
            cwd=self.dolmen.home,
            env=self.dolmen.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def outputs(self, names: Sequence[str] = OUTPUTS) -> dict[str, str]:
        """Return the digests of what is there."""
        paths = [self.directory / name for name in names]
        return {p.name: digest(p.read_bytes()) for p in paths if p.exists()}

    def leftovers(self) -> list[Path]:
        """Return temporary files, wherever they may be."""
        places = (self.directory, self.store.layout.segments, self.store.layout.tmp)
        return [p for d in places if d.exists() for p in d.iterdir() if p.suffix == ".part"]


def digest(data: bytes) -> str:
    """Return what outputs are compared by."""
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give build.yml and the layout of its images; they are copied, never used."""
    root = tmp_path_factory.mktemp("workload")
    command = [sys.executable, MAKE_WORKLOAD, root, "--scale", "0.03", "--jobs", "2"]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return root


@pytest.fixture
def builder(dolmen: Dolmen, workload: Path, tmp_path: Path) -> Builder:
    """Give a builder with a cold store."""
    shutil.copytree(workload / "layout", tmp_path / "store")
    directory = tmp_path / "out"
    directory.mkdir()
    return Builder(dolmen, workload / "build.yml", Store(tmp_path / "store"), directory)


@pytest.fixture(scope="module")
def expected(workload: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Build once in peace."""
    base = tmp_path_factory.mktemp("peace")
    shutil.copytree(workload / "layout", base / "store")
    builder = Builder(Dolmen(base), workload / "build.yml", Store(base / "store"), base)
    run = builder.run()
    assert run.returncode == 0, run.stderr
    assert set(builder.outputs()) == set(OUTPUTS)
    return builder.outputs()


def make_cold(builder: Builder, *, warm: bool = False) -> None:
    """Forget what was encoded (not if `warm`), and put old files where outputs will be."""
    for name in ("stamps",) if warm else ("segments", "stamps"):
        shutil.rmtree(builder.store.root / name, ignore_errors=True)
    # The killed ones could not.
    for path in builder.store.layout.locks.glob("use-*"):
        path.unlink()
    shutil.rmtree(builder.directory)
    builder.directory.mkdir()
    for name in OUTPUTS[::2]:
        (builder.directory / name).write_bytes(OLD)


def wait_until_begun(builder: Builder, process: subprocess.Popen[str]) -> None:
    """Wait until the build has registered with the store."""
    locks = builder.store.layout.locks
    while process.poll() is None and not (locks.exists() and list(locks.glob("use-*"))):
        time.sleep(0.002)


def wait_until_gone(group: int) -> None:
    """Wait until no process of the group is left."""
    for _ in range(1000):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    pytest.fail("processes of the build are still there")


def check_whole(builder: Builder, expected: dict[str, str]) -> str:
    """Check that each output is an old one, a new one or none; say how far the build came."""
    found = builder.outputs()
    for name, what in found.items():
        assert what in (expected[name], digest(OLD)), f"{name} is half-written"
    new = sum(what == expected[name] for name, what in found.items())
    if new:
        return "outputs" if new < len(OUTPUTS) else "done"
    segments = builder.store.layout.segments
    return "segments" if segments.exists() and any(segments.iterdir()) else "nothing"


def test_killed_at_any_moment(builder: Builder, expected: dict[str, str]) -> None:
    chance = random.Random(8)
    states: Counter[str] = Counter()
    durations = [timed(builder, warm=False), timed(builder, warm=True)]
    for number in range(20):
        # With warm segments most of the time is spent writing outputs.
        warm = number % 2
        process = begun(builder, warm=bool(warm))
        wait_for_cpu(process, chance.uniform(0, durations[warm]))
        process.kill()
        process.communicate()
        check_whole(builder, expected)
        wait_until_gone(process.pid)
        states[("cold: ", "warm: ")[warm] + check_whole(builder, expected)] += 1
        if number % 7 in (0, 3):
            run = builder.run()
            assert run.returncode == 0, run.stderr
            assert builder.outputs() == expected
            assert not builder.leftovers()
    assert verify_store(builder.store, NullReporter()).clean
    # Builds were killed while they made segments, and while they wrote outputs.
    assert states["cold: segments"] > 3, states
    assert states["warm: segments"] + states["warm: outputs"] > 3, states


def begun(builder: Builder, *, warm: bool) -> subprocess.Popen[str]:
    """Start a build and wait until it has begun."""
    make_cold(builder, warm=warm)
    process = builder.start()
    wait_until_begun(builder, process)
    return process


def timed(builder: Builder, *, warm: bool) -> float:
    """Return the CPU time of a build once it has begun, on this machine and today."""
    process = begun(builder, warm=warm)
    used = spent = cpu_seconds(process.pid)
    while process.poll() is None:
        spent = max(spent, cpu_seconds(process.pid))
        time.sleep(0.002)
    assert process.returncode == 0, process.communicate()[1]
    return spent - used


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("whom", ["all processes", "the first process"])
def test_interrupted(
    number: int, status: int, whom: str, builder: Builder, expected: dict[str, str]
) -> None:
    chance = random.Random(number)
    statuses: Counter[int] = Counter()
    for _ in range(5):
        make_cold(builder)
        process = builder.start()
        wait_until_begun(builder, process)
        wait_for_cpu(process, chance.uniform(0, 0.4))
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if whom == "all processes" else os.kill)(process.pid, number)
        _, told = process.communicate(timeout=60)
        statuses[process.returncode] += 1
        assert process.returncode in (0, status), told
        assert "Traceback" not in told
        wait_until_gone(process.pid)
        assert not builder.leftovers()
        assert not list(builder.store.layout.locks.glob("use-*"))
        check_whole(builder, expected)
    assert statuses[status] > 1, statuses
    run = builder.run()
    assert run.returncode == 0, run.stderr
    assert builder.outputs() == expected
    assert verify_store(builder.store, NullReporter()).clean


def test_parallel_builds(builder: Builder, expected: dict[str, str], tmp_path: Path) -> None:
    builders = []
    for n in range(4):
        # Two and two write the same files, too.
        directory = tmp_path / f"out{n % 2}"
        directory.mkdir(exist_ok=True)
        builders.append(Builder(builder.dolmen, builder.yaml, builder.store, directory))
    processes = [b.start() for b in builders]
    for process in processes:
        _, told = process.communicate(timeout=120)
        assert process.returncode == 0, told
    for b in builders:
        assert b.outputs() == expected
        assert not b.leftovers()
    assert verify_store(builder.store, NullReporter()).clean


@contextlib.contextmanager
def mounted(directory: Path, *options: str) -> Iterator[None]:
    """Mount something on a directory during the block."""
    if os.geteuid():
        pytest.skip("only root can mount")
    mount = subprocess.run(["mount", *options, directory], capture_output=True, check=False)
    if mount.returncode:
        pytest.skip(f"cannot mount here: {mount.stderr.decode()}")
    try:
        yield
    finally:
        subprocess.run(["umount", directory], check=True)


@contextlib.contextmanager
def read_only(directory: Path) -> Iterator[None]:
    """Make a directory one that nobody can write to, not even root."""
    with mounted(directory, "--bind", str(directory)):
        subprocess.run(["mount", "-o", "remount,ro,bind", directory], check=True)
        yield


@pytest.mark.parametrize("name", ["build-initrd.img", "build.tar"])
def test_no_space_for_outputs(name: str, builder: Builder) -> None:
    kind = "tar" if name.endswith("tar") else "kernel+initrd"
    with mounted(builder.directory, "-t", "tmpfs", "-o", "size=3m", "tmpfs"):
        (builder.directory / name).write_bytes(OLD)
        run = builder.run("--format", kind)
        assert run.returncode == 1
        assert "DM0802" in run.stderr or "No space left" in run.stderr, run.stderr
        assert name in run.stderr
        assert [p.name for p in builder.directory.iterdir()] == [name]
        assert (builder.directory / name).read_bytes() == OLD
    assert builder.run("--format", kind).returncode == 0


def test_no_space_in_the_store(builder: Builder, expected: dict[str, str], tmp_path: Path) -> None:
    used = sum(p.stat().st_size for p in builder.store.layout.blobs.iterdir())
    root = tmp_path / "small"
    root.mkdir()
    with mounted(root, "-t", "tmpfs", "-o", f"size={(used >> 20) + 6}m", "tmpfs"):
        shutil.copytree(builder.store.root, root, dirs_exist_ok=True)
        small = Builder(builder.dolmen, builder.yaml, Store(root), builder.directory)
        run = small.run()
        assert run.returncode == 1
        assert "No space left" in run.stderr
        assert str(root) in run.stderr
        assert not small.leftovers()
        assert not small.outputs()
        assert verify_store(small.store, NullReporter()).clean
        subprocess.run(["mount", "-o", "remount,size=400m", root], check=True)
        assert small.run().returncode == 0
        assert small.outputs() == expected


def test_an_output_directory_that_cannot_be_written_to(builder: Builder) -> None:
    with read_only(builder.directory):
        run = builder.run()
        assert run.returncode == 1
        assert "Read-only file system" in run.stderr
        assert str(builder.directory) in run.stderr
        assert "Traceback" not in run.stderr


def test_a_store_that_cannot_be_written_to(builder: Builder, expected: dict[str, str]) -> None:
    before = sorted(builder.store.root.rglob("*"))
    with read_only(builder.store.root):
        run = builder.run()
        assert run.returncode == 0, run.stderr
        assert builder.outputs() == expected
        assert sorted(builder.store.root.rglob("*")) == before
        # What has to go into the store cannot.
        run = builder.run("--format", "oci")
        assert run.returncode == 1
        assert "Read-only file system" in run.stderr


def test_a_store_with_segments_that_cannot_be_written_to(
    builder: Builder, expected: dict[str, str]
) -> None:
    assert builder.run().returncode == 0
    cut, flipped = sorted(builder.store.layout.segments.iterdir())[:2]
    cut.write_bytes(cut.read_bytes()[:-7])
    flip(flipped, 0.3)
    with read_only(builder.store.root):
        run = builder.run("--force", *SLOWLY)
        assert run.returncode == 0, run.stderr
        assert builder.outputs() == expected


def layers_of(builder: Builder) -> Manifest:
    """Return the manifest of an image of the workload."""
    return find_image(builder.store, Reference.parse(APP), AMD64).manifest


def flip(path: Path, at: float = 0.5) -> None:
    """Change a byte of a file, as a disk does it."""
    data = bytearray(path.read_bytes())
    data[int(len(data) * at)] ^= 0x55
    path.write_bytes(data)


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("damage", ["flipped", "cut short", "flipped config", "flipped manifest"])
def test_a_damaged_blob(
    damage: str, jobs: str, builder: Builder, expected: dict[str, str], tmp_path: Path
) -> None:
    archive = tmp_path / "archive.tar"
    with archive.open("w+b") as file:
        export_archive(
            builder.store,
            ExportOptions(Reference.parse(APP), ArchiveFormat.OCI),
            file,
            NullReporter(),
        )
    image = find_image(builder.store, Reference.parse(APP), AMD64)
    # The largest, so that the damage is in the data of a file.
    descriptor = max(image.manifest.layers, key=lambda layer: layer.size)
    if damage == "flipped config":
        descriptor = image.manifest.config
    elif damage == "flipped manifest":
        descriptor = image.descriptor
    path = builder.store.path(descriptor.digest)
    if damage == "cut short":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        flip(path)
    run = builder.run("--jobs", jobs, *SLOWLY)
    assert run.returncode == 1
    assert "python-app:v1" in run.stderr
    assert descriptor.digest in run.stderr
    assert "Traceback" not in run.stderr
    assert not builder.outputs()
    assert not builder.leftovers()
    assert not path.exists()
    assert (builder.store.layout.quarantine / path.name).exists()
    run = builder.run()
    assert run.returncode == 1
    assert "python-app:v1" in run.stderr
    with archive.open("rb") as file:
        import_archive(builder.store, ArchiveInput(file, "archive"), NullReporter())
    run = builder.run()
    assert run.returncode == 0, run.stderr
    assert builder.outputs() == expected


@pytest.mark.parametrize("place", [0.01, 0.5, 0.99])
def test_damaged_segments(place: float, builder: Builder, expected: dict[str, str]) -> None:
    assert builder.run().returncode == 0
    for path in builder.store.layout.segments.iterdir():
        flip(path, place)
    run = builder.run("--force", *SLOWLY)
    assert run.returncode == 0, run.stderr
    assert builder.outputs() == expected
    for n, path in enumerate(sorted(builder.store.layout.segments.iterdir())):
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size * (n % 3) // 3)
    run = builder.run("--force", *SLOWLY)
    assert run.returncode == 0, run.stderr
    assert builder.outputs() == expected


def test_offline_reports_all_missing_images_and_opens_no_socket(
    builder: Builder, tmp_path: Path
) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    (tmp_path / "image.yml").write_text(
        "init: ['no.example/one:1']\n"
        "onboot:\n"
        "  - {name: a, image: 'no.example/two:1'}\n"
        f"  - {{name: b, image: '{APP}'}}\n"
        "services:\n"
        "  - name: c\n"
        "    image: three\n"
    )
    lacking = Builder(builder.dolmen, tmp_path / "image.yml", builder.store, builder.directory)
    log = tmp_path / "trace"
    run = subprocess.run(
        [strace, "-f", "-e", "trace=network", "-o", log, *lacking.command()],
        cwd=builder.dolmen.home,
        env=builder.dolmen.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if "PTRACE" in run.stderr:
        pytest.skip("nobody may be traced here")
    assert run.returncode == 1
    for line, name in ((1, "no.example/one:1"), (3, "no.example/two:1"), (7, "library/three")):
        assert f"image.yml:{line}:" in run.stderr
        assert name in run.stderr
    assert "python-app" not in run.stderr
    assert "socket" not in log.read_text()
    # And where all is there, none is opened either.
    command = [strace, "-f", "-e", "trace=network", "-o", str(log), *builder.command()]
    subprocess.run(
        command,
        cwd=builder.dolmen.home,
        env=builder.dolmen.environment(),
        check=True,
        capture_output=True,
        timeout=120,
    )
    assert "socket" not in log.read_text()


def test_a_cache_of_linuxkit(dolmen: Dolmen, conformance_layout: Path, tmp_path: Path) -> None:
    """The recorded layout is what LinuxKit itself built from: used as it is, nothing written."""
    (tmp_path / "image.yml").write_text(
        "kernel: {image: 'example/kernel:6.1'}\n"
        "init: ['example/init:v1', 'example/runc:v1']\n"
        "services: [{name: a, image: 'example/plain:1'}]\n"
    )
    copy = tmp_path / "writable"
    shutil.copytree(conformance_layout, copy)
    cache = tmp_path / "cache"
    shutil.copytree(conformance_layout, cache)
    results = []
    with read_only(cache):
        for store in (cache, copy):
            run = dolmen.run(
                *("build", "--cache", store, "--format", "tar", "-o", tmp_path / "out.tar"),
                *("--offline", "--json", tmp_path / "image.yml"),
            )
            assert run.returncode == 0, run.stderr
            results.append(json.loads(run.stdout)["outputs"][0]["digest"])
    assert results[0] == results[1]
    # The writable one is a cache of LinuxKit still.
    assert (copy / "index.json").read_bytes() == (conformance_layout / "index.json").read_bytes()
