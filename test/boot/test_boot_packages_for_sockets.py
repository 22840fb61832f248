"""Sockets of machines are reached without a network, and machines take the time of their hosts."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING

import pytest

from support.guest import LIMIT, Guest
from support.guests import REPOSITORY, assemble, boot_and, needs_qemu, system

if TYPE_CHECKING:
    from pathlib import Path

# Packages that are compiled first, and a boot or two.
limit = pytest.mark.timeout(1800)
pytestmark = [pytest.mark.slow, pytest.mark.boot, pytest.mark.whole, limit, needs_qemu]

SOCKETS = """
onboot:
  - name: no-clock
    image: "@pkg:ROOT/pkg/host-timesync-daemon"
    command: [/host-timesync-daemon, "-1"]
    binds: []
  - name: no-device
    image: "@pkg:ROOT/pkg/host-timesync-daemon"
    command: [/host-timesync-daemon, "-1", -device, /dev/ptp7]
  - name: wrong
    image: SH "busybox date -s 2001-02-03"
    capabilities: [CAP_SYS_TIME]
  - name: right
    image: "@pkg:ROOT/pkg/host-timesync-daemon"
    command: [/host-timesync-daemon, "-1"]
services:
  - name: acpid
    image: "@pkg:ROOT/pkg/acpid"
  - name: getty
    image: "@pkg:ROOT/pkg/getty"
    env: [INSECURE=true]
  - name: nginx
    image: "@pkg:ROOT/pkg/nginx"
  - name: timesync
    image: "@pkg:ROOT/pkg/host-timesync-daemon"
    command: [/host-timesync-daemon, -interval, "0"]
  - name: vsudd
    image: "@pkg:ROOT/pkg/vsudd"
    net: host
    binds.add: [/run/log:/run/log]
    command: [/vsudd, -inport, "8080:tcp:127.0.0.1:80",
      -inport, "2374:unix:/run/log/memlogdq.sock"]
"""
# A request of memlogd's protocol: all lines in memory.
DUMP = b"\x00"


def sockets_system() -> str:
    """Return the YAML, with the logs in memory, whose socket is one to forward."""
    memory = f'pkg/crun", "@pkg:{REPOSITORY}/pkg/memlogd"]'
    return system(SOCKETS).replace('pkg/crun"]', memory)


def ask(path: Path, request: bytes, end: bytes) -> str:
    """Send a request to a socket of the host, and return the answer up to an end."""
    answer = b""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(LIMIT)
        connection.connect(str(path))
        connection.sendall(request)
        while end not in answer:
            piece = connection.recv(1 << 16)
            assert piece, answer
            answer += piece
    # The machine looks several times a second for whether the host is still there.
    time.sleep(3)
    return answer.decode()


def test_the_host_reaches_sockets_and_sets_the_clock(tmp_path: Path) -> None:
    path = tmp_path / "sockets.yml"
    path.write_text(sockets_system())
    files = assemble(path, tmp_path)
    web, logs = tmp_path / "web", tmp_path / "logs"
    request = b"GET / HTTP/1.1\r\nHost: guest\r\n\r\n"

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: no-clock: no clock of the host is there: .* ptp_kvm\) nor /dev/rtc0")
        guest.wait_for(r"init: no-device: open /dev/ptp7: no such file or directory")
        guest.wait_for(r"init: wrong: Sat Feb +3 00:00:00 UTC 2001")
        guest.wait_for(r"init: right: the clock is set by \d+h\d+m\S+, as /dev/rtc0 says")
        guest.wait_for(r"init: started in")
        guest.wait_for(r"init: timesync: a connection to the vsock port 62372 sets the clock")
        guest.wait_for(r"vsudd: 8080:tcp:127\.0\.0\.1:80: vsock, which the host cannot reach")
        guest.wait_for(r"vsudd: 8080:tcp:127\.0\.0\.1:80: the virtio-serial port vsudd\.8080")
        # Each connection of the host is one of its own to the service.
        for _ in range(2):
            assert "<h1>It runs</h1>" in ask(web, request, b"</html>")
        first = ask(logs, DUMP, b"vsudd.8080").splitlines()[0]
        assert {"source", "time", "msg"} <= json.loads(first).keys()
        # The same by vsock, whose host is the machine itself.
        guest.type("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | service exec vsudd /vsudd -dial 1:8080")
        guest.wait_for(r"<h1>It runs</h1>")
        guest.type(
            "date -s 2002-03-04; service exec vsudd /vsudd -dial 1:62372 </dev/null; date +%Y,%m"
        )
        guest.wait_for(time.strftime(r"\n%Y,%m\n", time.gmtime()))
        guest.wait_for(r"timesync: the clock is set by \d+h\d+m\S+, as /dev/rtc0 says")
        guest.type(
            "run() { service exec vsudd /vsudd $* </dev/null; }; run -dial 1:99; run -inport 7:x"
        )
        guest.wait_for(r"1:99: connect: connection (reset|refused)")
        guest.wait_for(r'invalid value "7:x" for flag -inport: PORT:unix:PATH')
        guest.wait_for(r"init: acpid: init shuts the system down when the power button is pressed")
        assert guest.text().count(" failed after ") == 2, guest.text()
        guest.press_power_button()
        guest.wait_for(r"init: power off: all is stopped")
        guest.wait_for_end()

    boot_and(
        files,
        check,
        memory=320,
        options=(
            *("-chardev", f"socket,id=web,path={web},server=on,wait=off"),
            *("-chardev", f"socket,id=logs,path={logs},server=on,wait=off"),
        ),
        devices=(
            "virtio-serial-pci",
            "virtserialport,chardev=web,name=vsudd.8080",
            "virtserialport,chardev=logs,name=vsudd.2374",
        ),
    )
