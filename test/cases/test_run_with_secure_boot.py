"""A user boots with UEFI: under Secure Boot only signed programs start."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from assembler.machine import firmware, secure_boot_keys
from assembler.machine.backend import VARIABLES
from support.booting import LIMIT, System, left_behind, machines_of, run_soundly
from support.cli import Dolmen
from support.guest import EMULATED
from support.guests import HOME, assemble, needs_qemu, system

if TYPE_CHECKING:
    from pathlib import Path

PROGRAMS = ("qemu-system-x86_64", "sbsign", "mformat", "mcopy")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.boot,
    pytest.mark.timeout(int(3 * LIMIT)),
    pytest.mark.skipif(
        not all(map(shutil.which, PROGRAMS)), reason=f"one of {', '.join(PROGRAMS)} is missing"
    ),
    pytest.mark.skipif(
        firmware.find_firmware("amd64", secure=True) is None,
        reason="no firmware knows Secure Boot here",
    ),
]
# What the kernel's own stub says, before any kernel.
STARTED = "EFI stub: UEFI Secure Boot is enabled"
WORDS = ("--mem", "256", "--wait-for", STARTED, "--timeout", "110s", "--once")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a directory with keys, and another set in a directory in there."""
    folder = tmp_path_factory.mktemp("keys")
    for place in (folder / "own", folder / "own" / "stranger"):
        Dolmen(folder).run("keys", "generate", place, check=True)
    return folder / "own"


def signed(kernel: Path, keys: Path, path: Path) -> Path:
    files = ("--key", keys / "db.key", "--cert", keys / "db.crt", "--output", path)
    subprocess.run(("sbsign", *files, kernel), check=True, capture_output=True)
    return path


def disk_with(program: Path, path: Path) -> Path:
    """Make a disk with a program that firmware starts."""
    with path.open("wb") as file:
        file.truncate(34 << 20)
    for command in (
        ("mformat", "-i", path, "-F", "::"),
        ("mmd", "-i", path, "::EFI", "::EFI/BOOT"),
        ("mcopy", "-i", path, program, "::EFI/BOOT/BOOTX64.EFI"),
    ):
        subprocess.run(command, check=True)
    return path


def test_a_program_signed_with_the_own_key_starts(
    dolmen: Dolmen, tiny_system: System, keys: Path, tmp_path: Path
) -> None:
    kernel = tiny_system.prefix.with_name("image-kernel")
    disk = disk_with(signed(kernel, keys, tmp_path / "signed.efi"), tmp_path / "disk.img")
    state = tmp_path / "state"
    done = dolmen.run("run", disk, *WORDS, "--secure-boot-keys", keys, "--state", state)
    assert done.returncode == 0, done.stderr
    assert STARTED in done.stdout
    assert secure_boot_keys.has_keys((state / VARIABLES).read_bytes())
    assert left_behind(dolmen.home) == []


SERVICE = """
services:
  - name: asking
    image: SH "ls -l /dev/tpm0; echo all is well"
    binds: ["/dev:/dev"]
"""


@needs_qemu
@pytest.mark.skipif(not shutil.which("swtpm"), reason="swtpm is not installed")
def test_a_signed_system_starts_with_a_tpm(dolmen: Dolmen, keys: Path, tmp_path: Path) -> None:
    yaml = tmp_path / "signed.yml"
    yaml.write_text(system(SERVICE).replace("console=ttyS0", f"console=ttyS0 {EMULATED}"))
    assemble(yaml, tmp_path)
    signing = ("--secure-boot-key", keys / "db.key", "--secure-boot-cert", keys / "db.crt")
    built = Dolmen(HOME).run("build", "--format", "uki", *signing, "--dir", tmp_path, yaml)
    assert built.returncode == 0, built.stderr
    words = ("--mem", "512", "--tpm", "--secure-boot-keys", keys, "--timeout", "115s", "--once")
    program = tmp_path / "signed.efi"
    done = run_soundly(dolmen, "run", program, *words, "--wait-for", "asking: all is well")
    assert done.returncode == 0, done.stderr
    assert STARTED in done.stdout
    assert "asking: crw" in done.stdout
    assert machines_of(dolmen.home) == []
    assert left_behind(dolmen.home) == []


@pytest.mark.parametrize("key", ["", "stranger"])
def test_an_unsigned_program_is_refused(
    dolmen: Dolmen, tiny_system: System, keys: Path, tmp_path: Path, key: str
) -> None:
    program = tiny_system.prefix.with_name("image-kernel")
    if key:
        program = signed(program, keys / key, tmp_path / "signed.efi")
    disk = disk_with(program, tmp_path / "disk.img")
    done = dolmen.run("run", disk, *WORDS, "--secure-boot-keys", keys)
    assert done.returncode == 4, done.stderr
    assert "DM1029" in done.stderr
    assert "refused an unsigned program" in done.stderr
    assert "Access Denied" in done.stderr
    assert "--secure-boot-key" in done.stderr
    assert STARTED not in done.stdout
    assert machines_of(dolmen.home) == []
    assert left_behind(dolmen.home) == []


def test_the_default_keys_are_those_of_microsoft(
    dolmen: Dolmen, tiny_system: System, tmp_path: Path
) -> None:
    disk = disk_with(tiny_system.prefix.with_name("image-kernel"), tmp_path / "disk.img")
    done = dolmen.run("run", disk, *WORDS, "--secure-boot")
    assert done.returncode == 4, done.stderr
    assert "DM1029" in done.stderr


def test_a_direct_kernel_boot_with_secure_boot_is_refused(
    dolmen: Dolmen, tiny_system: System
) -> None:
    done = dolmen.run("run", tiny_system.prefix, "--secure-boot")
    assert done.returncode == 2
    assert "the firmware does not check a kernel" in done.stderr
    assert left_behind(dolmen.home) == []


def test_missing_or_invalid_certificates_are_refused(
    dolmen: Dolmen, tiny_system: System, keys: Path, tmp_path: Path
) -> None:
    words = ("run", tiny_system.prefix, "--secure-boot-keys")
    done = dolmen.run(*words, tmp_path)
    assert done.returncode == 1
    assert f"certificate PK.crt not found in {tmp_path}" in done.stderr
    for name in ("PK.crt", "db.crt"):
        shutil.copy(keys / name, tmp_path)
    (tmp_path / "KEK.pem").write_text("no certificate")
    done = dolmen.run(*words, tmp_path)
    assert done.returncode == 1
    assert f"{tmp_path}/KEK.pem cannot be read as a certificate" in done.stderr
