"""A user builds programs and disks for UEFI, signs them, and inspects them."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from assembler.catalog import catalog_directory
from assembler.helper_images.catalog import BOOTLOADERS as KIND
from assembler.oci.store import Store
from assembler.packages import hash_directory
from support.archives import E, directory, image
from support.nobody import LAUNCHER, NOBODY, why_not
from support.programs import kernel
from support.workloads import BOOTLOADERS, add_boot_images

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen

RECIPE = catalog_directory(KIND.name)
YAML = """
kernel: {image: 'made/kernel:1', tar: none, cmdline: 'console=ttyS0 quiet'}
init: ['made/root:1']
"""
OPTIONS = ("--offline", "--arch", "amd64", "--no-sbom", "--bootloaders", BOOTLOADERS)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Give a directory with image.yml, and a store with its images."""
    work = tmp_path / "work"
    work.mkdir()
    store = Store(work / "store")
    image(store, "made/root:1", (directory("etc"), E("init", b"#!/bin/sh\n", mode=0o755)))
    add_boot_images(store)
    (work / "image.yml").write_text(YAML)
    return work


def build(dolmen: Dolmen, work: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Build in the directory, without a socket."""
    return dolmen.run("--cache", work / "store", "build", *OPTIONS, *words, "image.yml", cwd=work)


def looked_at(dolmen: Dolmen, path: Path) -> dict[str, object]:
    """Return what `dolmen inspect` says."""
    done = dolmen.run("inspect", "--json", path)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_a_program_with_kernel_initrd_and_command_line(dolmen: Dolmen, work: Path) -> None:
    done = build(dolmen, work, "--format", "uki,kernel+initrd")
    assert done.returncode == 0, done.stderr
    found = looked_at(dolmen, work / "image.efi")
    assert found["kind"] == "unified kernel image"
    assert found["command line"] == "console=ttyS0 quiet"
    assert found["kernel version"] == "6.12.0-test"
    assert found["signed"] is False
    data = (work / "image.efi").read_bytes()
    # The very kernel and initrd that the other format has.
    assert (work / "image-kernel").read_bytes() in data
    assert (work / "image-initrd.img").read_bytes() in data


@pytest.mark.skipif(
    not all(map(shutil.which, ("fsck.vfat", "mcopy", "sgdisk"))),
    reason="dosfstools, mtools or gdisk is not installed",
)
@pytest.mark.parametrize("size", [None, "64M", pytest.param("700M", marks=pytest.mark.slow)])
def test_a_disk(dolmen: Dolmen, work: Path, size: str | None, tmp_path: Path) -> None:
    done = build(dolmen, work, "--format", "uki,raw-efi", *(("--size", size) if size else ()))
    assert done.returncode == 0, done.stderr
    disk = work / "image-efi.img"
    if size:
        assert disk.stat().st_size == int(size[:-1]) << 20
        # It is sparse.
        assert disk.stat().st_blocks * 512 < 2 << 20
    said = subprocess.run(["sgdisk", "-v", disk], capture_output=True, text=True, check=True)
    assert "No problems found" in said.stdout
    volume = tmp_path / "volume"
    with disk.open("rb") as file, volume.open("wb") as out:
        file.seek(1 << 20)
        shutil.copyfileobj(file, out)
        out.truncate(disk.stat().st_size - (2 << 20))
    subprocess.run(["fsck.vfat", "-n", volume], check=True, capture_output=True)
    content = subprocess.run(
        ["mcopy", "-n", "-i", f"{disk}@@1M", "::EFI/BOOT/BOOTX64.EFI", "-"],
        capture_output=True,
        check=True,
    ).stdout
    assert content == (work / "image.efi").read_bytes()


def test_a_disk_size_that_is_too_small_is_refused_with_a_sufficient_one(
    dolmen: Dolmen, work: Path
) -> None:
    (work / "large").write_bytes(os.urandom(9 << 20))
    files = "\nfiles: [{path: large, source: large, mode: '0644'}]\n"
    (work / "image.yml").write_text(YAML + files)
    done = build(dolmen, work, "--format", "kernel+initrd,raw-efi", "--size", "8M")
    assert done.returncode == 1
    assert "DM0609" in done.stderr
    # Nor is anything else written.
    assert not list(work.glob("image-*"))
    would_do = done.stderr.split("--size ")[1].split()[0]
    done = build(dolmen, work, "--format", "raw-efi", "--size", would_do)
    assert done.returncode == 0, done.stderr


def test_a_signed_program_is_signed(dolmen: Dolmen, work: Path) -> None:
    made = dolmen.run("keys", "generate", "--name", "Example", work / "keys")
    assert made.returncode == 0, made.stderr
    assert {p.name for p in (work / "keys").iterdir()} == {
        "GUID",
        *(f"{n}.{end}" for n in ("PK", "KEK", "db") for end in ("key", "crt", "esl", "auth")),
    }
    signing = ("--secure-boot-key", "keys/db.key", "--secure-boot-cert", "keys/db.crt")
    done = build(dolmen, work, "--format", "uki,raw-efi", *signing)
    assert done.returncode == 0, done.stderr
    found = looked_at(dolmen, work / "image.efi")
    assert found["signature"] == "by CN=Example db, which holds"
    for name in ("image.efi", "image-efi.img"):
        ours = dolmen.run("inspect", "--cert", work / "keys" / "db.crt", work / name)
        assert ours.returncode == 0, ours.stderr
        theirs = dolmen.run("inspect", "--cert", work / "keys" / "KEK.crt", work / name)
        assert theirs.returncode == 1
        assert "DM0619" in theirs.stderr
    told = dolmen.run("inspect", work / "image-efi.img").stdout
    assert "signature: by CN=Example db, which holds" in told
    if shutil.which("sbverify"):
        subprocess.run(
            ["sbverify", "--cert", work / "keys" / "db.crt", work / "image.efi"],
            check=True,
            capture_output=True,
        )
    again = dolmen.run("keys", "generate", work / "keys")
    assert again.returncode == 1
    assert "never overwritten" in again.stderr


@pytest.mark.slow
def test_the_passphrase_of_an_encrypted_key(dolmen: Dolmen, work: Path) -> None:
    known = {"DOLMEN_SECURE_BOOT_PASSPHRASE": "a secret"}
    dolmen.run("keys", "generate", "--encrypt", work / "keys", env=known, check=True)
    signing = ("--secure-boot-key", "keys/db.key", "--secure-boot-cert", "keys/db.crt")
    command = ("--cache", work / "store", "build", *OPTIONS, "--format", "uki", *signing)
    done = dolmen.run(*command, "image.yml", cwd=work)
    assert done.returncode != 0
    assert "DOLMEN_SECURE_BOOT_PASSPHRASE" in done.stderr
    done = dolmen.run(*command, "image.yml", cwd=work, env=known)
    assert done.returncode == 0, done.stderr
    unsigned = build(dolmen, work, "--format", "kernel+initrd", *signing)
    assert unsigned.returncode == 1
    assert "DM0641" in unsigned.stderr
    assert "--secure-boot-key has no effect on kernel+initrd" in unsigned.stderr
    half = build(dolmen, work, "--format", "uki", "--secure-boot-key", "keys/db.key")
    assert half.returncode != 0
    assert "go together" in half.stderr


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\x7fELF" + bytes(99), "it has no EFI stub"),
        (gzip.compress(kernel(), mtime=0), "it is compressed with gzip as a whole"),
        (kernel(machine=0xAA64), "the kernel is for arm64, and the system for amd64"),
    ],
)
def test_a_kernel_that_uefi_cannot_start(
    dolmen: Dolmen, work: Path, content: bytes, told: str
) -> None:
    image(Store(work / "store"), "made/other:1", (E("kernel", content),))
    (work / "image.yml").write_text(YAML.replace("made/kernel", "made/other"))
    done = build(dolmen, work, "--format", "raw-efi")
    assert done.returncode == 1
    assert told in done.stderr
    assert "DM0612" in done.stderr
    assert not (work / "image-efi.img").exists()


def test_uefi_formats_are_refused_for_other_architectures(dolmen: Dolmen, work: Path) -> None:
    done = build(dolmen, work, "--format", "uki", "--arch", "s390x")
    assert done.returncode == 1
    assert "the format uki is not for s390x" in done.stderr
    assert "amd64, arm64, riscv64" in done.stderr


def test_a_command_line_without_a_console_has_a_hint(dolmen: Dolmen, work: Path) -> None:
    (work / "image.yml").write_text(YAML.replace("console=ttyS0 ", ""))
    done = build(dolmen, work, "--format", "uki")
    assert done.returncode == 0, done.stderr
    assert "console=ttyS0" in done.stderr


def test_missing_boot_loaders_are_an_error(dolmen: Dolmen, work: Path) -> None:
    options = ("--offline", "--arch", "amd64", "--format", "uki")
    done = dolmen.run("--cache", work / "store", "build", *options, "image.yml", cwd=work)
    assert done.returncode == 1
    assert "DM0611" in done.stderr
    assert f"dolmen/bootloaders:{hash_directory(RECIPE)}" in done.stderr
    assert "--bootloaders IMAGE" in done.stderr
    lacking = (*options, "--bootloaders", "made/root:1")
    done = dolmen.run("--cache", work / "store", "build", *lacking, "image.yml", cwd=work)
    assert done.returncode == 1
    assert "made/root:1 has no linuxx64.efi.stub" in done.stderr


def test_the_recipe_is_named_as_git_names_it() -> None:
    asked = ["git", "-C", str(RECIPE), "status", "--porcelain", "."]
    if shutil.which("git") is None or subprocess.run(asked, check=False).returncode:
        pytest.skip("this is no checkout of git")
    if subprocess.run(asked, capture_output=True, check=True).stdout:
        pytest.skip("the recipe has changes that are not committed")
    said = subprocess.run(
        ["git", "-C", str(RECIPE), "rev-parse", "HEAD:./"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert hash_directory(RECIPE) == said.stdout.strip()


def test_no_other_program_is_needed(dolmen: Dolmen, work: Path) -> None:
    programs = work / "programs"
    programs.mkdir()
    done = dolmen.run(
        *("--cache", work / "store", "build", *OPTIONS, "--format", "uki,raw-efi", "image.yml"),
        cwd=work,
        env={"PATH": str(programs)},
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_an_unprivileged_user_can_build_it(work: Path) -> None:
    if reason := why_not():
        pytest.skip(reason)
    for path in (work, *work.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    parents = [p for p in work.parents if p.stat().st_mode & 0o5 != 0o5]
    for parent in parents:
        parent.chmod(parent.stat().st_mode | 0o755)
    command = [*LAUNCHER, sys.executable, "-B", "-m", "dolmen", "--cache", "store", "build"]
    done = subprocess.run(
        [*command, *OPTIONS, "--format", "uki,raw-efi", "image.yml"],
        cwd=work,
        env={"PATH": os.environ["PATH"], "HOME": "/"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (work / "image-efi.img").stat().st_uid == NOBODY
