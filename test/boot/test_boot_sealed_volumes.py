"""A volume whose key the TPM seals opens after an update, and not with another command line."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from assembler.machine import find_firmware
from support.booting import LIMIT, run_soundly
from support.cli import Dolmen
from support.guest import EMULATED
from support.guests import assemble, needs_qemu, system
from support.verified import needs_verity

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    *(pytest.mark.slow, pytest.mark.boot, pytest.mark.timeout(int(12 * LIMIT))),
    *(needs_qemu, needs_verity),
    pytest.mark.skipif(not shutil.which("swtpm"), reason="swtpm is not installed"),
    pytest.mark.skipif(
        find_firmware("amd64", secure=True) is None, reason="no firmware knows Secure Boot here"
    ),
]
MEBI = 1 << 20
SYSTEM = """
verified: {version: "VERSION"}
disk:
  esp: 128M
  slots: {root: 64M}
  data:
    - {label: secret, size: 96M, encrypt: tpm, grow: true}
onboot:
  - name: grow
    image: "@pkg:ROOT/pkg/extend"
    command: [/usr/bin/extend, -type, luks, PARTLABEL=secret]
  - name: crypt
    image: "@pkg:ROOT/pkg/dm-crypt"
    command: [/usr/bin/crypto, --tpm, --recovery, /dev/console, secret, PARTLABEL=secret]
  - name: grow-filesystem
    image: "@pkg:ROOT/pkg/extend"
    command: [/usr/bin/extend, /dev/mapper/secret]
  - name: mount
    image: "@pkg:ROOT/pkg/mount"
    command: [/usr/bin/mountie, /dev/mapper/secret, /var/secret]
services:
  - name: use
    image: SH "busybox cat /data/note; echo the secret text >/data/note; busybox sync; echo that is all; sleep 1000"
    binds: ["/var/secret:/data"]
"""  # noqa: E501 - a line of YAML


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the keys of a verified system."""
    folder = tmp_path_factory.mktemp("keys") / "set"
    Dolmen(folder.parent).run("keys", "generate", folder, check=True)
    curve = ("ecparam", "-name", "prime256v1", "-genkey", "-noout")
    subprocess.run(("openssl", *curve, "-out", folder / "update.key"), check=True)
    make_policy_key(folder)
    return folder


def make_policy_key(folder: Path) -> None:
    subprocess.run(("openssl", "genrsa", "-out", folder / "pcr.key", "2048"), check=True)


def build(keys: Path, folder: Path, version: str, more: str = "") -> Path:
    """Build a version, with more on the command line."""
    folder.mkdir()
    yaml = folder / "image.yml"
    text = system(SYSTEM.replace("VERSION", version))
    yaml.write_text(text.replace("console=ttyS0", f"console=ttyS0 {EMULATED} {more}".rstrip()))
    assemble(yaml, folder, keys=keys)
    return folder / "image-verified.img"


def part(image: Path, number: int) -> dict[str, str]:
    """Return what sgdisk says of a partition."""
    command = ("sgdisk", "-i", str(number), image)
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(line.split(": ", 1) for line in said.splitlines() if ": " in line)


def replace_system(image: Path, disk: Path) -> None:
    """Put the system of an image on a disk that has data."""
    end = int(part(image, 6)["First sector"].split()[0]) * 512
    with image.open("rb") as source, disk.open("r+b") as target:
        for offset in range(MEBI, end, MEBI):
            source.seek(offset)
            target.seek(offset)
            target.write(source.read(MEBI))
    words: list[str | Path] = ["sgdisk"]
    for number in range(2, 6):
        found = part(image, number)
        words += ["-u", f"{number}:{found['Partition unique GUID']}"]
        words += ["-c", f"{number}:{found['Partition name'].strip(chr(39))}"]
    subprocess.run([*words, disk], check=True, capture_output=True)


def test_a_sealed_volume_opens_for_what_is_signed_only(
    dolmen: Dolmen, keys: Path, tmp_path: Path
) -> None:
    disk, state = tmp_path / "disk.img", tmp_path / "state"

    def boot(ready: str = "use: that is all") -> str:
        words = ("--mem", "512", "--tpm", "--state", state, "--secure-boot-keys", keys)
        wait = ("--wait-for", ready, "--once", "--timeout", "250s")
        done = run_soundly(dolmen, "run", "qemu", disk, *words, *wait)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    shutil.copy(build(keys, tmp_path / "one", "1"), disk)
    before = part(disk, 6)
    with disk.open("r+b") as file:
        file.truncate(disk.stat().st_size + 100 * MEBI)
    said = boot()
    assert "grow: /dev/sda6 (luks) has 196 MiB, before 96 MiB" in said
    assert "crypt: /dev/sda6 is encrypted now, with a key that is sealed by the TPM" in said
    assert re.search(r"the recovery key of PARTLABEL=secret: ([cbdefghijklnrtuv]{8}-?){8}\s", said)
    assert re.search(r"grow-filesystem: /dev/dm-\d \(ext4\) has 180 MiB", said)
    subprocess.run(("sgdisk", "-v", disk), check=True)
    for name, value in part(disk, 6).items():
        if name not in ("Last sector", "Partition size"):
            assert value == before[name]
    assert b"the secret text" not in disk.read_bytes()

    # With another command line that the owner of the key has not signed.
    stranger = tmp_path / "stranger"
    shutil.copytree(keys, stranger)
    make_policy_key(stranger)
    replace_system(build(stranger, tmp_path / "other", "2", "other=yes"), disk)
    said = boot("crypt: /dev/sda6 stays closed")
    assert "signed policies of another key (.pcrpkey) than that of the volume" in said

    # An update.
    replace_system(build(keys, tmp_path / "two", "2", "updated=yes"), disk)
    said = boot()
    assert re.search(r"crypt: /dev/sda6 is opened as /dev/mapper/secret \(ext4\)", said)
    assert "use: the secret text" in said
