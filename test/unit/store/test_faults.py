"""What must lose nothing: kill -9, many processes at once, a full disk, a read-only one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.codes import host
from assembler.errors import HostError
from assembler.events import NullReporter
from assembler.oci.archive_export import ExportOptions, export_archive
from assembler.oci.platform import Platform
from assembler.oci.reference import Reference
from assembler.oci.store import (
    GcLimits,
    Store,
    collect_garbage,
    find_image,
    look_up_image,
    verify_store,
)
from support.pictures import AMD64, Painter

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATHS = os.pathsep.join(str(Path(__file__).parents[n]) for n in (2, 3))


def start(script: str, *arguments: object) -> subprocess.Popen[bytes]:
    """Run a Python script in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": _PATHS},
    )


WRITER = """
    import random, sys
    from pathlib import Path
    from assembler.oci.store import GcLimits, Store, collect_garbage
    from support.pictures import Painter
    store, chance = Store(Path(sys.argv[1])), random.Random(sys.argv[2])
    painter = Painter(store)
    (Path(sys.argv[1] + ".ready")).touch()
    while True:
        number = chance.randrange(20)
        with store.in_use():
            base = {"base": bytes(200_000)}
            top = painter.image([base, {"a": bytes([number]) * chance.randrange(1, 300_000)}])
            store.put(f"docker.io/library/x:{number}", painter.index(top))
        if chance.random() < 0.3:
            collect_garbage(store, GcLimits(grace=-1, keep_bytes=chance.randrange(2000)))
"""


@pytest.mark.slow
def test_kill_at_any_moment(tmp_path: Path) -> None:
    store, chance = Store(tmp_path / "store"), random.Random(7)
    ready = tmp_path / "store.ready"
    for round_ in range(20):
        ready.unlink(missing_ok=True)
        writers = [start(WRITER, store.root, f"{round_}-{n}") for n in range(2)]
        while not ready.exists():
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.25))
        for writer in writers:
            writer.kill()
            writer.wait()
        report = verify_store(store, NullReporter())
        assert report.problems == []
        assert report.repaired == []
        for entry in store.names().entries:
            assert find_image(store, Reference.parse(entry.name), AMD64)
    painter = Painter(store)
    top = painter.image({"after": b"all"})
    store.put("docker.io/library/after:1", top)
    collect_garbage(store, GcLimits(grace=-1))
    assert list(store.layout.tmp.iterdir()) == []
    assert find_image(store, Reference.parse("after:1"), AMD64).digest == top.digest


FETCHER = """
    import os, random, sys
    from pathlib import Path
    from assembler.oci.digest import digest_of
    from assembler.oci.manifest import Descriptor
    from assembler.oci.store import Store
    from support.pictures import Painter
    store, name = Store(Path(sys.argv[1])), sys.argv[2]
    blobs = [bytes([n]) * 100_000 for n in range(12)]
    random.Random(name).shuffle(blobs)
    log = os.open(sys.argv[1] + ".log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with store.in_use():
        for data in blobs:
            with store.incoming(Descriptor("", digest_of(data), len(data))) as blob:
                if not blob.present:
                    os.write(log, b"%d\\n" % data[0])
                    for at in range(0, len(data), 10_000):
                        blob.write(data[at : at + 10_000])
                    blob.commit()
        top = Painter(store).image({"name": name.encode()})
        store.put(f"docker.io/library/x:{name}", top)
"""


@pytest.mark.slow
def test_eight_processes_fetch_every_blob_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    processes = [start(FETCHER, store.root, n) for n in range(8)]
    assert [p.wait(60) for p in processes] == [0] * 8
    fetched = Counter((tmp_path / "store.log").read_text().split())
    assert fetched == Counter({str(n): 1 for n in range(12)})
    assert sorted(e.name for e in store.names().entries) == [
        f"docker.io/library/x:{n}" for n in range(8)
    ]
    report = verify_store(store, NullReporter())
    assert report.clean
    assert report.orphans == 12
    assert list(store.layout.tmp.iterdir()) == []


IMPORTER = """
    import sys
    from pathlib import Path
    from assembler.events import NullReporter
    from assembler.oci.archive_import import ArchiveInput, import_archive
    from assembler.oci.store import Store
    Path(sys.argv[1] + ".ready").touch()
    with open(sys.argv[2], "rb") as file:
        import_archive(Store(Path(sys.argv[1])), ArchiveInput(file, "test"), NullReporter())
"""


@pytest.mark.slow
def test_kill_an_import_at_any_moment(tmp_path: Path) -> None:
    source, store, chance = Store(tmp_path / "source"), Store(tmp_path / "store"), random.Random(5)
    painter = Painter(source, compression="none")
    content = [{f"{n}": chance.randbytes(600_000)} for n in range(6)]
    source.put("docker.io/library/x:1", painter.index(painter.image(content)))
    archive, ready = tmp_path / "x.tar", tmp_path / "store.ready"
    with archive.open("wb") as out:
        export_archive(source, ExportOptions(Reference.parse("x:1")), out, NullReporter())
    killed = 0
    for _ in range(15):
        ready.unlink(missing_ok=True)
        importer = start(IMPORTER, store.root, archive)
        while not ready.exists():
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.04))
        importer.kill()
        killed += importer.wait() != 0
        assert verify_store(store, NullReporter()).clean
        collect_garbage(store, GcLimits(grace=-1, everything=chance.random() < 0.5))
        assert list(store.layout.tmp.iterdir()) == []
    assert killed > 3
    both = [start(IMPORTER, store.root, archive) for _ in range(2)]
    assert [p.wait(30) for p in both] == [0, 0]
    assert find_image(store, Reference.parse("x:1"), AMD64)
    report = verify_store(store, NullReporter())
    assert (report.problems, report.orphans) == ([], 0)


def _system(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _mounted(*arguments: str) -> None:
    done = _system("mount", *arguments)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a file system with room for one megabyte."""
    place = tmp_path / "small"
    place.mkdir()
    _mounted("-t", "tmpfs", "-o", "size=1m", "none", str(place))
    try:
        yield place
    finally:
        _system("umount", str(place)).check_returncode()


def test_a_full_disk(small_disk: Path) -> None:
    store = Store(small_disk / "store")
    painter = Painter(store, compression="none")
    store.put("docker.io/library/x:1", painter.image({"a": b"1"}))
    with pytest.raises(HostError) as caught:
        painter.image({"a": bytes(2_000_000)})
    assert caught.value.diagnostics[0].code is host.DISK_FULL
    assert str(store.layout.tmp) in str(caught.value)
    with pytest.raises(HostError):
        store.add_stream(bytes(100_000) for _ in range(20))
    assert verify_store(store, NullReporter()).clean
    collect_garbage(store, GcLimits(grace=-1))
    assert list(store.layout.tmp.iterdir()) == []
    store.put("docker.io/library/x:2", painter.image({"a": bytes(300_000)}))
    assert verify_store(store, NullReporter()).clean
    assert find_image(store, Reference.parse("x:1"), AMD64)


def test_a_disk_too_full_for_names(small_disk: Path) -> None:
    store = Store(small_disk / "store")
    image = Painter(store).image({"a": b"1"})
    store.put("docker.io/library/x:1", image)
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(bytes(2_000_000))
    with pytest.raises(HostError):
        store.put("docker.io/library/" + "x" * 5000, image)
    assert [e.name for e in store.names().entries] == ["docker.io/library/x:1"]
    filler.unlink()
    store.put("docker.io/library/x:2", image)
    assert len(store.names().entries) == 2


LIMITED = """
    import resource, signal, sys
    from pathlib import Path
    from assembler.errors import HostError
    from assembler.oci.store import Store
    from support.pictures import Painter
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
    try:
        Painter(Store(Path(sys.argv[1])), compression="none").image({"a": bytes(2_000_000)})
    except HostError as error:
        sys.exit(42 if "DM0802" in str(error) else 1)
"""


@pytest.mark.slow
def test_a_limit_on_the_size_of_files(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert start(LIMITED, store.root).wait(30) == 42
    assert verify_store(store, NullReporter()).clean
    Painter(store).image({"a": bytes(2_000_000)})
    assert verify_store(store, NullReporter()).clean


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Store]:
    """Give a store on a read-only file system, with an image x:1."""
    store = Store(tmp_path / "store")
    painter = Painter(store)
    store.put("docker.io/library/x:1", painter.image({"a": b"1"}))
    _mounted("--bind", str(store.root), str(store.root))
    try:
        _mounted("-o", "remount,bind,ro", str(store.root))
        yield store
    finally:
        _system("umount", str(store.root)).check_returncode()


def test_a_read_only_store_can_be_used(read_only: Store) -> None:
    with read_only.in_use():
        image = find_image(read_only, Reference.parse("x:1"), AMD64)
    read_only.put("docker.io/library/x:1", image.descriptor)
    for part in (image.descriptor, image.manifest.config, *image.manifest.layers):
        with read_only.incoming(part) as blob:
            assert blob.present
        assert read_only.add_bytes(read_only.read(part)).digest == part.digest
    assert verify_store(read_only, NullReporter()).clean
    assert collect_garbage(read_only, GcLimits(dry_run=True)).blobs == 0
    absent = look_up_image(read_only, Reference.parse("y:1"), Platform("linux", "amd64"))
    assert "is not in the store" in str(absent)


def test_a_read_only_store_says_so(read_only: Store) -> None:
    image = read_only.names().entries[0].descriptor
    for write in (
        lambda: read_only.add_bytes(b"new"),
        lambda: read_only.add_stream([b"new"]),
        lambda: read_only.put("docker.io/library/y:1", image),
        lambda: read_only.remove(["docker.io/library/x:1"]),
        lambda: collect_garbage(read_only, GcLimits(everything=True)),
    ):
        with pytest.raises(HostError, match="Read-only file system") as caught:
            write()
        assert caught.value.diagnostics[0].code is host.NOT_WRITABLE


def test_ctrl_c_leaves_nothing_locked(tmp_path: Path) -> None:
    script = """
        import sys
        from pathlib import Path
        from assembler.oci.store import Store
        from assembler.oci.digest import digest_of
        from assembler.oci.manifest import Descriptor
        store = Store(Path(sys.argv[1]))
        try:
            with store.in_use(), store.incoming(Descriptor("", digest_of(b"abc"), 3)) as blob:
                blob.write(b"a")
                Path(sys.argv[1] + ".ready").touch()
                input()
        except KeyboardInterrupt:
            sys.exit(130)
    """
    store = Store(tmp_path / "store")
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(store.root)],
        env=os.environ | {"PYTHONPATH": _PATHS},
        stdin=subprocess.PIPE,
    )
    while not (tmp_path / "store.ready").exists():
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    assert list(store.layout.locks.glob("use-*")) == []
    assert store.add_bytes(b"abc").size == 3
