"""The example of a verified system, built and run by the real commands, whole and damaged."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from assembler.machine import find_firmware
from support.booting import run_soundly
from support.cli import Dolmen
from support.guest import EMULATED
from support.guests import HOME, REPOSITORY, needs_qemu
from support.verified import flip, partition_offsets

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

# Two starts of a machine by a firmware that is emulated.
LIMIT = 900
pytestmark = [
    pytest.mark.slow,
    pytest.mark.boot,
    needs_qemu,
    pytest.mark.timeout(4 * LIMIT),
    pytest.mark.skipif(
        not all(map(shutil.which, ("swtpm", "sgdisk", "mcopy"))),
        reason="one of swtpm, sgdisk, mcopy is not installed",
    ),
    pytest.mark.skipif(
        find_firmware("amd64", secure=True) is None, reason="no firmware knows Secure Boot here"
    ),
]
EXAMPLE = REPOSITORY / "examples" / "verified.yml"
REGISTERS = (4, 5, 7, 9, 11, 12)
# What the system sees of itself, and the page.
SEEN = """
kernel: {cmdline: "console=ttyS0 dolmen.output quiet EMULATED"}
verified: {version: "VERSION", healthy: {services: [nginx], after: 1s}}
services:
  - name: seen
    image: "@pkg:ROOT/pkg/dummy"
    net: host
    binds: [/proc/cmdline:/line]
    command:
      - /usr/bin/sh
      - -c
      - |
        until busybox wget -qO- http://127.0.0.1/; do sleep 1; done
        cat /line; echo device $(cat /sys/class/block/dm-0/dm/name) $(cat /sys/class/block/dm-0/ro)
        for n in REGISTERS; do echo PCR $n is $(cat /sys/class/tpm/tpm0/pcr-sha256/$n); done
        echo version VERSION, and that is all; sleep 1000
"""
ALL = "seen: version {}, and that is all"


@dataclass(frozen=True)
class BuiltRelease:
    """A release of the example: its disk, and the files of its update."""

    disk: Path
    files: Path

    def file(self, role: str) -> Path:
        """Return a file of the update."""
        (found,) = self.files.glob(f"*.{role}")
        return found

    @property
    def root_hash(self) -> str:
        """Return the root hash."""
        found = re.search(rb"roothash=([0-9a-f]{64})", self.file("efi").read_bytes())
        assert found
        return found[1].decode()


def make_keys(folder: Path) -> Path:
    """Make the keys of a release."""
    Dolmen(folder.parent).run("keys", "generate", folder, check=True)
    others: dict[str, PrivateKeyTypes] = {
        "update": ec.generate_private_key(ec.SECP256R1()),
        "pcr": rsa.generate_private_key(65537, 2048),
    }
    for name, key in others.items():
        if not (folder / f"{name}.key").exists():
            pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            (folder / f"{name}.key").write_bytes(pem)
            public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            (folder / f"{name}.pub").write_bytes(public)
    return folder


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give keys."""
    return make_keys(tmp_path_factory.mktemp("keys") / "set")


def build(folder: Path, keys: Path, version: str = "1") -> BuiltRelease:
    """Build a version of the example."""
    HOME.mkdir(parents=True, exist_ok=True)
    more = folder / "more.yml"
    text = SEEN.replace("VERSION", version).replace("ROOT", str(REPOSITORY))
    text = text.replace("EMULATED", EMULATED).replace("REGISTERS", " ".join(map(str, REGISTERS)))
    more.write_text(text)
    named = re.findall(r'@pkg:([^"\s]+)', EXAMPLE.read_text())
    packages = sorted({(EXAMPLE.parent / name).resolve() for name in named})
    dolmen = Dolmen(HOME)
    needed = (*packages, *(REPOSITORY / "pkg" / name for name in ("dummy", "bootloaders")))
    done = dolmen.run("pkg", "build", "--platforms", "linux/amd64", *needed)
    assert done.returncode == 0, done.stderr
    done = dolmen.run(
        *("build", "--keys", keys, "--dir", folder, "--name", "verified", EXAMPLE, more)
    )
    assert done.returncode == 0, done.stderr
    return BuiltRelease(folder / "verified-verified.img", folder / "verified-update")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> BuiltRelease:
    """Give the first release."""
    return build(tmp_path_factory.mktemp("first"), keys)


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> BuiltRelease:
    """Give the second release."""
    return build(tmp_path_factory.mktemp("second"), keys, "2")


@pytest.fixture
def disk(first: BuiltRelease, tmp_path: Path) -> Path:
    """Give a copy of the first release's disk."""
    return Path(shutil.copy(first.disk, tmp_path / "disk.img"))


def boot(dolmen: Dolmen, disk: Path, keys: Path, text: str) -> str:
    """Run a disk until its console has a text; return the console."""
    done = run_soundly(
        *(dolmen, "run", "qemu", "--keys", keys, "--once", "--timeout", f"{LIMIT}s"),
        *("--wait-for", text, disk),
        timeout=LIMIT + 60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def put_on_esp(disk: Path, program: Path, name: str) -> None:
    """Write a program to the ESP of a disk."""
    esp = f"{disk}@@{next(iter(partition_offsets(disk)))}"
    target = f"::EFI/Linux/{name}"
    subprocess.run(["mcopy", "-o", "-i", esp, program, target], check=True, capture_output=True)


def fill_other_slot(disk: Path, release: BuiltRelease, version: str) -> None:
    """Write a release to slot B, as an update does."""
    offsets = list(partition_offsets(disk))
    digest = release.root_hash
    words: list[str | Path] = ["sgdisk"]
    halves = {4: digest[:32], 5: digest[32:]}
    for number, name, role in ((4, "root", "root"), (5, "hash", "verity")):
        with disk.open("r+b") as file:
            file.seek(offsets[number - 1])
            file.write(release.file(role).read_bytes())
        half = halves[number]
        cuts = (half[:8], half[8:12], half[12:16], half[16:20], half[20:])
        words += ["-u", f"{number}:{'-'.join(cuts)}", "-c", f"{number}:{name}_{version}"]
    subprocess.run([*words, disk], check=True, capture_output=True)
    put_on_esp(disk, release.file("efi"), f"verified_{version}+3.efi")


def test_the_example_boots_verified_and_measured(
    dolmen: Dolmen, first: BuiltRelease, keys: Path, disk: Path
) -> None:
    text = boot(dolmen, disk, keys, ALL.format(1))
    assert "<h1>It is verified</h1>" in text
    assert f"roothash={first.root_hash} dolmen.verity=fallback" in text
    assert re.search(r"device \S+ 1\n", text)
    assert "is checked by the hashes of" in text
    # The kernel has accepted the signature of the root hash: db is among its keys.
    assert "only the root hash is checked" not in text
    told = dolmen.run("pcrs", "--json", "--secure-boot-keys", keys, first.disk, check=True)
    (state,) = json.loads(told.stdout)["images"][0]["states"]
    predicted = {r["pcr"]: r["value"] for r in state["registers"]}
    measured = re.findall(r"PCR (\d+) is ([0-9A-F]{64})", text)
    assert {int(n): value.lower() for n, value in measured} == predicted
    assert dolmen.run("verify", "--keys", keys, first.disk).returncode == 0


@pytest.mark.whole
@pytest.mark.parametrize("kind", ["unsigned", "foreign"])
def test_a_program_with_another_signature_does_not_start(
    dolmen: Dolmen, first: BuiltRelease, keys: Path, disk: Path, tmp_path: Path, kind: str
) -> None:
    program = tmp_path / "program.efi"
    if kind == "unsigned":
        shutil.copy(first.file("efi"), program)
        subprocess.run(["sbattach", "--remove", program], check=True, capture_output=True)
    else:
        shutil.copy(build(tmp_path, make_keys(tmp_path / "others")).file("efi"), program)
    put_on_esp(disk, program, "verified_1.efi")
    refused = r"Access [Dd]enied|Security [Vv]iolation"
    assert "init: started" not in boot(dolmen, disk, keys, refused)
    failed = json.loads(dolmen.run("verify", "--json", "--keys", keys, disk).stdout)
    assert ("EFI/Linux/verified_1.efi", "signature") in {
        (c["part"], c["check"]) for c in failed["checks"] if c["outcome"] == "failed"
    }


@pytest.mark.whole
@pytest.mark.parametrize(("partition", "place"), [(3, 20), (4, 4096)], ids=["root", "hash"])
def test_a_wrong_byte_starts_the_other_slot(
    dolmen: Dolmen,
    second: BuiltRelease,
    keys: Path,
    disk: Path,
    partition: int,
    place: int,
) -> None:
    fill_other_slot(disk, second, "2")
    flip(disk, list(partition_offsets(disk))[partition] + place)
    text = boot(dolmen, disk, keys, ALL.format(1))
    assert re.search(r"init: entry verified_2 is marked as bad; .* with verified_1", text)
    assert ALL.format(2) not in text
    # It is not tried again.
    again = boot(dolmen, disk, keys, ALL.format(1))
    assert "marked as bad" not in again


@pytest.mark.whole
def test_the_newer_of_two_slots_starts_and_is_blessed(
    dolmen: Dolmen, second: BuiltRelease, keys: Path, disk: Path
) -> None:
    fill_other_slot(disk, second, "2")
    report = dolmen.run("verify", "--keys", keys, disk)
    assert report.returncode == 0, report.stdout
    boot(dolmen, disk, keys, "init: healthy: entry verified_2 is blessed")


@pytest.mark.whole
def test_a_wrong_byte_in_the_only_slot_ends_the_boot(
    dolmen: Dolmen, keys: Path, disk: Path
) -> None:
    flip(disk, list(partition_offsets(disk))[1] + 20)
    text = boot(dolmen, disk, keys, "init: the system stays as it is")
    assert "cannot go on: there is no other system to fall back to" in text
