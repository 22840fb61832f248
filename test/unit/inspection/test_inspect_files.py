"""Files of every kind are inspected, from our writers and from other programs."""

from __future__ import annotations

import gzip
import io
import lzma
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
from typing import TYPE_CHECKING

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from assembler.content import FileRange, read_content
from assembler.errors import OutputError
from assembler.inspection import Inspection, inspect_file
from assembler.inspection.kinds import new_inspector
from assembler.inspection.source import BytesSource
from assembler.media import ExtentImage, gpt, image_content, pe, write_image
from assembler.media.fat import FatFile, FatVolume
from support.booting import archive
from support.programs import kernel, program

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILES = {
    "init": (0o100755, b"#!/bin/sh\n"),
    "etc": (0o040755, b""),
    "etc/hostname": (0o100644, b"guest"),
}
CMDLINE = "console=ttyS0 quiet"
LONG = "a long name " * 10 + "x"


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skip where a program is not installed."""
    missing = [p for p in programs if not shutil.which(p)]
    return pytest.mark.skipif(bool(missing), reason=f"{missing} not installed")


def unified() -> ExtentImage:
    """Return a unified kernel image."""
    return pe.add_pe_sections(
        program(),
        [(".cmdline", CMDLINE.encode()), (".initrd", archive(FILES)), (".linux", kernel())],
    )


def disk(size: int | None = None) -> gpt.GptDisk:
    """Return a disk with the image on a FAT volume."""
    files = [
        FatFile("EFI/BOOT/BOOTX64.EFI", image_content(unified())),
        FatFile("long name.txt", b"x"),
    ]
    volume = FatVolume.plan(files, label="ESP", size=size and gpt.gpt_partition_capacity(size))
    return gpt.GptDisk.plan(
        [gpt.GptPartition(gpt.ESP_TYPE, "EFI system", volume)], seed=b"m", size=size
    )


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Give such a disk as a file."""
    path = tmp_path / "disk.img"
    with path.open("w+b") as file:
        write_image(disk(), file)
    return path


def part(found: Inspection, *names: str) -> Inspection:
    """Return what lies in something, step by step."""
    for name in names:
        found = dict(found.parts)[name]
    return found


def check_disk(found: Inspection) -> None:
    """Check that all of the disk was seen."""
    assert found.kind == "disk"
    assert found.facts["partition table"] == "GPT"
    volume = part(found, "partition 1", "content")
    assert volume.kind.startswith("FAT")
    assert volume.facts["label"] == "ESP"
    assert [(f.path, f.size) for f in volume.files] == [
        ("EFI/BOOT/BOOTX64.EFI", unified().size),
        ("long name.txt", 1),
    ]
    image = part(volume, "EFI/BOOT/BOOTX64.EFI")
    assert image.kind == "unified kernel image"
    assert image.facts["command line"] == CMDLINE
    assert image.facts["signed"] is False
    check_initrd(part(image, ".initrd"), "gzip")
    assert part(image, ".linux").facts["version"] == "6.12.0-test (somebody@example.com) #1"
    problems = [f for f in (found, volume, image, *(p for _, p in image.parts)) if f.problem]
    assert not problems, problems


def check_initrd(found: Inspection, compression: str, entries: int = 3) -> None:
    """Check that all of the initrd was seen."""
    assert found.kind == "initrd"
    assert not found.problem
    assert found.facts["compression"] == compression
    assert found.facts["entries"] == entries
    assert "init" in [f.path for f in found.files]


def test_a_disk(raw: Path) -> None:
    check_disk(inspect_file(raw))


def test_a_volume_with_kernel_and_initrd_apart(tmp_path: Path) -> None:
    said = f"DEFAULT linux\nLABEL linux\n  KERNEL /kernel\n  APPEND {CMDLINE}\n"
    files = [
        FatFile("kernel", kernel()),
        FatFile("boot/initrd.img", archive(FILES)),
        FatFile("syslinux.cfg", said.encode()),
    ]
    with (tmp_path / "volume").open("w+b") as file:
        write_image(FatVolume.plan(files), file)
    found = inspect_file(tmp_path / "volume")
    assert found.facts["command line"] == CMDLINE
    assert part(found, "kernel").kind == "Linux kernel"
    check_initrd(part(found, "boot/initrd.img"), "gzip")


@needs("qemu-img")
@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (["-O", "qcow2"], "qcow2"),
        (["-c", "-O", "qcow2"], "qcow2"),
        (["-O", "qcow2", "-o", "cluster_size=4k"], "qcow2"),
        (["-O", "vpc", "-o", "subformat=fixed,force_size=on"], "fixed VHD"),
        (["-O", "vpc", "-o", "subformat=dynamic,force_size=on"], "dynamic VHD"),
        (["-O", "vmdk"], "VMDK"),
        (["-O", "vmdk", "-o", "subformat=streamOptimized"], "VMDK"),
    ],
)
def test_a_disk_in_a_container(raw: Path, options: list[str], kind: str) -> None:
    made = raw.with_name("made")
    subprocess.run(["qemu-img", "convert", "-f", "raw", *options, raw, made], check=True)
    found = inspect_file(made)
    assert found.kind == kind
    assert not found.problem
    assert found.facts["disk size"] == raw.stat().st_size
    check_disk(part(found, "disk"))


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "none": lambda data: data,
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "zstd": zstandard.compress,
    "xz": lambda data: lzma.compress(data, check=lzma.CHECK_CRC32),
}


@pytest.mark.parametrize("codec", PACKERS)
def test_an_initrd_of_several_archives(codec: str, tmp_path: Path) -> None:
    plain = gzip.decompress(archive(FILES))
    early = plain + bytes(-len(plain) % 512)
    packed = PACKERS[codec](plain + bytes(200) + plain)
    path = tmp_path / "initrd.img"
    path.write_bytes(early + packed + bytes(-len(packed) % 4) + PACKERS[codec](plain))
    found = inspect_file(path)
    check_initrd(found, "none" if codec == "none" else f"none, {codec}", 12)
    assert found.facts["archives"] == 4


@needs("lz4")
def test_an_initrd_packed_with_lz4(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(gzip.decompress(archive(FILES)))
    subprocess.run(["lz4", "-l", "-q", plain, tmp_path / "initrd"], check=True)
    check_initrd(inspect_file(tmp_path / "initrd"), "lz4")


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_tar(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    with tarfile.open(path, mode) as tar:
        for name, data in (("kernel", kernel()), ("cmdline", CMDLINE.encode()), ("d" * 150, b"")):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    found = inspect_file(path)
    assert found.kind.startswith("tar archive")
    assert found.facts["command line"] == CMDLINE
    assert [f.path for f in found.files] == ["kernel", "cmdline", "d" * 150]
    assert part(found, "kernel").kind == "Linux kernel"


def test_a_disk_in_a_tar(raw: Path) -> None:
    path = raw.with_name("image.tar.gz")
    with tarfile.open(path, "w:gz") as tar:
        tar.add(raw, "disk.raw")
    check_disk(part(inspect_file(path), "disk.raw"))


@needs("xorriso")
def test_an_iso(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "boot").mkdir(parents=True)
    volume = FatVolume.plan([FatFile("EFI/BOOT/BOOTX64.EFI", image_content(unified()))])
    with (tree / "boot" / "efi.img").open("w+b") as file:
        write_image(volume, file)
    (tree / "boot" / LONG).write_text("x")
    (tree / "kernel").write_bytes(kernel())
    subprocess.run(
        [
            *("xorriso", "-as", "mkisofs", "-quiet", "-V", "LABEL", "-R", "-eltorito-alt-boot"),
            *("-e", "boot/efi.img", "-no-emul-boot", "-o", tmp_path / "image.iso", tree),
        ],
        check=True,
        capture_output=True,
    )
    found = inspect_file(tmp_path / "image.iso")
    assert (found.kind, found.problem) == ("ISO", "")
    assert found.facts["label"] == "LABEL"
    assert {f.path for f in found.files} >= {f"boot/{LONG}", "kernel"}
    image = part(found, "boot by UEFI", "EFI/BOOT/BOOTX64.EFI")
    assert image.facts["command line"] == CMDLINE
    assert part(found, "kernel").facts["version"] == "6.12.0-test (somebody@example.com) #1"


@needs("mksquashfs", "mkfs.erofs")
def test_filesystems_that_are_only_read(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_text("x")
    squashfs, erofs = tmp_path / "root.squashfs", tmp_path / "root.erofs"
    subprocess.run(["mksquashfs", tree, squashfs, "-quiet", "-no-progress"], check=True)
    subprocess.run(["mkfs.erofs", erofs, tree], check=True, capture_output=True)
    found = inspect_file(squashfs)
    assert (found.kind, found.problem) == ("squashfs filesystem", "")
    assert found.facts["compression"] == "gzip"
    assert found.facts["inodes"] == 2
    found = inspect_file(erofs)
    assert (found.kind, found.problem) == ("erofs filesystem", "")
    squashfs.write_bytes(squashfs.read_bytes()[:100])
    assert inspect_file(squashfs).problem == "it is cut short"


def test_a_command_line(tmp_path: Path) -> None:
    (tmp_path / "image-cmdline").write_text(CMDLINE)
    assert inspect_file(tmp_path / "image-cmdline").facts["command line"] == CMDLINE


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02" * 1000, bytes(100_000)])
def test_an_unknown_kind(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(OutputError, match="DM0618"):
        inspect_file(tmp_path / "file")


def test_damage_is_reported_with_the_intact_parts(raw: Path) -> None:
    with raw.open("r+b") as file:
        file.seek(-512, 2)
        file.write(bytes(512))
    found = inspect_file(raw)
    assert "partition table" in found.problem
    assert part(found, "partition 1", "content").files
    cut = raw.read_bytes()[: raw.stat().st_size // 2]
    raw.write_bytes(cut)
    assert "it is not on the disk" in part(inspect_file(raw), "partition 1").problem


def test_a_decompression_bomb_takes_no_memory(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path = tmp_path / "bomb"
    compressor = zstandard.ZstdCompressor(level=1).compressobj()
    with path.open("wb") as file:
        for _ in range(1500):
            file.write(compressor.compress(bytes(1 << 20)))
        file.write(compressor.flush())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert inspect_file(path).facts["content"] == 1500 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150 << 10


def test_a_large_program_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.efi"
    with tempfile.TemporaryFile(dir=tmp_path) as zeros, path.open("w+b") as file:
        zeros.truncate(400 << 20)
        write_image(
            pe.add_pe_sections(program(), [(".initrd", FileRange(zeros.fileno(), 400 << 20))]), file
        )
    code = (
        "import sys; from pathlib import Path; from assembler.inspection import inspect_file\n"
        "found = inspect_file(Path(sys.argv[1])); assert found.facts['signed'] is False\n"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 64 << 10


def samples() -> dict[str, bytes]:
    """Return small files of every kind, to be broken."""
    volume = FatVolume.plan([FatFile("EFI/BOOT/BOOTX64.EFI", image_content(unified()))])
    plain = gzip.decompress(archive(FILES))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("x"))
    return {
        "disk": read_content(image_content(disk())),
        "volume": read_content(image_content(volume)),
        "program": read_content(image_content(unified())),
        "initrd": plain,
        "packed": archive(FILES),
        "zstd": zstandard.compress(plain),
        "tar": buffer.getvalue(),
        "qcow2": (b"QFI\xfb" + bytes(3) + b"\x03" + bytes(600)).ljust(9000, b"\1"),
        "vmdk": b"KDMV" + random.Random(1).randbytes(3000),
        "vhd": bytes(4096) + b"conectix" + random.Random(2).randbytes(504),
        "squashfs": b"hsqs" + random.Random(3).randbytes(200),
        "iso": bytes(0x8000) + b"\x01CD001\x01" + random.Random(4).randbytes(9000),
    }


SAMPLES = samples()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.sampled_from(sorted(SAMPLES)),
    st.lists(
        st.tuples(st.floats(0, 1), st.booleans(), st.binary(min_size=1, max_size=9)), max_size=4
    ),
    st.floats(0, 1),
)
def test_broken_files_cause_no_traceback(
    kind: str, changes: list[tuple[float, bool, bytes]], cut: float
) -> None:
    data = bytearray(SAMPLES[kind])
    for where, at_front, content in changes:
        reach = min(len(data), 1 << 12) if at_front else len(data)
        at = int(where * (reach - 1))
        data[at : at + len(content)] = content
    if cut < 0.3:
        data = data[: int(len(data) * cut * 3) + 1]
    found = new_inspector().inspect(BytesSource(bytes(data)))
    assert found is None or isinstance(found.as_json(), dict)
