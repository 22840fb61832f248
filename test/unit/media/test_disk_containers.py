"""Disk containers hold the disk that went in: qemu-img and tar say so."""

from __future__ import annotations

import filecmp
import io
import json
import random
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assembler.content import ContentChain, FileRange
from assembler.errors import OutputError
from assembler.media import ExtentImage, SparseImage, disk_tar, sparse_image, vmdk
from assembler.media.qcow2 import Qcow2
from assembler.media.vhd import DynamicVhd, FixedVhd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SEED = bytes(range(32))
MIB = 1 << 20
needs_qemu_img = pytest.mark.skipif(
    not shutil.which("qemu-img"), reason="qemu-img is not installed (Debian package qemu-utils)"
)


@dataclass(frozen=True)
class Container:
    """A container, what qemu-img calls it, and what its disks are multiples of."""

    driver: str
    write: Callable[[SparseImage, IO[bytes]], object]
    unit: int


CONTAINERS = {
    "qcow2": Container("qcow2", lambda d, f: sparse_image.write_image(Qcow2.plan(d), f), 512),
    "vhd": Container("vpc", lambda d, f: sparse_image.write_image(FixedVhd.plan(d, SEED), f), MIB),
    "dynamic": Container(
        "vpc", lambda d, f: sparse_image.write_image(DynamicVhd.plan(d, SEED), f), MIB
    ),
    "vmdk": Container("vmdk", lambda d, f: vmdk.write_vmdk(d, SEED, f), 1 << 16),
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IO[bytes]]:
    """Give a file with content that cannot be compressed."""
    path = tmp_path_factory.mktemp("source") / "content"
    path.write_bytes(random.Random(3).randbytes(8 * MIB))
    with path.open("rb") as file:
        yield file


def disk(source: IO[bytes], size: int = 70 * MIB) -> ExtentImage:
    """Return a disk with things of all sorts, next to each other and far apart."""
    handle = source.fileno()
    things = [
        (0, b"boot" * 128),
        (512, bytes(512) + b"table"),
        (65536 - 100, FileRange(handle, 200, 7)),
        (MIB, ContentChain((b"x" * 70000, FileRange(handle, 3 * MIB, 100), b"", b"y" * 3))),
        (20 * MIB + 1, FileRange(handle, 5 * MIB, 1000)),
        (50 * MIB, bytes(3 * MIB)),
        (59 * MIB - 1, b"zz"),
        (size - 512, b"last" * 128),
    ]
    return ExtentImage.of([t for t in things if t[0] < size], size)


def as_raw(wanted: SparseImage, path: Path, unit: int = 1) -> Path:
    """Write a disk as it is, filled up to a multiple of `unit`."""
    with path.open("w+b") as file:
        sparse_image.write_image(wanted, file)
        file.truncate(-(-wanted.size // unit) * unit)
    return path


def back(path: Path, driver: str) -> Path:
    """Return what qemu-img reads out of a container, having looked it over."""
    if driver == "qcow2":
        subprocess.run(["qemu-img", "check", "-q", "-f", driver, path], check=True)
    if driver == "vmdk":
        subprocess.run(["qemu-img", "check", "-q", "-f", driver, path], check=True)
    raw = path.with_suffix(".back")
    subprocess.run(["qemu-img", "convert", "-f", driver, "-O", "raw", path, raw], check=True)
    return raw


@needs_qemu_img
@pytest.mark.parametrize("size", [70 * MIB, 60 * MIB + 512, 777 * 512])
@pytest.mark.parametrize("name", CONTAINERS)
def test_qemu_reads_the_disk_that_went_in(
    name: str, size: int, source: IO[bytes], tmp_path: Path
) -> None:
    container, wanted = CONTAINERS[name], disk(source, size)
    path = tmp_path / f"disk.{name}"
    with path.open("w+b") as file:
        container.write(wanted, file)
    raw = as_raw(wanted, tmp_path / "raw", container.unit)
    found = back(path, container.driver)
    assert found.stat().st_size == raw.stat().st_size
    assert filecmp.cmp(raw, found, shallow=False)


@needs_qemu_img
@settings(
    max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(
    st.lists(st.tuples(st.integers(0, 20 * MIB), st.integers(1, 200_000)), max_size=5),
    st.sampled_from(sorted(CONTAINERS)),
)
def test_extents_may_have_any_offset(
    tmp_path_factory: pytest.TempPathFactory, spans: list[tuple[int, int]], name: str
) -> None:
    things, end = [], 0
    for offset, size in sorted(spans):
        if offset >= end:
            things.append((offset, random.Random(offset).randbytes(size)))
            end = offset + size
    wanted = ExtentImage.of(things, 21 * MIB)
    folder = tmp_path_factory.mktemp("spans")
    container = CONTAINERS[name]
    path = folder / "disk"
    with path.open("w+b") as file:
        container.write(wanted, file)
    raw = as_raw(wanted, folder / "raw", container.unit)
    assert filecmp.cmp(raw, back(path, container.driver), shallow=False)


@pytest.mark.parametrize("name", CONTAINERS)
def test_empty_blocks_use_no_space(name: str, tmp_path: Path) -> None:
    path = tmp_path / "disk"
    wanted = ExtentImage.of([(0, b"boot"), (1000 << 30, b"end")], 1001 << 30)
    with path.open("w+b") as file:
        CONTAINERS[name].write(wanted, file)
    assert path.stat().st_blocks * 512 < 8 * MIB


@pytest.mark.parametrize("name", CONTAINERS)
def test_the_bytes_depend_only_on_the_disk(name: str, source: IO[bytes], tmp_path: Path) -> None:
    written = []
    for number in range(2):
        path = tmp_path / f"name-{number}"
        with path.open("w+b") as file:
            CONTAINERS[name].write(disk(source), file)
        written.append(path)
    assert filecmp.cmp(*written, shallow=False)


@needs_qemu_img
def test_a_disk_of_terabytes_has_valid_tables(source: IO[bytes], tmp_path: Path) -> None:
    size = 3 << 40
    things = [(n * (123 << 30) + n, FileRange(source.fileno(), 4000, n)) for n in range(20)]
    path = tmp_path / "disk.qcow2"
    with path.open("w+b") as file:
        sparse_image.write_image(Qcow2.plan(ExtentImage.of(things, size)), file)
    done = subprocess.run(
        ["qemu-img", "check", "--output=json", path], check=True, capture_output=True
    )
    said = json.loads(done.stdout)
    assert said["check-errors"] == 0
    assert said["allocated-clusters"] == 20
    assert "leaks" not in said


def test_a_disk_too_large_for_vhd_is_refused() -> None:
    with pytest.raises(OutputError, match="too large for VHD"):
        DynamicVhd.plan(ExtentImage.of([], 3 << 40), SEED)


def test_vhd_is_whole_mebibytes_and_a_footer(source: IO[bytes]) -> None:
    fixed = FixedVhd.plan(disk(source, 777 * 512), SEED)
    assert fixed.size == MIB + 512
    footer = sparse_image.read_image(fixed, MIB, 512)
    assert footer[:8] == b"conectix"
    # Now and then the sum is checked by whoever imports it.
    summed = bytes(footer[:64]) + bytes(4) + bytes(footer[68:])
    assert int.from_bytes(footer[64:68], "big") == ~sum(summed) & 0xFFFFFFFF


class TestDiskInTar:
    def archive(self, wanted: SparseImage) -> io.BytesIO:
        out = io.BytesIO()
        disk_tar.write_disk_tar(wanted, out)
        out.seek(0)
        return out

    def test_python_reads_it(self, source: IO[bytes]) -> None:
        wanted = disk(source, 60 * MIB + 512)
        with tarfile.open(fileobj=self.archive(wanted)) as archive:
            (member,) = archive.getmembers()
            assert (member.name, member.size) == ("disk.raw", wanted.size)
            content = archive.extractfile(member)
            assert content is not None
            whole = b"".join(ContentChain(tuple(sparse_image.image_pieces(wanted))).chunks())
            # Without a comparison of all bytes in the message.
            assert hash(content.read()) == hash(whole)

    @pytest.mark.skipif(not shutil.which("tar"), reason="GNU tar is not installed")
    def test_gnu_tar_unpacks_it_sparse(self, source: IO[bytes], tmp_path: Path) -> None:
        # Enough pieces for a map that goes on behind the header, and more than 8 GiB.
        things = [(n * (MIB << 8) + n, FileRange(source.fileno(), 9000 + n)) for n in range(60)]
        wanted = ExtentImage.of(things, 60 * (MIB << 8))
        path = tmp_path / "disk.tar.gz"
        path.write_bytes(self.archive(wanted).getvalue())
        subprocess.run(["tar", "xzf", path, "-C", tmp_path], check=True)
        raw = as_raw(wanted, tmp_path / "raw")
        found = tmp_path / "disk.raw"
        assert found.stat().st_size == wanted.size
        assert found.stat().st_blocks * 512 < 4 * MIB
        with raw.open("rb") as one, found.open("rb") as other:
            for offset, content in things:
                one.seek(offset - 10 if offset else 0)
                other.seek(one.tell())
                assert one.read(content.size + 20) == other.read(content.size + 20)

    def test_holes_are_not_read_compressed_or_kept(self) -> None:
        wanted = ExtentImage.of([(0, b"a"), (500 << 30, b"b")], 501 << 30)
        assert len(self.archive(wanted).getvalue()) < 2000


@pytest.mark.slow
def test_containers_of_gigabytes_need_little_memory(tmp_path: Path) -> None:
    """All in a process of its own, whose peak the kernel knows."""
    path = tmp_path / "content"
    with path.open("wb") as file:
        file.truncate(2 << 30)
    script = f"""
import io
from pathlib import Path
from assembler.media import ExtentImage, write_image
from assembler.media.disk_tar import write_disk_tar
from assembler.media.vmdk import write_vmdk
from assembler.media.qcow2 import Qcow2
from assembler.media.vhd import DynamicVhd
from assembler.content import FileRange
class Nowhere(io.RawIOBase):
    def write(self, data): return len(data)
with Path({str(path)!r}).open("rb") as source, Path({str(tmp_path / "out")!r}).open("w+b") as out:
    disk = ExtentImage.of([(1 << 20, FileRange(source.fileno(), 2 << 30))], 3 << 30)
    write_vmdk(disk, bytes(32), Nowhere())
    write_disk_tar(disk, Nowhere())
    for made in (Qcow2.plan(disk), DynamicVhd.plan(disk, bytes(32))):
        out.truncate(0)
        write_image(made, out)
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
    )
    assert int(done.stdout) << 10 < 64 * MIB, done.stdout
