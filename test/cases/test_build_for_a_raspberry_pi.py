"""A user builds the files of a Raspberry Pi 3, with firmware from an image of their own."""

from __future__ import annotations

import gzip
import tarfile
from typing import TYPE_CHECKING

import pytest

from assembler.oci.store import Store
from support.archives import E, directory, hardlink, image
from support.cli import Dolmen
from support.cpio import archives_of

if TYPE_CHECKING:
    from pathlib import Path

KERNEL = bytes(56) + b"ARM\x64" + bytes(5000)
FIRMWARE = (
    directory("usr/lib/raspi-firmware/overlays"),
    E("usr/lib/raspi-firmware/bootcode.bin", b"boot"),
    E("usr/lib/raspi-firmware/start.elf", b"start"),
    hardlink("usr/lib/raspi-firmware/fixup.dat", "usr/lib/raspi-firmware/start.elf"),
    E("usr/lib/raspi-firmware/start4.elf", b"of another model"),
    E("usr/lib/raspi-firmware/overlays/miniuart-bt.dtbo", b"overlay"),
    E("usr/lib/linux-image/broadcom/bcm2837-rpi-3-b.dtb", b"tree"),
    E("usr/lib/linux-image/broadcom/bcm2711-rpi-4-b.dtb", b"of another model"),
)


def project(folder: Path, kernel: bytes = KERNEL, firmware: tuple[E, ...] = FIRMWARE) -> Dolmen:
    store = Store(folder / "store")
    image(store, "t/kernel:1", (E("kernel", kernel),), architecture="arm64")
    image(store, "t/root:1", (directory("bin"), E("bin/a", b"x")), architecture="arm64")
    image(store, "t/firmware:1", firmware, architecture="arm64")
    (folder / "pi.yml").write_text(
        "kernel: {image: 't/kernel:1', tar: none, cmdline: 'console=ttyS1,115200'}\n"
        "init: ['t/root:1']\n"
    )
    return Dolmen(folder)


def build(dolmen: Dolmen, *more: str) -> tuple[int, str]:
    done = dolmen.run(
        *("--cache", "store", "build", "--offline", "--no-sbom", "--arch", "arm64"),
        *("--format", "rpi3", *more, "pi.yml"),
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("kernel", [KERNEL, gzip.compress(KERNEL, mtime=0)])
def test_the_card_has_the_files_of_the_firmware(tmp_path: Path, kernel: bytes) -> None:
    status, said = build(project(tmp_path, kernel), "--firmware", "t/firmware:1")
    assert status == 0, said
    with tarfile.open(tmp_path / "pi.tar") as archive:
        files = {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]
    assert list(files) == [
        *("bcm2837-rpi-3-b.dtb", "bootcode.bin", "cmdline.txt", "config.txt", "fixup.dat"),
        *("overlays/miniuart-bt.dtbo", "start.elf", "kernel8.img", "initrd.img"),
    ]
    assert files["fixup.dat"] == files["start.elf"] == b"start"
    assert files["kernel8.img"] == kernel
    assert files["cmdline.txt"] == b"console=ttyS1,115200\n"
    assert b"initramfs initrd.img followkernel\n" in files["config.txt"]
    assert "bin/a" in {e.name for found in archives_of(files["initrd.img"]) for e in found}


@pytest.mark.parametrize(
    ("options", "firmware", "kernel", "message"),
    [
        ((), FIRMWARE, KERNEL, "--firmware IMAGE"),
        (("--firmware", "t/root:1"), FIRMWARE, KERNEL, "t/root:1 has no bootcode.bin"),
        (("--firmware", "t/firmware:1"), FIRMWARE, b"MZ" + KERNEL[:50], "--decompress-kernel"),
        (("--firmware", "t/nowhere:1"), FIRMWARE, KERNEL, "t/nowhere:1"),
    ],
)
def test_missing_firmware_is_an_error(
    tmp_path: Path, options: tuple[str, ...], firmware: tuple[E, ...], kernel: bytes, message: str
) -> None:
    status, said = build(project(tmp_path, kernel, firmware), *options)
    assert status == 1
    assert message in said
    assert not (tmp_path / "pi.tar").exists()
