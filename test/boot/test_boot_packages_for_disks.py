"""Packages for disks are used in booted machines: encryption, growth, loops, settings."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.guests import assemble, boot_and, needs_qemu, system

if TYPE_CHECKING:
    from pathlib import Path

    from support.guest import Guest

# Several boots in one test.
limit = pytest.mark.timeout(1800)
pytestmark = [pytest.mark.slow, pytest.mark.boot, pytest.mark.whole, limit, needs_qemu]

MEBI = 1 << 20
SECRET = b"the secret text of this test"

ENCRYPTED = """
onboot:
  - name: luks
    image: "@pkg:ROOT/pkg/dm-crypt"
    command: [/usr/bin/crypto, --luks, kept, /dev/vda]
  - name: format
    image: "@pkg:ROOT/pkg/format"
    command: [/usr/bin/format, /dev/vdb]
  - name: plain
    image: "@pkg:ROOT/pkg/dm-crypt"
    command: [/usr/bin/crypto, -k, other, plain, /dev/vdb1]
  - name: mount-kept
    image: "@pkg:ROOT/pkg/mount"
    command: [/usr/bin/mountie, /dev/mapper/kept, /var/kept]
  - name: mount-plain
    image: "@pkg:ROOT/pkg/mount"
    command: [/usr/bin/mountie, /dev/mapper/plain, /var/plain]
  - name: loop
    image: "@pkg:ROOT/pkg/losetup"
    command: [/usr/bin/loopy, --create, --size, "24", --dev, /dev/loop3, /var/plain/disk.img]
  - name: nested
    image: "@pkg:ROOT/pkg/dm-crypt"
    command: [/usr/bin/crypto, nested, /dev/loop3]
  - name: mount-nested
    image: "@pkg:ROOT/pkg/mount"
    command: [/usr/bin/mountie, /dev/mapper/nested, /var/nested]
  - name: full
    image: "@pkg:ROOT/pkg/dm-crypt"
    command: [/usr/bin/crypto, -l, full, /dev/vdc]
  - name: full-plain
    image: "@pkg:ROOT/pkg/dm-crypt"
    command: [/usr/bin/crypto, full, /dev/vdc]
  - name: use
    image: SH "for d in kept plain nested; do cat /data/$d/note; echo 'TEXT' >/data/$d/note; done"
    binds: ["/var:/data"]
  - name: sysfs
    image: "@pkg:ROOT/pkg/sysfs"
  - name: outcome
    image: "@pkg:ROOT/pkg/dummy"
    command:
      - sh
      - -c
      - |
        cd /sys/block
        cat vda/queue/read_ahead_kb vdc/queue/read_ahead_kb
        stat -c %a vda/queue/read_ahead_kb
files:
  - path: etc/dm-crypt/key
    contents: "KEY"
  - path: etc/dm-crypt/other
    contents: "another key of thirty-two bytes."
  - path: etc/sysfs.d/disks.conf
    contents: |
      # Of all disks, then of one.
      block/vd*/queue/read_ahead_kb = 64
      block/vdc/queue/read_ahead_kb=32
      mode block/vda/queue/read_ahead_kb = 0600
  - path: etc/sysfs.d/wrong.conf
    contents: |
      block/none/size = 1
      ../proc/sys/vm/swappiness = 1
"""


def encrypted(key: str) -> str:
    """Return the YAML of a machine with encrypted disks and a key."""
    text = system(ENCRYPTED).replace("TEXT", SECRET.decode()).replace('"KEY"', f'"{key}"')
    # The dummy has no shell commands of these names.
    for word in ("cat", "stat"):
        text = text.replace(f"{word} ", f"busybox {word} ")
    return text


def test_disks_are_encrypted_and_open_again(tmp_path: Path) -> None:
    disks = []
    for name, size in (("luks", 96), ("plain", 96), ("full", 32)):
        disks.append(tmp_path / name)
        with disks[-1].open("wb") as file:
            file.truncate(size * MEBI)
    with disks[2].open("r+b") as file:
        file.write(b"precious" * 1000)
    full = disks[2].read_bytes()

    def first(guest: Guest) -> None:
        guest.wait_for(r"init: luks: /dev/vda is encrypted now: LUKS\n")
        guest.wait_for(r"luks: /dev/vda is opened as /dev/mapper/kept, with a new file system")
        guest.wait_for(r"plain: /dev/vdb1 is opened as /dev/mapper/plain, with a new file system")
        guest.wait_for(r"loop: /var/plain/disk.img is a new file of 24 MiB\n")
        guest.wait_for(r"loop: /var/plain/disk.img is /dev/loop3\n")
        guest.wait_for(r"nested: /dev/loop3 is opened as /dev/mapper/nested, with a new file")
        guest.wait_for(r"init: full: /dev/vdc has data and is not LUKS: it is left as it is")
        guest.wait_for(
            r"init: full-plain: /dev/vdc has data, and no file system with the key in key"
        )
        guest.wait_for(r"init: sysfs: \S+wrong.conf: there is no /sys/block/none/size\n")
        guest.wait_for(r"init: sysfs: \S+wrong.conf: ../proc/sys/vm/swappiness leaves /sys\n")
        guest.wait_for(r"init: outcome: 64\ninit: outcome: 32\ninit: outcome: 600\n")
        guest.wait_for(r"init: started in")
        assert guest.text().count(" failed after ") == 3, guest.text()
        guest.press_power_button()
        guest.wait_for(r"init: power off: all is stopped")
        guest.wait_for_end()

    def second(guest: Guest) -> None:
        for name, device in (("luks", "kept"), ("plain", "plain"), ("nested", "nested")):
            guest.wait_for(rf"init: {name}: \S+ is opened as /dev/mapper/{device} \(ext4\)\n")
        guest.wait_for(rf"(init: use: {SECRET.decode()}\n){{3}}")
        guest.wait_for(r"init: started in")

    def third(guest: Guest) -> None:
        guest.wait_for(r"init: luks: /dev/vda cannot be opened with the key in key\n")
        guest.wait_for(r"init: nested: /dev/loop3 has data, and no file system with the key in key")
        guest.wait_for(r"init: started in")

    path = tmp_path / "encrypted.yml"
    path.write_text(encrypted("abcdefghijklmnopqrstuvwxyz123456"))
    files = assemble(path, tmp_path)
    boot_and(files, first, memory=512, disks=tuple(disks))
    for disk in disks:
        assert SECRET not in disk.read_bytes()
    assert disks[2].read_bytes() == full
    boot_and(files, second, memory=512, disks=tuple(disks))
    stranger = tmp_path / "stranger.yml"
    stranger.write_text(encrypted("the key of somebody else, 32 bytes"))
    before = disks[0].read_bytes()
    boot_and(assemble(stranger, tmp_path), third, memory=512, disks=tuple(disks))
    assert disks[0].read_bytes() == before


MADE = """
onboot:
  - name: dos
    image: "@pkg:ROOT/pkg/format"
    command: [/usr/bin/format, -label, ONE, /dev/vda]
  - name: gpt
    image: "@pkg:ROOT/pkg/format"
    command: [/usr/bin/format, -type, xfs, -label, TWO, /dev/vdb2]
  - name: whole
    image: "@pkg:ROOT/pkg/format"
    command: [/usr/bin/format, -label, THREE, --partition=false, /dev/vdc]
"""
GROWN = """
onboot:
  - name: all-ext4
    image: "@pkg:ROOT/pkg/extend"
  - name: xfs
    image: "@pkg:ROOT/pkg/extend"
    command: [/usr/bin/extend, -type, xfs, /dev/vdb]
  - name: not-last
    image: "@pkg:ROOT/pkg/extend"
    command: [/usr/bin/extend, /dev/vdb1]
  - name: one
    image: "@pkg:ROOT/pkg/mount"
    command: [/usr/bin/mountie, -label, ONE, /var/one]
  - name: two
    image: "@pkg:ROOT/pkg/mount"
    command: [/usr/bin/mountie, -label, TWO, /var/two]
  - name: three
    image: "@pkg:ROOT/pkg/mount"
    command: [/usr/bin/mountie, -label, THREE, /var/three]
  - name: outcome
    image: SH "busybox df -m /data/one /data/two /data/three"
    binds: ["/var:/data"]
"""


@pytest.mark.skipif(not shutil.which("sfdisk"), reason="sfdisk is not installed")
def test_filesystems_grow_with_their_disks(tmp_path: Path) -> None:
    disks = tuple(tmp_path / name for name in ("dos", "gpt", "whole"))
    sizes = (64, 360, 64)
    for disk, size in zip(disks, sizes, strict=True):
        with disk.open("wb") as file:
            file.truncate(size * MEBI)
    table = b"label: gpt\nsize=16MiB\ntype=linux\n"
    subprocess.run(("sfdisk", "-q", disks[1]), input=table, check=True)

    def make(guest: Guest) -> None:
        guest.wait_for(r"init: dos: /dev/vda1 has a new file system: ext4, ONE")
        guest.wait_for(r"init: gpt: /dev/vdb2 has a new file system: xfs, TWO")
        guest.wait_for(r"init: whole: /dev/vdc has a new file system: ext4, THREE")
        guest.wait_for(r"init: started in")
        guest.press_power_button()
        guest.wait_for_end()

    def grow(guest: Guest) -> None:
        guest.wait_for(r"init: all-ext4: /dev/vda1 \(ext4\) has 255 MiB, before 63 MiB\n")
        guest.wait_for(r"init: all-ext4: /dev/vdb2 has xfs, not ext4, and is left as it is\n")
        guest.wait_for(r"init: all-ext4: /dev/vdc \(ext4\) has 256 MiB, before 256 MiB\n")
        guest.wait_for(r"init: xfs: /dev/vdb2 \(xfs\) has 69\d MiB, before 34\d MiB\n")
        guest.wait_for(r"init: not-last: /dev/vdb1 cannot grow: /dev/vdb2 is behind it\n")
        guest.wait_for(r"init: started in")
        for name, least in (("one", 200), ("two", 580), ("three", 200)):
            found = guest.wait_for(rf"outcome: /dev/\S+ +(\d+) .* /data/{name}\n")
            assert int(found[1]) > least, found[0]
        assert guest.text().count(" failed after ") == 1, guest.text()
        guest.press_power_button()
        guest.wait_for(r"init: power off: all is stopped")
        guest.wait_for_end()

    def again(guest: Guest) -> None:
        guest.wait_for(r"init: all-ext4: /dev/vda1 \(ext4\) has 255 MiB, before 255 MiB\n")
        guest.wait_for(r"init: started in")
        assert guest.text().count(" failed after ") == 1, guest.text()

    made = tmp_path / "made.yml"
    made.write_text(system(MADE))
    boot_and(assemble(made, tmp_path), make, memory=384, disks=disks)
    for disk, size in zip(disks, (256, 712, 256), strict=True):
        with disk.open("r+b") as file:
            file.truncate(size * MEBI)
    grown = tmp_path / "grown.yml"
    grown.write_text(system(GROWN))
    files = assemble(grown, tmp_path)
    boot_and(files, grow, memory=384, disks=disks)
    # The table of the new kind is whole again, with its copy at the end.
    checked = subprocess.run(
        ("sfdisk", "-V", disks[1]), capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    boot_and(files, again, memory=384, disks=disks)
