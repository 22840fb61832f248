"""Programs and disks that boot: inspection finds the partitions, files and contents again."""

from __future__ import annotations

import struct
import tarfile
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from assembler.errors import OutputError
from assembler.inspection import Inspection, inspect_file
from assembler.media import KeySetOptions, Signer, generate_keys, read_signer
from assembler.suffixes import SUFFIXES
from support.archives import E, image
from support.formats import CMDLINE, SYSTEM, SmallSystem
from support.programs import kernel, program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1 << 20
ESP = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
BIOS_FILES = {"kernel", "initrd.img", "syslinux.cfg", "ldlinux.sys", "ldlinux.c32"}
LOADER_FILES = {"EFI/BOOT/BOOTX64.EFI", "loader/loader.conf", "loader/entries/linux.conf"}
# By format: its partition table, what inspection calls the file, and the files of its volume.
ON_PCS = {
    "raw-efi": ("GPT", "disk", {"EFI/BOOT/BOOTX64.EFI"}),
    "raw-bios": ("MBR", "disk", BIOS_FILES),
    "raw": ("GPT", "disk", BIOS_FILES | LOADER_FILES),
    "qcow2-bios": ("MBR", "qcow2", BIOS_FILES),
    "qcow2-efi": ("GPT", "qcow2", {"EFI/BOOT/BOOTX64.EFI"}),
    "vhd": ("MBR", "fixed VHD", BIOS_FILES),
    "dynamic-vhd": ("MBR", "dynamic VHD", BIOS_FILES),
    "vmdk": ("MBR", "VMDK", BIOS_FILES),
    "aws": ("MBR", "disk", BIOS_FILES),
    "azure": ("GPT", "fixed VHD", BIOS_FILES | LOADER_FILES),
}
ON_ARM64 = ("raw-efi", "qcow2-efi", "vhd", "dynamic-vhd", "vmdk", "aws", "azure")


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    """Give a key to sign with."""
    folder = tmp_path_factory.mktemp("keys")
    generate_keys(folder, KeySetOptions("Test", datetime(2026, 1, 1, tzinfo=UTC)))
    return read_signer(folder / "db.key", folder / "db.crt", lambda: "")


def every(found: Inspection) -> Iterator[Inspection]:
    """Yield an inspection and all that is nested in it."""
    yield found
    for _, part in found.parts:
        yield from every(part)


def written(system: SmallSystem, folder: Path, name: str) -> Inspection:
    """Write a format and inspect its file, in which nothing may be corrupt."""
    (output,) = system.write(folder, name)
    assert output.path is not None
    assert output.path.name == f"os{SUFFIXES[name][output.role]}"
    assert output.size == output.path.stat().st_size
    found = inspect_file(output.path)
    assert [part.problem for part in every(found) if part.problem] == []
    return found


def disk_of(found: Inspection) -> Inspection:
    """Return the disk in a container, or the disk itself."""
    return found if found.kind == "disk" else dict(found.parts)["disk"]


def volume_of(found: Inspection) -> Inspection:
    """Return the only volume of a disk."""
    ((_, partition),) = disk_of(found).parts
    return dict(partition.parts)["content"]


def test_a_unified_kernel_image_has_kernel_initrd_and_command_line(
    system: SmallSystem, tmp_path: Path
) -> None:
    found = written(system, tmp_path, "uki")
    assert found.kind == "unified kernel image"
    assert found.facts["architecture"] == "amd64"
    assert found.facts["command line"] == CMDLINE
    assert str(found.facts["kernel version"]).startswith("6.12.0-test")
    assert found.facts["signed"] is False
    parts = dict(found.parts)
    assert parts[".linux"].size == len(kernel())
    assert {"bin/init", "etc/issue"} <= {file.path for file in parts[".initrd"].files}


@pytest.mark.parametrize("name", ON_PCS)
def test_a_disk_has_one_volume_with_the_system(
    name: str, system: SmallSystem, tmp_path: Path
) -> None:
    table, kind, files = ON_PCS[name]
    found = written(system, tmp_path, name)
    assert found.kind == kind
    disk = disk_of(found)
    assert disk.facts["partition table"] == table
    volume = volume_of(found)
    assert {file.path for file in volume.files} == files
    command_lines = [part.facts.get("command line") for part in every(volume)]
    assert CMDLINE in command_lines
    if "kernel" in files:
        assert disk.facts["boot code for a BIOS"] is True
        sizes = {file.path: file.size for file in volume.files}
        assert sizes["kernel"] == len(kernel())
        initrd = dict(volume.parts)["initrd.img"]
        assert {"bin/init", "etc/issue"} <= {file.path for file in initrd.files}


@pytest.mark.parametrize("name", ON_ARM64)
def test_a_disk_for_arm64_boots_by_uefi(name: str, arm_system: SmallSystem, tmp_path: Path) -> None:
    found = written(arm_system, tmp_path, name)
    assert disk_of(found).facts["partition table"] == "GPT"
    assert {file.path for file in volume_of(found).files} >= {"EFI/BOOT/BOOTAA64.EFI"}


def test_a_disk_for_uefi_is_a_partition_table_and_a_volume(
    system: SmallSystem, tmp_path: Path
) -> None:
    written(system, tmp_path, "raw-efi")
    data = (tmp_path / "os-efi.img").read_bytes()
    assert data[512:520] == b"EFI PART"
    kind, _, first, last = struct.unpack_from("<16s16sQQ", data, 1024)
    assert uuid.UUID(bytes_le=kind) == ESP
    assert first * 512 == MIB
    volume = data[first * 512 : (last + 1) * 512]
    assert volume[510:512] == b"\x55\xaa"
    assert data[-512:-504] == b"EFI PART"


def test_a_disk_for_googles_cloud_is_in_a_tar(system: SmallSystem, tmp_path: Path) -> None:
    system.write(tmp_path, "gcp,aws")
    path = tmp_path / "os.img.tar.gz"
    with tarfile.open(path) as archive:
        (member,) = archive.getmembers()
        assert (member.name, member.size) == ("disk.raw", 1 << 30)
        file = archive.extractfile(member)
        assert file is not None
        head = file.read(8 * MIB)
    raw = (tmp_path / "os.raw").read_bytes()
    volume = head[MIB:]
    assert head[:440] == raw[:440]
    for name in (b"KERNEL     ", b"INITRD  IMG"):
        assert name in volume
    assert path.stat().st_size < 100_000


def test_a_disk_has_the_requested_size(system: SmallSystem, tmp_path: Path) -> None:
    options = system.options(disk_size=20 * MIB)
    for output in system.write(tmp_path, "raw-efi,raw-bios,raw", options=options):
        assert output.size == 20 * MIB
    found = inspect_file(tmp_path / "os.img")
    assert found.problem == ""
    assert volume_of(found).size == 18 * MIB


@pytest.mark.parametrize("name", ["raw-efi", "raw-bios", "raw", "vhd"])
def test_a_disk_that_is_too_small_is_refused_with_a_size_that_is_enough(
    name: str, system: SmallSystem, tmp_path: Path
) -> None:
    image(system.store, "test/large:1", (E("large", bytes(range(256)) * 20_000),))
    yaml = f'kernel: {{image: "made/bootable:1", tar: none}}\ninit: ["{SYSTEM}", "test/large:1"]\n'
    with pytest.raises(OutputError, match=r"does not fit on a disk of 1 MiB") as caught:
        system.write(tmp_path, name, yaml=yaml, options=system.options(disk_size=MIB))
    hint = caught.value.diagnostics[0].hints[0]
    assert hint.endswith("M is enough")
    size = int(hint.split()[1].removesuffix("M")) * MIB
    system.write(tmp_path, name, yaml=yaml, options=system.options(disk_size=size))


def test_formats_of_one_run_have_the_same_disk(system: SmallSystem, tmp_path: Path) -> None:
    options = system.options()
    system.write(tmp_path, "raw-bios,aws,qcow2-bios", options=options)
    assert list(options.cache.disks) == [("bios", 512)]
    assert (tmp_path / "os-bios.img").read_bytes() == (tmp_path / "os.raw").read_bytes()


def test_signed_outputs_have_valid_signatures(
    system: SmallSystem, signer: Signer, tmp_path: Path
) -> None:
    options = system.options(signer=signer)
    system.write(tmp_path, "uki,raw-efi,raw", options=options)
    for suffix in (".efi", "-efi.img", ".img"):
        signers = set(inspect_file(tmp_path / f"os{suffix}").signers())
        assert len(signers) == 1, suffix
    assert inspect_file(tmp_path / "os.efi").facts["signature holds"] is True


@pytest.mark.parametrize("name", ["uki", "raw-efi", "raw", "iso-efi"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x1f\x8b" + bytes(600), "compressed with gzip as a whole"),
        (bytes(600), "has no EFI stub"),
        (program(machine=0xAA64), "the kernel is for arm64, and the system for amd64"),
    ],
)
def test_a_kernel_that_uefi_cannot_start_is_refused(
    name: str, content: bytes, message: str, system: SmallSystem, tmp_path: Path
) -> None:
    # A BIOS checks the kernel as well: what it reads of a bzImage is there.
    data = bytearray(content.ljust(0x600, b"\0"))
    if name == "raw":
        data[0x202:0x206] = b"HdrS"
    image(system.store, "test/kernel:bad", (E("kernel", bytes(data)),))
    yaml = f'kernel: {{image: "test/kernel:bad", tar: none}}\ninit: ["{SYSTEM}"]\n'
    with pytest.raises(OutputError, match=message):
        system.write(tmp_path, name, yaml=yaml)
    assert not list(tmp_path.iterdir())


def bzimage(protocol: int, top: int, longest: int) -> bytes:
    """Return a kernel whose header has these limits."""
    data = bytearray(kernel())
    struct.pack_into("<H", data, 0x206, protocol)
    struct.pack_into("<I", data, 0x22C, top)
    struct.pack_into("<I", data, 0x238, longest)
    return bytes(data)


@pytest.mark.parametrize(
    ("content", "cmdline", "message"),
    [
        (bytes(600), "", "it is not a bzImage"),
        (b"\x7fELF" + bytes(600), "", "leave out --decompress-kernel"),
        (
            bzimage(0x206, 0x7FFFFFFF, 100),
            "x" * 101,
            "101 bytes long; the limit for BIOS boot is 100",
        ),
        (bzimage(0x206, 0x7FFFFFFF, 0), "x" * 2048, "the limit for BIOS boot is 2047"),
        (bzimage(0x205, 0x7FFFFFFF, 0), "x" * 256, "the limit for BIOS boot is 255"),
        (bzimage(0x206, 64 << 20, 0), "", "takes one of up to 0 MiB from a BIOS"),
    ],
)
@pytest.mark.parametrize("name", ["raw-bios", "iso-bios"])
def test_a_kernel_that_a_bios_cannot_load_is_refused(
    name: str, content: bytes, cmdline: str, message: str, system: SmallSystem, tmp_path: Path
) -> None:
    image(system.store, "test/kernel:bios", (E("kernel", content),))
    yaml = (
        f'kernel: {{image: "test/kernel:bios", tar: none, cmdline: "{cmdline}"}}\n'
        f'init: ["{SYSTEM}"]\n'
    )
    with pytest.raises(OutputError, match=f"(?s)DM0620.*{message}"):
        system.write(tmp_path, name, yaml=yaml)
    assert not list(tmp_path.iterdir())


def test_an_output_has_the_same_bytes_each_time(system: SmallSystem, tmp_path: Path) -> None:
    names = "uki,raw-efi,raw-bios,raw,qcow2-bios,vhd,vmdk,gcp"
    for run in ("one", "two"):
        system.write(tmp_path / run, names)
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name
