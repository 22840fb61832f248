"""The kind of an image is detected from its content."""

from __future__ import annotations

import shutil
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from assembler import magics
from assembler.errors import MachineError
from assembler.machine.disks import create_disk
from assembler.machine.image_detection import ImageKind, detect_image
from assembler.machine.metadata_cd import write_cd

if TYPE_CHECKING:
    from pathlib import Path

BZIMAGE = bytes(0x1FE) + b"\x55\xaa" + b"\xeb\x6a" + b"HdrS" + bytes(600)
ARM64 = bytes(56) + b"ARM\x64" + bytes(600)


def iso(path: Path, platforms: tuple[int, ...] = (0,)) -> Path:
    """Write an ISO with a boot catalog for the platforms."""
    write_cd(path, {"a": b"x"})
    data = bytearray(path.read_bytes())
    record = b"\0CD001\x01EL TORITO SPECIFICATION".ljust(0x47, b"\0") + struct.pack("<I", 30)
    # The volume's descriptor, the boot record, and the end of descriptors.
    data[18 * 2048 : 19 * 2048] = data[17 * 2048 : 18 * 2048]
    data[17 * 2048 : 18 * 2048] = record.ljust(2048, b"\0")
    catalog = bytes((1, platforms[0])).ljust(64, b"\0")
    for platform in platforms[1:]:
        catalog += bytes((0x91, platform)).ljust(64, b"\0")
    data += bytes(30 * 2048 - len(data)) + catalog.ljust(2048, b"\0")
    path.write_bytes(data)
    return path


def test_a_prefix_stands_for_kernel_initrd_and_command_line(tmp_path: Path) -> None:
    (tmp_path / "a-kernel").write_bytes(BZIMAGE)
    (tmp_path / "a-initrd.img").write_bytes(b"x")
    (tmp_path / "a-cmdline").write_text("console=ttyS0\n")
    image = detect_image(tmp_path / "a")
    assert image.kernel is not None
    assert (image.kind, image.architecture) == (ImageKind.KERNEL, "amd64")
    assert image.kernel.cmdline == "console=ttyS0"
    assert image.kernel.initrd == tmp_path / "a-initrd.img"


def test_a_squashfs_is_used_without_an_initrd_or_on_request(tmp_path: Path) -> None:
    (tmp_path / "a-kernel").write_bytes(ARM64)
    (tmp_path / "a-squashfs.img").write_bytes(b"hsqs")
    assert detect_image(tmp_path / "a").root == tmp_path / "a-squashfs.img"
    (tmp_path / "a-initrd.img").write_bytes(b"x")
    assert detect_image(tmp_path / "a").root is None
    assert detect_image(tmp_path / "a", squashfs=True).root
    assert detect_image(tmp_path / "a").architecture == "arm64"


@pytest.mark.parametrize(
    ("platforms", "only_uefi"), [((0,), False), ((0xEF,), True), ((0, 0xEF), False)]
)
def test_the_firmware_of_an_iso_is_detected(
    tmp_path: Path, platforms: tuple[int, ...], *, only_uefi: bool
) -> None:
    image = detect_image(iso(tmp_path / "called.img", platforms))
    assert (image.kind, image.only_uefi) == (ImageKind.ISO, only_uefi)


def test_a_kernel_of_s390x_is_detected(tmp_path: Path) -> None:
    (tmp_path / "a-kernel").write_bytes(bytes(0x10008) + b"S390EP\0\x01" + bytes(600))
    (tmp_path / "a-initrd.img").write_bytes(b"x")
    assert detect_image(tmp_path / "a").architecture == "s390x"


def test_an_erofs_is_found_by_its_prefix(tmp_path: Path) -> None:
    (tmp_path / "a-kernel").write_bytes(BZIMAGE)
    (tmp_path / "a-erofs.img").write_bytes(b"x")
    image = detect_image(tmp_path / "a")
    assert image.root == tmp_path / "a-erofs.img"
    assert image.kernel is not None
    assert image.kernel.initrd is None
    (tmp_path / "a-erofs-initrd.img").write_bytes(b"x")
    early = detect_image(tmp_path / "a").kernel
    assert early is not None
    assert early.initrd == tmp_path / "a-erofs-initrd.img"
    with pytest.raises(MachineError, match=r"a-squashfs\.img not found"):
        detect_image(tmp_path / "a", squashfs=True)
    # A squashfs and an initrd are preferred.
    (tmp_path / "a-squashfs.img").write_bytes(b"hsqs")
    assert detect_image(tmp_path / "a").root == tmp_path / "a-squashfs.img"
    (tmp_path / "a-initrd.img").write_bytes(b"x")
    assert detect_image(tmp_path / "a").root is None


GPT_HEAD = bytes(446) + b"\0\0\x02\0\xee".ljust(64, b"\0") + b"\x55\xaa"
BIOS_HEAD = b"code".ljust(446, b"\0") + b"\x80\0\x02\0\xee".ljust(64, b"\0") + b"\x55\xaa"


@pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img is not installed")
@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("qcow2", ()),
        ("qcow2", ("-c",)),
        ("vpc", ("-o", "subformat=fixed,force_size=on")),
        ("vpc", ("-o", "subformat=dynamic")),
        ("vmdk", ("-o", "subformat=monolithicSparse")),
        ("vmdk", ("-o", "subformat=streamOptimized")),
    ],
)
def test_a_disk_for_uefi_is_found_in_a_container(
    tmp_path: Path, form: str, options: tuple[str, ...]
) -> None:
    for head, only_uefi in ((GPT_HEAD, True), (BIOS_HEAD, False), (bytes(512), False)):
        raw, path = tmp_path / "raw", tmp_path / "disk"
        raw.write_bytes(head + bytes((4 << 20) - len(head)))
        convert = ["qemu-img", "convert", "-f", "raw", "-O", form, *options, raw, path]
        subprocess.run(convert, check=True)
        image = detect_image(path)
        assert (image.kind, image.format) == (ImageKind.DISK, form)
        assert image.only_uefi is only_uefi


def test_a_damaged_container_is_still_a_disk(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(magics.QCOW2 + b"\0\0\0\x03" + bytes(60))
    image = detect_image(path)
    assert (image.kind, image.format, image.only_uefi) == (ImageKind.DISK, "qcow2", False)


def test_an_iso_without_a_boot_loader_is_refused(tmp_path: Path) -> None:
    write_cd(tmp_path / "data.iso", {"config": b"x"})
    with pytest.raises(MachineError, match="without a boot loader"):
        detect_image(tmp_path / "data.iso")


def test_disks_are_detected_by_their_content(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    create_disk(path, "qcow2", 1 << 30)
    assert (detect_image(path).kind, detect_image(path).format) == (ImageKind.DISK, "qcow2")
    path.write_bytes(b"code".ljust(510, b"\0") + b"\x55\xaa" + bytes(512))
    assert (detect_image(path).format, detect_image(path).only_uefi) == ("raw", False)
    protective = bytes(450) + b"\xee" + bytes(59) + b"\x55\xaa" + bytes(512)
    path.write_bytes(protective)
    assert detect_image(path).only_uefi


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\x1f\x8b\x08", "gzip"),
        (b"070701", "initrd: give the prefix"),
        (b"hsqs", "squashfs"),
        (b"\0" * 257 + b"ustar", "tar"),
        (b"", "neither a boot sector"),
        (b"kernel: x", "neither a boot sector"),
    ],
)
def test_other_files_are_refused_with_a_hint(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "thing"
    path.write_bytes(content)
    with pytest.raises(MachineError, match=told):
        detect_image(path)


def test_a_missing_image_is_refused_with_similar_names(tmp_path: Path) -> None:
    (tmp_path / "web-kernel").write_bytes(BZIMAGE)
    with pytest.raises(MachineError, match=r"images in .*: web"):
        detect_image(tmp_path / "wbe")
    with pytest.raises(MachineError, match=r"not web-initrd\.img"):
        detect_image(tmp_path / "web")
    with pytest.raises(MachineError, match="directory"):
        detect_image(tmp_path)
