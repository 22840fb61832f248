"""A user logs in at the console, looks into a container, plugs a device in, and reboots."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from support.guests import assemble, boot_and, needs_qemu, system

if TYPE_CHECKING:
    from pathlib import Path

    from support.guest import Guest

pytestmark = [pytest.mark.slow, pytest.mark.boot, needs_qemu]

SYSTEM = """
onshutdown:
  - name: goodbye
    image: SH "echo was here at the end"
services:
  - name: getty
    image: "@pkg:ROOT/pkg/getty"
  # The same without what is in the system's /etc.
  - name: locked
    image: "@pkg:ROOT/pkg/getty"
    binds: [/dev:/dev]
files:
  - path: etc/getty.shadow
    contents: "root:PASSWORD:::::::"
    mode: "0600"
"""


def test_a_password_opens_the_console(tmp_path: Path) -> None:
    made = subprocess.run(
        ["openssl", "passwd", "-6", "correct horse"], capture_output=True, text=True, check=True
    )
    path = tmp_path / "system.yml"
    path.write_text(system(SYSTEM).replace("PASSWORD", made.stdout.strip()))
    files = assemble(path, tmp_path)

    def check(guest: Guest) -> None:
        guest.wait_for(r"\nlogin is disabled: there is no /etc/getty.shadow; INSECURE=true")
        for number, password in enumerate(("battery staple", "correct horse")):
            guest.wait_for(rf"(?s)(login: .*){{{number + 1}}}$")
            guest.type("root")
            guest.wait_for(rf"(?s)(Password: .*){{{number + 1}}}$")
            guest.type(password)
        guest.wait_for(r"Login incorrect")
        guest.wait_for(r"Linux \S+\. service list shows what runs")
        assert "correct horse" not in guest.text()
        # A terminal of its own for what is run in a container, and none where there is none here.
        guest.type("service exec getty busybox tty; service exec getty busybox tty < /dev/null")
        guest.wait_for(r"\n/dev/pts/\d+\n(.*\n)*?not a tty\n")
        # However soon it ends, and with a word of why if it cannot be run.
        guest.type("for i in $(seq 20); do service exec getty busybox echo it $i; done")
        guest.wait_for("".join(rf"\nit {number}" for number in range(1, 21)) + r"\n")
        guest.type("service exec getty nothing-like-it; echo status $?")
        guest.wait_for(r"\nservice: .*nothing-like-it.* not found.*\nstatus 127\n")
        guest.type("service exec getty nothing-like-it </dev/null; echo status $?")
        guest.wait_for(r"nothing-like-it.* not found.*\nstatus 127\n")
        guest.type("service exec getty busybox false </dev/null; echo status $?")
        guest.wait_for(r"\nstatus 1\n")
        # What comes later gets its module.
        guest.type("grep -c ^virtio_blk /proc/modules; echo looked")
        guest.wait_for(r"\n0\nlooked\n")
        guest.order("blockdev-add", driver="null-co", **{"node-name": "nothing", "size": 1 << 20})
        guest.order("device_add", driver="virtio-blk-pci", drive="nothing", bus="free")
        guest.type("until [ -b /dev/vda ]; do sleep 0.1; done; grep ^virtio_blk /proc/modules")
        guest.wait_for(r"\nvirtio_blk \d+ 0 - Live")
        guest.type("reboot")
        guest.wait_for(r"init: reboot: stopping services")
        guest.wait_for(r"init: goodbye: was here at the end")
        guest.wait_for(r"init: reboot: all is stopped")
        guest.wait_for_end()

    boot_and(files, check, devices=("pcie-root-port,id=free",))
