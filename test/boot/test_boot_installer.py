"""A machine installs an image on a disk, lets it grow, and gives it keys."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.guests import assemble, boot_and, needs_qemu, system
from support.updates import ESP, MEBI, SIZE, check_slot, make_disk, make_release

if TYPE_CHECKING:
    from pathlib import Path

    from support.guest import Guest

limit = pytest.mark.timeout(1800)
pytestmark = [
    *(pytest.mark.slow, pytest.mark.boot, pytest.mark.whole, limit, needs_qemu),
    pytest.mark.skipif(
        not all(map(shutil.which, ("sgdisk", "veritysetup", "mformat"))),
        reason="sgdisk, veritysetup or mtools is not installed",
    ),
]

INSTALLER = """
onboot:
  - name: format
    image: "@pkg:ROOT/pkg/format"
    command: [/usr/bin/format, /dev/vdb]
  - name: mount
    image: "@pkg:ROOT/pkg/mount"
    command: [/usr/bin/mountie, /dev/vdb1, /var/used]
  - name: used
    image: "@pkg:ROOT/pkg/mkimage"
    command: [/usr/bin/dolmen-install, --force, /dev/vda, /dev/vdb]
  - name: keyless
    image: "@pkg:ROOT/pkg/mkimage"
    command: [/usr/bin/dolmen-install, --keys, /etc/dolmen, /dev/vda, /dev/vdc]
  - name: install
    image: "@pkg:ROOT/pkg/mkimage"
    command:
      - /usr/bin/dolmen-install
      - --grow
      - --keys
      - /keys
      - --enrol=force
      - --reboot
      - /dev/vda
      - /dev/vdc
    binds.add: ["/keys:/keys:ro"]
files:
  - {path: keys/PK.auth, contents: "the platform key"}
  - {path: keys/KEK.auth, contents: "the key exchange key"}
  - {path: keys/db.auth, contents: "the key of programs"}
"""
LARGER = 200


def test_an_installed_disk_has_grown_and_has_keys(tmp_path: Path) -> None:
    runs = make_release(tmp_path, "1")
    image, used, target = (tmp_path / name for name in ("image", "used", "target"))
    make_disk(image, runs)
    add = ("sgdisk", "-n", f"6:{SIZE - 2}M:+1M", "-t", "6:8300", "-c", "6:data", image)
    subprocess.run(add, check=True, capture_output=True)
    loader = tmp_path / "loader.conf"
    loader.write_text("timeout 0\nsecure-boot-enroll off\n")
    esp = f"{image}@@{ESP[0]}M"
    subprocess.run(("mmd", "-i", esp, "::/loader"), check=True)
    subprocess.run(("mcopy", "-i", esp, loader, "::/loader/"), check=True)
    for disk, size in ((used, 64), (target, LARGER)):
        with disk.open("wb") as file:
            file.truncate(size * MEBI)
    path = tmp_path / "installer.yml"
    path.write_text(system(INSTALLER))
    files = assemble(path, tmp_path)

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: used: /dev/vdb is in use: this system runs from it, or has", 600)
        guest.wait_for(r"init: keyless: /etc/dolmen has no PK.auth\n")
        guest.wait_for(r"init: install: partition 6 of /dev/vdc ends with the disk now\n", 600)
        guest.wait_for(r"init: install: /dev/vdc has the image now: \d+ MiB, SHA-256 [0-9a-f]{64}")
        guest.wait_for(r"init: install: /dev/vdc1 has the keys, and systemd-boot enrols them in")
        guest.wait_for_end()

    boot_and(files, check, disks=(image, used, target))
    assert SIZE * MEBI < target.stat().st_size == LARGER * MEBI
    check_slot(target, 0, runs)
    shown = subprocess.run(
        ("sgdisk", "-i", "6", target), capture_output=True, text=True, check=True
    )
    last = re.search(r"Last sector: (\d+)", shown.stdout)
    assert last
    assert int(last[1]) * 512 > (LARGER - 2) * MEBI
    for name, content in (
        ("loader.conf", "timeout 0\nsecure-boot-enroll force\n"),
        ("keys/auto/PK.auth", "the platform key"),
        ("keys/auto/KEK.auth", "the key exchange key"),
        ("keys/auto/db.auth", "the key of programs"),
    ):
        read = subprocess.run(
            ("mtype", "-i", f"{target}@@{ESP[0]}M", f"::/loader/{name}"),
            capture_output=True,
            text=True,
            check=True,
        )
        assert read.stdout == content, name
