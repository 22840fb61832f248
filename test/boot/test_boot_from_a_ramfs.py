"""A user lets the kernel unpack an initrd into a ramfs, so that it may fill most of the memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.guests import assemble, boot_and, needs_qemu, system

if TYPE_CHECKING:
    from pathlib import Path

    from support.guest import Guest

pytestmark = [pytest.mark.slow, pytest.mark.boot, pytest.mark.whole, needs_qemu]

TEXT = """
onboot:
  - name: look
    image: SH "busybox head -1 /proc/1/mounts; busybox stat -c %s,%a /proc/1/root/opt/large"
    pid: host
    # To follow the link to the root of init.
    capabilities: [CAP_SYS_PTRACE]
services:
  - name: after
    image: SH "echo goes on"
files: [{path: opt/large, source: large, mode: "0640"}]
"""


def test_an_initrd_larger_than_half_of_the_memory_ends_in_a_tmpfs(tmp_path: Path) -> None:
    # In 240 MiB a tmpfs would hold less, at most half of what the kernel leaves.
    size = 96 << 20
    (tmp_path / "large").write_bytes(bytes(size))
    path = tmp_path / "system.yml"
    path.write_text(system(TEXT))
    files = assemble(path, tmp_path)

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: look: rootfs / tmpfs rw,[^\n]*size=\d+k")
        guest.wait_for(rf"init: look: {size},640\n")
        guest.wait_for(r"init: after: goes on")
        assert "files of the initrd are missing" not in guest.text()

    boot_and(files, check, memory=240, append="rootfstype=ramfs")
