"""A user boots a system whose root filesystem is on a disk that cannot be written."""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from assembler.build import BuildOptions
from assembler.build.preparation import prepare
from assembler.config import ConfigInput
from assembler.content import read_content
from assembler.encode.assembly import Assembly
from assembler.encode.early_initrd import plan_early_initrd
from assembler.events import NullReporter
from assembler.oci.image_sources import ImageSources
from assembler.oci.store import Store
from support.guests import HOME, assemble, boot_and, needs_qemu, system

if TYPE_CHECKING:
    from pathlib import Path

    from support.guest import Files, Guest

pytestmark = [pytest.mark.slow, pytest.mark.boot, needs_qemu]

SYSTEM = """
services:
  - name: writer
    image: SH "cd /host/etc; echo written > note; busybox cat note; busybox df -T ."
    binds: [/:/host]
"""


def on_a_disk(yaml: Path, folder: Path) -> tuple[Files, Path]:
    """Make of a system its kernel, the initrd that leads to a disk, and a disk with squashfs."""
    files = assemble(yaml, folder)
    store = HOME / ".cache" / "dolmen"
    text = ConfigInput(str(yaml), yaml.read_bytes(), yaml.parent)
    sources = ImageSources(store=store, offline=True)
    options = BuildOptions(sources=sources, architecture="amd64")
    prepared = prepare([text], options, (), NullReporter())
    disk = folder / "root.squashfs"
    with Assembly(prepared.plan, Store(store)) as assembly:
        early = plan_early_initrd(assembly, ["squashfs"])
        assert early is not None
        assert early.missing_filesystems == ()
        # Of directories that are there twice it takes the first, and says so.
        command = ["sqfstar", "-quiet", "-no-progress", disk]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as made:
            assert made.stdin is not None
            for piece in assembly.tree():
                made.stdin.write(
                    read_content(piece) if not isinstance(piece, memoryview) else piece
                )
        assert made.returncode == 0
    with Assembly(early.plan, Store(store)) as assembly:
        initrd = read_content(assembly.initrd())
    assert len(initrd) < 3_000_000
    files.path("initrd.img").write_bytes(initrd)
    return files, disk


@pytest.mark.skipif(not shutil.which("sqfstar"), reason="squashfs-tools is not installed")
def test_an_early_initrd_mounts_the_root_filesystem(tmp_path: Path) -> None:
    yaml = tmp_path / "system.yml"
    yaml.write_text(system(SYSTEM))
    files, disk = on_a_disk(yaml, tmp_path)
    before = disk.read_bytes()

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: writer: written\n")
        guest.wait_for(r"init: writer: overlay +overlay .*\n")
        guest.wait_for(r"init: started in")
        guest.press_power_button()
        guest.wait_for(r"init: power off: all is stopped")
        guest.wait_for_end()
        assert disk.read_bytes() == before

    boot_and(files, check, append="root=/dev/vda", disks=(disk,))

    def check_other(guest: Guest) -> None:
        guest.wait_for(
            r"init: cannot go on: the root filesystem /dev/vdx did not come within 1s; "
            r"there is /dev/vda squashfs\n"
        )
        guest.wait_for(r"init: the system stays as it is")
        time.sleep(1)
        assert "Kernel panic" not in guest.text()

    boot_and(files, check_other, append="root=/dev/vdx rootwait=1", disks=(disk,))
