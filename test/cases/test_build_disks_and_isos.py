"""Disks and CDs that `dolmen build` makes: others find them whole, and they are always the same.

That they boot is tested in test/boot; here boot loaders and kernels are stand-ins.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from assembler.oci.store import Store
from support.archives import E, image
from support.cli import Dolmen
from support.loaders import BOOTLOADERS, KERNEL, add_loaders
from support.programs import kernel

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

YAML = f"""
kernel: {{image: "{KERNEL}", tar: none, cmdline: "console=ttyS0 quiet"}}
init: ["made/system:1"]
files:
  - {{path: etc/issue, contents: "hello"}}
"""
# By format: what the file is called.
ON_PCS = {
    "raw-bios": "-bios.img",
    "raw": ".img",
    "iso-bios": ".iso",
    "iso-efi": "-efi.iso",
    "iso-efi-initrd": "-efi-initrd.iso",
    "iso": "-hybrid.iso",
    "qcow2-bios": ".qcow2",
    "qcow2-efi": "-efi.qcow2",
    "vhd": ".vhd",
    "vmdk": ".vmdk",
    "gcp": ".img.tar.gz",
    "aws": ".raw",
    "azure": "-azure.vhd",
}
EVERYWHERE = ("iso-efi", "iso-efi-initrd", "qcow2-efi", "vhd", "vmdk", "gcp", "aws", "azure")
HIDDEN = ("qemu-img", "sgdisk", "sfdisk", "xorriso", "mkfs.vfat", "mcopy", "sbsign")
MIB = 1 << 20


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a store and an image.yml."""
    return fill(tmp_path_factory.mktemp("project"), "amd64")


def fill(folder: Path, architecture: str) -> Path:
    """Make a store and an image.yml."""
    store = Store(folder / "store")
    add_loaders(store, architecture)
    program = E("init", b"#!/bin/sh\n" * 9000, mode=0o755)
    image(store, "made/system:1", (program,), architecture=architecture)
    (folder / "image.yml").write_text(YAML)
    return folder


def build(
    dolmen: Dolmen,
    project: Path,
    out: Path,
    *options: str | Path,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Build with the stand-ins."""
    return dolmen.run(
        *("--cache", project / "store", "build", "--offline", "--no-sbom"),
        *("--bootloaders", BOOTLOADERS, "--dir", out, *options, project / "image.yml"),
        env=dict(env or {}),
    )


@pytest.fixture(scope="module")
def outputs(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with everything that is for PCs."""
    dolmen = Dolmen(tmp_path_factory.mktemp("home"))
    out = tmp_path_factory.mktemp("out")
    done = build(dolmen, project, out, "--format", ",".join(ON_PCS))
    assert done.returncode == 0, done.stderr
    return out


def run(*command: str | Path) -> str:
    """Run a program that has to be content, or skip where it is not installed."""
    if not shutil.which(str(command[0])):
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, errors="replace"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def part_of(path: Path, first: int, size: int, out: Path) -> Path:
    """Copy a part of a file."""
    with path.open("rb") as source:
        source.seek(first)
        out.write_bytes(source.read(size))
    return out


def test_files_have_linuxkits_names(outputs: Path) -> None:
    suffixes = [*ON_PCS.values(), "-pcrs.json"]
    assert {p.name for p in outputs.iterdir()} == {f"image{s}" for s in suffixes}


@pytest.mark.parametrize("suffix", ["-bios.img", ".img", ".raw"])
def test_disks_are_valid(outputs: Path, suffix: str, tmp_path: Path) -> None:
    path = outputs / f"image{suffix}"
    told = run("sfdisk", "--verify", path)
    assert "No errors" in told
    (partition,) = json.loads(run("sfdisk", "-J", path))["partitiontable"]["partitions"]
    assert partition["start"] == 2048
    if suffix == ".img":
        assert "No problems found" in run("sgdisk", "-v", path)
        assert "LegacyBIOSBootable" in partition["attrs"]
    else:
        assert partition["bootable"]
    volume = part_of(path, MIB, partition["size"] * 512, tmp_path / "volume")
    run("fsck.vfat", "-n", volume)
    files = run("mdir", "-b", "-/", "-i", volume, "::")
    wanted = {"::/kernel", "::/initrd.img", "::/syslinux.cfg", "::/ldlinux.c32"}
    wanted |= {"::/EFI/BOOT/BOOTX64.EFI", "::/loader/loader.conf"} if suffix == ".img" else set()
    assert wanted <= set(files.split())
    assert "APPEND console=ttyS0 quiet" in run("mtype", "-i", volume, "::/syslinux.cfg")


@pytest.mark.parametrize(
    ("suffix", "driver", "same"),
    [
        (".qcow2", "qcow2", "-bios.img"),
        (".vhd", "vpc", "-bios.img"),
        (".vmdk", "vmdk", "-bios.img"),
    ],
)
def test_disk_containers_have_the_disk(
    outputs: Path, suffix: str, driver: str, same: str, tmp_path: Path
) -> None:
    raw = tmp_path / "raw"
    run("qemu-img", "convert", "-f", driver, "-O", "raw", outputs / f"image{suffix}", raw)
    found, wanted = raw.read_bytes(), (outputs / f"image{same}").read_bytes()
    assert hash(found[: len(wanted)]) == hash(wanted)
    assert not found[len(wanted) :].strip(b"\0")


def test_gcp_disks_are_whole_gibibytes(outputs: Path) -> None:
    with tarfile.open(outputs / "image.img.tar.gz") as archive:
        (member,) = archive.getmembers()
    assert (member.name, member.size) == ("disk.raw", 1 << 30)
    assert (outputs / "image.img.tar.gz").stat().st_size < MIB


def test_azure_disks_are_whole_mebibytes_with_a_valid_table(outputs: Path, tmp_path: Path) -> None:
    path = outputs / "image-azure.vhd"
    assert path.stat().st_size % MIB == 512
    disk = part_of(path, 0, path.stat().st_size - 512, tmp_path / "disk")
    assert "No problems found" in run("sgdisk", "-v", disk)


@pytest.mark.parametrize("suffix", [".iso", "-efi.iso", "-efi-initrd.iso", "-hybrid.iso"])
def test_isos_have_the_files_of_both_boot_loaders(
    outputs: Path, suffix: str, tmp_path: Path
) -> None:
    path = outputs / f"image{suffix}"
    xorriso = ("xorriso", "-abort_on", "WARNING", "-report_about", "WARNING")
    run(*xorriso, "-osirrox", "on:auto_chmod_on", "-indev", path, "-extract", "/", tmp_path / "x")
    run("sfdisk", "--verify", path)
    out = tmp_path / "x"
    if suffix != "-efi.iso":
        assert hash((out / "kernel").read_bytes()) == hash(kernel())
        assert (out / "initrd.img").read_bytes()[:2] == b"\x1f\x8b"
    if suffix in (".iso", "-hybrid.iso"):
        text = (out / "isolinux/isolinux.cfg").read_text()
        assert "KERNEL /kernel\n" in text
        assert "INITRD /initrd.img\n" in text
    if suffix != ".iso":
        run("fsck.vfat", "-n", out / "boot/efi.img")
        files = run("mdir", "-b", "-/", "-i", out / "boot/efi.img", "::")
        assert "::/EFI/BOOT/BOOTX64.EFI" in files.split()
    if suffix in ("-efi-initrd.iso", "-hybrid.iso"):
        # Both in the FAT volume and beside it, and yet there once.
        assert "::/kernel" in files.split()
        assert (out / "boot/efi.img").stat().st_size + MIB > path.stat().st_size - 2 * MIB


@pytest.mark.slow
def test_arm64_disks_are_for_uefi(dolmen: Dolmen, tmp_path: Path) -> None:
    fill(tmp_path, "arm64")
    done = build(dolmen, tmp_path, tmp_path, "--format", ",".join(EVERYWHERE), "--arch", "arm64")
    assert done.returncode == 0, done.stderr
    assert "No problems found" in run("sgdisk", "-v", tmp_path / "image.raw")
    volume = part_of(tmp_path / "image.raw", MIB, 1 << 30, tmp_path / "volume")
    assert "::/EFI/BOOT/BOOTAA64.EFI" in run("mdir", "-b", "-/", "-i", volume, "::").split()


@pytest.mark.parametrize("name", ["raw-bios", "iso"])
def test_bios_formats_are_refused_for_arm64(
    dolmen: Dolmen, project: Path, tmp_path: Path, name: str
) -> None:
    done = build(dolmen, project, tmp_path, "--format", name, "--arch", "arm64")
    assert done.returncode == 1
    assert f"{name} is not for arm64" in done.stderr


def digests(out: Path) -> dict[str, str]:
    """Return the digests of all files."""
    found = {}
    for path in sorted(out.iterdir()):
        found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@pytest.mark.slow
def test_the_environment_does_not_affect_the_bytes(
    dolmen: Dolmen, project: Path, outputs: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere" / "project"
    shutil.copytree(project, moved)
    shutil.rmtree(moved / "store" / "segments", ignore_errors=True)
    for path in (moved / "store").rglob("*"):
        os.utime(path, (1, 1))
    out = tmp_path / "x"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "dolmen", "--cache", "store", "build", "--no-sbom"),
            *("--offline", "--bootloaders", BOOTLOADERS, "--jobs", "1", "--dir", out),
            *("--format", ",".join(reversed(ON_PCS)), "image.yml"),
        ],
        cwd=moved,
        env={
            "PATH": "",
            "HOME": str(dolmen.home),
            "TZ": "Asia/Kathmandu",
            "LC_ALL": "tr_TR.UTF-8",
            "PYTHONHASHSEED": "7",
        },
        umask=0o077,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert digests(out) == digests(outputs)


@pytest.mark.slow
def test_no_program_of_the_host_is_needed(dolmen: Dolmen, project: Path, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in HIDDEN:
        (programs / name).write_text("#!/bin/false\n")
        (programs / name).chmod(0o755)
    done = build(
        dolmen,
        project,
        tmp_path / "out",
        *("--format", ",".join(ON_PCS)),
        env={"PATH": str(programs)},
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["raw-bios", "raw", "azure"])
def test_a_disk_size_that_is_too_small_is_refused_with_a_sufficient_one(
    dolmen: Dolmen, project: Path, tmp_path: Path, name: str
) -> None:
    done = build(dolmen, project, tmp_path, "--format", name, "--size", "1M")
    assert done.returncode == 1
    assert "error[DM0609]" in done.stderr
    assert not list(tmp_path.glob("image*"))
    size = done.stderr.partition("hint: --size ")[2].split()[0]
    done = build(dolmen, project, tmp_path, "--format", name, "--size", size)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_disk_has_the_requested_size(dolmen: Dolmen, project: Path, tmp_path: Path) -> None:
    names = "raw-bios,raw,qcow2-efi,aws"
    done = build(dolmen, project, tmp_path, "--format", names, "--size", "700M")
    assert done.returncode == 0, done.stderr
    for suffix in ("-bios.img", ".img", ".raw"):
        status = (tmp_path / f"image{suffix}").stat()
        assert status.st_size == 700 * MIB
        assert status.st_blocks * 512 < 20 * MIB


def refused(
    dolmen: Dolmen, project: Path, tmp_path: Path, name: str, text: str, *options: str
) -> str:
    """Build what cannot boot; return what is said, nothing having been written."""
    yaml = tmp_path / "image.yml"
    yaml.write_text(text)
    done = dolmen.run(
        *("--cache", project / "store", "build", "--offline", "--no-sbom"),
        *("--bootloaders", BOOTLOADERS, "--format", name, "--dir", tmp_path, *options, yaml),
    )
    assert done.returncode == 1, done.stderr
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["image.yml"]
    return done.stderr


def test_a_kernel_that_a_bios_cannot_boot_is_refused(
    dolmen: Dolmen, project: Path, tmp_path: Path
) -> None:
    image(Store(project / "store"), "made/bare:1", (E("kernel", b"\x7fELF" + bytes(9000)),))
    text = YAML.replace(KERNEL, "made/bare:1")
    said = refused(dolmen, project, tmp_path, "raw-bios", text)
    assert "error[DM0620]: a BIOS cannot boot the kernel: it is not a bzImage" in said
    assert "leave out --decompress-kernel" in said


def test_a_command_line_too_long_for_a_bios(dolmen: Dolmen, project: Path, tmp_path: Path) -> None:
    text = YAML.replace("quiet", "x" * 2100)
    said = refused(dolmen, project, tmp_path, "iso-bios", text)
    assert "error[DM0620]: the kernel's command line is" in said


@pytest.mark.slow
def test_an_initrd_too_large_for_a_bios(dolmen: Dolmen, project: Path, tmp_path: Path) -> None:
    top = bytearray(kernel())
    top[0x206:0x208] = (0x20F).to_bytes(2, "little")
    # An initrd has to end below 64 MiB and 16 KiB; what lies below takes 64 MiB.
    top[0x22C:0x230] = ((64 << 20) + 0x4000).to_bytes(4, "little")
    noise = hashlib.shake_128(b"noise").digest(40000)
    store = Store(project / "store")
    image(store, "made/low:1", (E("kernel", bytes(top)),))
    image(store, "made/noise:1", (E("noise", noise),))
    text = YAML.replace(KERNEL, "made/low:1").replace("made/system:1", "made/noise:1")
    said = refused(dolmen, project, tmp_path, "iso", text)
    assert "error[DM0620]: the initrd has 0 MiB: the kernel takes one of up to 0 MiB" in said


def test_two_formats_of_one_name(dolmen: Dolmen, project: Path, tmp_path: Path) -> None:
    done = build(dolmen, project, tmp_path, "--format", "vhd,dynamic-vhd")
    assert done.returncode == 2
    assert "error[DM0621]: the formats vhd and dynamic-vhd both write NAME.vhd" in done.stderr


@pytest.mark.parametrize("name", ["iso-efi", "iso"])
def test_a_command_line_with_root_puts_the_system_on_the_iso(
    dolmen: Dolmen, project: Path, tmp_path: Path, name: str
) -> None:
    yaml = tmp_path / "image.yml"
    yaml.write_text(YAML.replace("quiet", "root=LABEL=DOLMEN"))
    done = dolmen.run(
        *("--cache", project / "store", "build", "--offline", "--no-sbom"),
        *("--bootloaders", BOOTLOADERS, "--format", name, "--dir", tmp_path, yaml),
    )
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("*.iso")
    run("xorriso", "-osirrox", "on", "-indev", path, "-extract", "/", tmp_path / "x")
    out = tmp_path / "x"
    assert (out / "etc/issue").read_text() == "hello"
    assert (out / "init").stat().st_mode & 0o777 == 0o755
    if name != "iso-efi":
        assert hash((out / "boot/kernel").read_bytes()) == hash(kernel())
        text = (out / "isolinux/isolinux.cfg").read_text()
        assert "KERNEL /boot/kernel\n    INITRD /boot/initrd.img\n" in text
        # The kernel finds it by itself, for this init knows no way: nothing is in the initrd.
        assert (out / "boot/initrd.img").stat().st_size < 300
