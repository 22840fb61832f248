"""A root filesystem that dm-verity checks boots as it was signed, and is refused otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from assembler.encode.early_initrd import ROOT_SIGNATURE
from support.booting import archive
from support.guests import boot_and, needs_arm, needs_qemu, system
from support.verified import (
    BLOCK,
    RootSigner,
    VerifiedRoot,
    content_with_needle,
    flip,
    needs_verity,
    partition_offsets,
    slot,
    verified_root,
    write_disk,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.guest import Guest

pytestmark = [
    *(pytest.mark.slow, pytest.mark.boot, pytest.mark.timeout(1800)),
    *(needs_qemu, needs_verity),
]

LIMIT = 300.0
SYSTEM = """
services:
  - name: reader
    image: SH "sleep 2; busybox cat /host/large >/dev/null && echo all is read;\
      busybox grep VmLck /machine/1/status; sleep 1000"
    binds: ["/:/host", "/proc:/machine"]
files:
  - {path: large, source: large}
"""
NO_OTHER = r"init: cannot go on: there is no other system to fall back to: "


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> VerifiedRoot:
    """Give a root filesystem with a file that is read late."""
    folder = tmp_path_factory.mktemp("verified")
    (folder / "large").write_bytes(content_with_needle(1))
    yaml = folder / "system.yml"
    yaml.write_text(system(SYSTEM))
    return verified_root(yaml, folder, RootSigner().sign)


@pytest.fixture
def disk(root: VerifiedRoot, tmp_path: Path) -> Path:
    """Give a disk with the root filesystem."""
    path = tmp_path / "disk"
    write_disk(path, *slot(root))
    return path


def boot(root: VerifiedRoot, disk: Path, check: Callable[[Guest], None], append: str = "") -> None:
    """Boot from the disk, with the root hash on the command line."""
    line = f"roothash={root.digest} dolmen.healthy-after=1s {append}"
    boot_and(root.files, check, append=line, disks=(disk,))


def test_it_boots(root: VerifiedRoot, disk: Path) -> None:
    before = disk.read_bytes()

    def check(guest: Guest) -> None:
        guest.wait_for(
            r"init: the kernel has no key for the signature of the root hash: "
            r"only the root hash is checked\n"
            r"init: the root filesystem /dev/vda1 is checked by the hashes of /dev/vda2\n",
            LIMIT,
        )
        guest.wait_for(r"init: reader: all is read\n", LIMIT)
        # The program of init is in memory, and stays there.
        guest.wait_for(r"init: reader: VmLck:\s+[3-9]\d{3} kB\n", LIMIT)
        guest.wait_for(
            r"init: healthy: the system is healthy; there is no entry to bless: "
            r"the machine was not started by UEFI\n",
            LIMIT,
        )
        guest.press_power_button()
        guest.wait_for(r"init: power off: all is stopped", LIMIT)
        guest.wait_for_end()
        assert disk.read_bytes() == before

    boot(root, disk, check)


@needs_arm
def test_it_boots_on_arm(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(content_with_needle(1))
    yaml = tmp_path / "system.yml"
    yaml.write_text(system(SYSTEM).replace("ttyS0", "ttyAMA0"))
    root = verified_root(yaml, tmp_path, RootSigner().sign, "arm64")
    path = tmp_path / "disk"
    write_disk(path, *slot(root))

    def check(guest: Guest) -> None:
        guest.wait_for(
            r"init: the kernel has no key for the signature of the root hash: "
            r"only the root hash is checked\n"
            r"init: the root filesystem /dev/vda1 is checked by the hashes of /dev/vda2\n",
            LIMIT,
        )
        guest.wait_for(r"init: reader: all is read\n", LIMIT)

    boot(root, path, check)


def test_another_root_hash_is_refused(root: VerifiedRoot, disk: Path) -> None:
    data, hashes = (p.uuid for p in slot(root))

    def check(guest: Guest) -> None:
        guest.wait_for(
            r"init: the verified root filesystem cannot be used: the partitions 0{8}-0{4}-\S+ and "
            rf"\S+ did not come within 1s; there is /dev/vda1 {data}, /dev/vda2 {hashes}\n",
            LIMIT,
        )
        guest.wait_for(NO_OTHER, LIMIT)
        guest.wait_for(r"init: the system stays as it is", LIMIT)

    boot_and(root.files, check, append=f"roothash={'0' * 64} rootwait=1", disks=(disk,))


def test_a_wrong_block_stops_the_running_system(root: VerifiedRoot, disk: Path) -> None:
    content = root.data.read_bytes()
    place = content.index(b"needle")
    assert content.count(b"needle") == 1
    data, _ = partition_offsets(disk)
    flip(disk, data + place)

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: started in", LIMIT)
        guest.wait_for(
            rf"init: block {place // BLOCK} of the root filesystem is not what was signed", LIMIT
        )
        guest.wait_for(NO_OTHER + "the machine was not started by UEFI", LIMIT)
        guest.wait_for(r"init: the system stays as it is", LIMIT)
        assert "all is read" not in guest.text()

    boot(root, disk, check, "loglevel=1")


@pytest.mark.parametrize("part", ["data", "hashes"])
def test_a_wrong_block_stops_the_boot(root: VerifiedRoot, disk: Path, part: str) -> None:
    data, hashes = partition_offsets(disk)
    # The root of the tree comes after the superblock.
    flip(disk, data + 20 if part == "data" else hashes + BLOCK)

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: the verified root filesystem cannot be used: .*\n" + NO_OTHER, LIMIT)
        guest.wait_for(r"init: the system stays as it is", LIMIT)

    # Not even panic= lets it boot the same again and again.
    boot(root, disk, check, "panic=1 loglevel=1")


def test_a_wrong_signature_is_refused(root: VerifiedRoot, disk: Path, tmp_path: Path) -> None:
    files = replace(root.files, directory=tmp_path)
    for part in ("kernel", "cmdline"):
        files.path(part).symlink_to(root.files.path(part))
    more = {"verity": (0o40755, b""), ROOT_SIGNATURE: (0o100644, b"no signature")}
    files.path("initrd.img").write_bytes(root.initrd + archive(more))

    def check(guest: Guest) -> None:
        guest.wait_for(
            r"cannot be used: \S+: .*: the signature of the root hash is not right", LIMIT
        )

    boot_and(files, check, append=f"roothash={root.digest}", disks=(disk,))


@pytest.mark.parametrize(
    ("mode", "said"),
    [("restart", "reboot: Restarting system"), ("panic", "Kernel panic - not syncing: dm-verity")],
)
def test_the_kernel_ends_a_system_with_a_wrong_block(
    root: VerifiedRoot, disk: Path, mode: str, said: str
) -> None:
    data, _ = partition_offsets(disk)
    flip(disk, data + root.data.read_bytes().index(b"needle"))

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: started in", LIMIT)
        guest.wait_for(said, LIMIT)
        # QEMU ends when the machine restarts.
        guest.wait_for_end(LIMIT)

    boot(root, disk, check, f"dolmen.verity={mode} panic=1 loglevel=7")
