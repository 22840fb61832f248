"""A user adds disks to a machine: they are formatted, mounted and used as swap; no data is lost."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from support.guest import Guest, is_clean
from support.guests import assemble, boot_and, needs_qemu, system

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.boot, needs_qemu]

MEBI = 1 << 20

DISKS = """
onboot:
  - name: first-empty
    image: "@pkg:ROOT/pkg/format"
    command: [/usr/bin/format, -label, DATA, -verbose]
  - name: named
    image: "@pkg:ROOT/pkg/format"
    command: [/usr/bin/format, -type, xfs, -label=FAST, --partition=false, /dev/vdc]
  - name: full
    image: "@pkg:ROOT/pkg/format"
    command: [/usr/bin/format, /dev/vda]
  - name: forced
    image: "@pkg:ROOT/pkg/format"
    command: [/usr/bin/format, -force, -type, btrfs, /dev/vdd]
  - name: by-label
    image: "@pkg:ROOT/pkg/mount"
    command: [/usr/bin/mountie, -label, DATA, --options, noatime, /var/lib/data]
  - name: first-free
    image: "@pkg:ROOT/pkg/mount"
    # As in old files for LinuxKit.
    command: [/mount.sh, /var/lib/fast]
  - name: not-formatted
    image: "@pkg:ROOT/pkg/mount"
    command: [/usr/bin/mountie, /dev/vda, /var/lib/none]
  - name: swap
    image: "@pkg:ROOT/pkg/swap"
    command: [/swap.sh, --path, /var/lib/data/swap, --size, 32M, --swappiness, "7",
      --condition, "part:/var/lib/data:true"]
  - name: secret
    image: "@pkg:ROOT/pkg/swap"
    command: [/swap.sh, --path, /var/lib/data/secret, --size, 16M, --encrypt]
  - name: unmet
    image: "@pkg:ROOT/pkg/swap"
    command: [/swap.sh, --path, /var/lib/x, --size, 1M, --condition, "partsize:/var/lib/data:9G"]
  - name: outcome
    image: SH "busybox cat /proc/swaps /proc/sys/vm/swappiness; busybox grep /data/ /proc/mounts"
    binds: ["/var/lib:/data"]
"""


def disk(path: Path, mebibytes: int) -> Path:
    """Make an empty disk."""
    with path.open("wb") as file:
        file.truncate(mebibytes * MEBI)
    return path


def digest(path: Path) -> str:
    """Return what the disk holds."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_only_empty_disks_are_formatted(tmp_path: Path) -> None:
    path = tmp_path / "disks.yml"
    path.write_text(system(DISKS))
    files = assemble(path, tmp_path)
    # Data that has no signature, as that of an encrypted disk.
    full = disk(tmp_path / "full", 64)
    full.write_bytes(b"precious" * 1000 + full.read_bytes()[8000:])
    before = digest(full)
    empty = disk(tmp_path / "empty", 128)
    fast = disk(tmp_path / "fast", 320)
    worthless = disk(tmp_path / "worthless", 160)
    worthless.write_bytes(b"old" * 1000 + worthless.read_bytes()[3000:])

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: first-empty: /dev/vda has data and is left as it is")
        guest.wait_for(r"init: first-empty: /dev/vdb1 has a new file system: ext4, DATA")
        guest.wait_for(r"init: named: /dev/vdc has a new file system: xfs, FAST")
        guest.wait_for(r"init: full: /dev/vda has data and is left as it is; -force")
        guest.wait_for(r"init: forced: /dev/vdd1 has a new file system: btrfs")
        guest.wait_for(r"init: by-label: /dev/vdb1 \(ext4\) is mounted at /var/lib/data")
        guest.wait_for(r"init: first-free: /dev/vdc \(xfs\) is mounted at /var/lib/fast")
        guest.wait_for(r"init: not-formatted: /dev/vda has no file system: format it first")
        guest.wait_for(r"init: onboot not-formatted failed")
        guest.wait_for(r"init: swap: 32 MiB of swap in /var/lib/data/swap")
        guest.wait_for(r"init: secret: 16 MiB of swap in /var/lib/data/secret")
        guest.wait_for(r"init: unmet: no swap: /var/lib/data is smaller than 9G")
        guest.wait_for(r"init: outcome: \S*/swap +file\s+32764")
        guest.wait_for(r"init: outcome: \S*/dm-0 +partition\s+16380")
        guest.wait_for(r"init: outcome: 7\n")
        guest.wait_for(r"init: outcome: /dev/vdb1 /data/data ext4 rw,noatime")
        guest.wait_for(r"init: outcome: /dev/vdc /data/fast xfs rw")
        guest.wait_for(r"init: started in")
        assert guest.text().count(" failed after ") == 1, guest.text()
        guest.press_power_button()
        guest.wait_for(r"init: power off: all is stopped")
        guest.wait_for_end()

    boot_and(files, check, memory=512, disks=(full, empty, fast, worthless))
    assert digest(full) == before
    # The swap in its files was let go of before.
    assert is_clean(empty)
