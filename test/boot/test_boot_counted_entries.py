"""Entries of systemd-boot are counted and blessed, and a bad one gives way to the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.guests import needs_qemu, system
from support.uefi_disks import (
    SecureBoot,
    UefiMachine,
    boot_files,
    needs_firmware,
    unified_image,
)
from support.verified import (
    VerifiedRoot,
    content_with_needle,
    flip,
    needs_verity,
    partition_offsets,
    slot,
    verified_root,
)

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.helper_images.boot_files import BootFiles

pytestmark = [
    *(pytest.mark.slow, pytest.mark.boot, pytest.mark.timeout(3600)),
    *(needs_qemu, needs_verity, needs_firmware),
]

LIMIT = 400.0
SYSTEM = """
services:
  - name: reader
    image: SH "sleep 4; busybox cat /host/large >/dev/null && echo NAME is read; sleep 1000"
    binds: [/:/host]
files:
  - {path: large, source: NAME}
"""
STUB, LOADER = "systemd/linuxx64.efi.stub", "systemd/systemd-bootx64.efi"
SOON = "loglevel=1 dolmen.healthy-after=1s"


@pytest.fixture(scope="module")
def loaders() -> BootFiles:
    """Give systemd-boot and its stub."""
    return boot_files()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> SecureBoot:
    """Give keys for Secure Boot."""
    return SecureBoot.generate(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory, keys: SecureBoot) -> list[VerifiedRoot]:
    """Give two root filesystems, the content of their files, and signatures."""
    made = []
    for number, name in enumerate(("one", "two")):
        folder = tmp_path_factory.mktemp(name)
        (folder / name).write_bytes(content_with_needle(number))
        yaml = folder / f"{name}.yml"
        yaml.write_text(system(SYSTEM.replace("NAME", name)))
        made.append(verified_root(yaml, folder, keys.sign_root))
    return made


def test_a_healthy_system_is_blessed(
    loaders: BootFiles, roots: list[VerifiedRoot], keys: SecureBoot, tmp_path: Path
) -> None:
    """The firmware's key also verifies the root hash."""
    machine = UefiMachine(tmp_path, keys)
    stub = loaders.read(STUB)
    entries = {
        "X_1.efi": unified_image(roots[0], stub, "1", SOON),
        "X_2+3.efi": unified_image(roots[1], stub, "2", SOON),
    }
    machine.write(loaders.read(LOADER), entries, *slot(roots[0], "1"), *slot(roots[1], "2"))
    with machine.booted() as guest:
        guest.wait_for(r"init: the root filesystem /dev/vda4 is checked by .*/dev/vda5\n", LIMIT)
        guest.wait_for(r"init: healthy: entry X_2 is blessed\n", LIMIT)
        assert "only the root hash is checked" not in guest.text()
        guest.wait_for(r"init: reader: two is read\n", LIMIT)
        assert machine.entries() == ["X_1.efi", "X_2.efi"]
        guest.order("system_reset")
        guest.wait_for(r"init: healthy: entry X_2 was blessed before\n", LIMIT)
    assert machine.entries() == ["X_1.efi", "X_2.efi"]


def test_a_system_that_is_never_healthy_uses_up_its_tries(
    loaders: BootFiles, roots: list[VerifiedRoot], tmp_path: Path
) -> None:
    machine = UefiMachine(tmp_path)
    stub = loaders.read(STUB)
    never = "loglevel=1 dolmen.healthy=none dolmen.healthy-limit=2s"
    entries = {
        "X_1.efi": unified_image(roots[0], stub, "1", SOON),
        "X_2+2.efi": unified_image(roots[1], stub, "2", never),
    }
    machine.write(loaders.read(LOADER), entries, *slot(roots[0], "1"), *slot(roots[1], "2"))
    with machine.booted() as guest:
        for left in (1, 0):
            guest.wait_for(
                rf"init: healthy: entry X_2 has {left} tries left; the machine restarts\n", LIMIT
            )
        guest.wait_for(r"init: healthy: entry X_1 was blessed before\n", LIMIT)
        assert "init: healthy: after 2s: not healthy yet: " in guest.text()
    assert machine.entries() == ["X_1.efi", "X_2+0-2.efi"]


def test_a_wrong_block_starts_the_system_before(
    loaders: BootFiles, roots: list[VerifiedRoot], tmp_path: Path
) -> None:
    """Also without a counter; and when the one before is wrong, too, it ends there."""
    machine = UefiMachine(tmp_path)
    stub = loaders.read(STUB)
    entries = {
        f"X_{number}.efi": unified_image(root, stub, str(number), SOON)
        for number, root in enumerate(roots, 1)
    }
    machine.write(loaders.read(LOADER), entries, *slot(roots[0], "1"), *slot(roots[1], "2"))
    _, first, _, second, _ = partition_offsets(machine.disk)
    for offset, root in ((first, roots[0]), (second, roots[1])):
        content = root.data.read_bytes()
        assert content.count(b"needle") == 1
        flip(machine.disk, offset + content.index(b"needle"))
    with machine.booted() as guest:
        guest.wait_for(r"init: block \d+ of the root filesystem is not what was signed\n", LIMIT)
        guest.wait_for(r"init: entry X_2 is marked as bad; the machine restarts with X_1\n", LIMIT)
        guest.wait_for(
            r"init: cannot go on: there is no other system to fall back to: "
            r"the ESP has no other entry that can be started\n",
            LIMIT,
        )
        guest.wait_for(r"init: the system stays as it is", LIMIT)
    assert machine.entries() == ["X_1.efi", "X_2+0-1.efi"]


def test_a_root_that_is_gone_starts_the_system_before(
    loaders: BootFiles, roots: list[VerifiedRoot], tmp_path: Path
) -> None:
    machine = UefiMachine(tmp_path)
    stub = loaders.read(STUB)
    entries = {
        "X_1.efi": unified_image(roots[0], stub, "1", SOON),
        "X_2+3.efi": unified_image(roots[1], stub, "2", f"{SOON} rootwait=2"),
    }
    machine.write(loaders.read(LOADER), entries, *slot(roots[0], "1"))
    with machine.booted() as guest:
        guest.wait_for(
            r"init: the verified root filesystem cannot be used: the partitions .*\n"
            r"init: entry X_2 is marked as bad; the machine restarts with X_1\n",
            LIMIT,
        )
        guest.wait_for(r"init: healthy: entry X_1 was blessed before\n", LIMIT)
        guest.wait_for(r"init: reader: one is read\n", LIMIT)
    assert machine.entries() == ["X_1.efi", "X_2+0-1.efi"]


def test_a_mistake_on_the_command_line_starts_the_system_before(
    loaders: BootFiles, roots: list[VerifiedRoot], tmp_path: Path
) -> None:
    machine = UefiMachine(tmp_path)
    stub = loaders.read(STUB)
    entries = {
        "X_1.efi": unified_image(roots[0], stub, "1", SOON),
        "X_2+3.efi": unified_image(roots[1], stub, "2", f"{SOON} dolmen.verity=maybe"),
    }
    machine.write(loaders.read(LOADER), entries, *slot(roots[0], "1"), *slot(roots[1], "2"))
    with machine.booted() as guest:
        guest.wait_for(
            r"init: the verified root filesystem cannot be used: the command line: .*maybe.*\n"
            r"init: entry X_2 is marked as bad; the machine restarts with X_1\n",
            LIMIT,
        )
        guest.wait_for(r"init: healthy: entry X_1 was blessed before\n", LIMIT)
    assert machine.entries() == ["X_1.efi", "X_2+0-1.efi"]
