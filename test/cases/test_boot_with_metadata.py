"""A user passes name, keys and files as metadata; the time comes from a server."""

from __future__ import annotations

import json
import shutil
import socket
import struct
import subprocess
import time
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from support.guest import Guest, login
from support.guests import assemble, boot_and, needs_qemu, system

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.cli import Dolmen

pytestmark = [pytest.mark.slow, pytest.mark.boot, needs_qemu]

TOLD = """
onboot:
  - name: modprobe
    image: "@pkg:ROOT/pkg/modprobe"
    command: [modprobe, -a, tun, dummy]
  - name: dhcp
    image: "@pkg:ROOT/pkg/dhcp"
    # As in files for LinuxKit.
    command: [/sbin/dhcpcd, --nobackground, -f, /dhcpcd.conf, "-1"]
  # A provider that does not exist, then those that do.
  - name: metadata
    image: "@pkg:ROOT/pkg/metadata"
    command: [/usr/bin/metadata, somecloud, "file=/run/nothing", cdrom]
  - name: outcome
    image: SH "cd /config; busybox ls -l provider hostname app/settings; busybox cat app/settings"
    binds: ["/run/config:/config:ro"]
  - name: modules
    image: SH "busybox grep -cE '^(tun|dummy) ' /proc/modules"
services:
  - name: sshd
    image: "@pkg:ROOT/pkg/sshd"
  - name: ntp
    image: "@pkg:ROOT/pkg/ntp"
    command: [/usr/sbin/ntpd, -d, -s]
    binds.add: ["/etc/ntpd.conf:/etc/ntpd.conf:ro"]
  - name: clock
    image: SH "until busybox date +%Y | busybox grep 2031; do busybox sleep 1; done; echo then"
files:
  - {path: etc/ntpd.conf, contents: "server 10.0.2.2\\n", mode: "0644"}
  - {path: etc/hostname, contents: untold}
"""

# From 1900, as NTP counts, to 1970; and 2031-06-01.
_EPOCH = 2208988800
_THEN = 1938038400


@pytest.fixture
def time_server() -> Iterator[None]:
    """Answer questions for the time, on port 123 of this machine's loopback, with one in 2031."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        server.bind(("127.0.0.1", 123))
    except OSError as error:
        server.close()
        pytest.skip(f"port 123 cannot be had: {error}")
    began = time.monotonic()

    def now() -> bytes:
        passed = _THEN + time.monotonic() - began
        return struct.pack("!II", int(passed) + _EPOCH, int(passed % 1 * (1 << 32)))

    def answer() -> None:
        while True:
            try:
                question, who = server.recvfrom(512)
            except OSError:
                return
            # Version 4, a server; one away from an atomic clock.
            head = struct.pack("!BBbbII4s", 0x24, 1, 6, -20, 0, 0, b"TEST")
            # Reference, the question's own time, when it came and when this goes.
            server.sendto(head + now() + question[40:48] + now() + now(), who)

    Thread(target=answer, daemon=True).start()
    yield
    server.close()


@pytest.mark.skipif(not shutil.which("ssh"), reason="ssh is not installed")
@pytest.mark.usefixtures("time_server")
def test_name_keys_and_files_come_from_a_cd_and_the_time_from_a_server(
    tmp_path: Path, dolmen: Dolmen
) -> None:
    key = tmp_path / "key"
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)), check=True)
    told = tmp_path / "told.json"
    entries = {"authorized_keys": {"perm": "0600", "content": key.with_suffix(".pub").read_text()}}
    settings = {"entries": {"settings": {"perm": "0640", "content": "colour=green\n"}}}
    told.write_text(json.dumps({"hostname": "told", "ssh": {"entries": entries}, "app": settings}))
    cd = tmp_path / "told.iso"
    dolmen.run("metadata", "create", "--file", told, cd, check=True)
    path = tmp_path / "told.yml"
    path.write_text(system(TOLD))
    files = assemble(path, tmp_path)

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: dhcp: eth0 has 10\.0\.2\.15/24")
        guest.wait_for(r"init: metadata: there is no provider somecloud; there are aws, .*file=")
        guest.wait_for(r"init: metadata: /run/nothing: nothing there")
        guest.wait_for(r"init: metadata: found on /dev/sr0")
        guest.wait_for(r"init: metadata: the hostname is told")
        guest.wait_for(r"init: outcome: -rw-r----- +1 0 +0 +13 .* app/settings")
        guest.wait_for(r"init: outcome: -rw-r--r-- .* provider")
        guest.wait_for(r"init: outcome: colour=green")
        guest.wait_for(r"init: modules: 2\n")
        guest.wait_for(r"init: clock: then")
        found = login(guest, key, "hostname; date +%Y")
        assert found.stdout == "told\n2031\n", found.stderr + guest.text()[-2000:]

    boot_and(files, check, guest_port=22, cd=cd)
