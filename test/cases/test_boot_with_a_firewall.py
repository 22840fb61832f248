"""A user closes all ports but those of the services, and limits what containers may do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from support.guests import assemble, boot_and, needs_qemu, page, system

if TYPE_CHECKING:
    from pathlib import Path

    from support.guest import Guest

pytestmark = [pytest.mark.slow, pytest.mark.boot, needs_qemu]

# Another machine: a container with a network of its own, joined to the system by a cable. The file
# `ready` is there when the system has its end of it.
HARDENED = """
files:
  - path: etc/apparmor.d/strict
    contents: "STRICT"
firewall:
  expose: [{port: 9001, from: [10.9.0.0/24, "fd09::/64"]}, {port: 9002, from: [192.0.2.0/24]}]
onboot:
  - name: refused
    image: SH "PROBE"
    seccomp: default
    tmpfs: [/tmp]
  - name: free
    image: SH "PROBE"
    seccomp: unconfined
    tmpfs: [/tmp]
  - name: own
    image: SH "PROBE"
    seccomp: own.json
    tmpfs: [/tmp]
  - name: privileged
    image: SH "busybox mount -t tmpfs tmpfs /mnt && busybox grep -c ' /mnt ' /proc/mounts"
    seccomp: default
    capabilities: [CAP_SYS_ADMIN]
    tmpfs: [/mnt]
  - name: apparmor
    image: "@pkg:ROOT/pkg/apparmor"
  - name: denied
    image: SH "busybox mount -t tmpfs tmpfs /mnt; busybox cat /proc/self/attr/current"
    apparmor: container-default
    capabilities: [all]
    tmpfs: [/mnt]
  - name: strict
    image: SH "busybox touch /tmp/x; echo still runs"
    apparmor: strict
    tmpfs: [/tmp]
  - name: firewall
    image: "@pkg:ROOT/pkg/firewall"
  - name: dhcp
    image: "@pkg:ROOT/pkg/dhcp"
services:
  - name: web
    image: "@pkg:ROOT/pkg/nginx"
  - name: listeners
    image: "@pkg:ROOT/pkg/dummy"
    net: host
    capabilities: [CAP_NET_ADMIN]
    binds: ["/run/cable:/run/cable"]
    tmpfs: [/tmp]
    runtime: {mkdir: [/run/cable]}
    command:
      - sh
      - -c
      - |
        echo hello > /tmp/index.html
        for port in 9001 9002 9003; do busybox httpd -p $port -h /tmp; done
        for address in 127.0.0.1 '[::1]'; do
          busybox wget -q -T 9 -O - http://$address:9003/ && echo "9003 listens at $address"
        done
        until busybox ip link set outer up; do busybox sleep 1; done
        busybox ip address add 10.9.0.1/24 dev outer
        busybox ip address add fd09::1/64 dev outer
        busybox touch /run/cable/ready
        exec busybox sleep 2147483647
  - name: neighbour
    image: "@pkg:ROOT/pkg/dummy"
    net: new
    capabilities: [CAP_NET_ADMIN, CAP_NET_RAW]
    binds: ["/run/cable:/run/cable"]
    command:
      - sh
      - -c
      - |
        busybox ip address add 10.9.0.2/24 dev inner
        busybox ip address add fd09::2/64 dev inner
        busybox ip link set inner up
        until [ -e /run/cable/ready ]; do busybox sleep 1; done
        for address in 10.9.0.1 '[fd09::1]'; do
          until busybox wget -q -T 9 -O /dev/null http://$address:80/; do busybox sleep 1; done
          for port in 80 9001 9002 9003; do
            state=closed
            busybox wget -q -T 5 -O /dev/null http://$address:$port/ && state=open
            echo "$address $port is $state"
          done
          ping=lost
          host=${address#[}
          busybox ping -c 1 -W 9 ${host%]} > /dev/null && ping=answered
          echo "ping $address is $ping"
        done
        exec busybox sleep 2147483647
    runtime:
      mkdir: [/run/cable]
      interfaces:
        - {name: inner, add: veth, peer: outer}
"""
PROBE = (
    "busybox unshare -U busybox echo made; busybox mkdir /tmp/x; "
    "busybox grep Seccomp: /proc/self/status"
)
STRICT = "profile strict flags=(attach_disconnected) { file, deny /tmp/** w, }"
OWN = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}],
}


def test_what_is_not_listed_is_closed_and_refused(tmp_path: Path) -> None:
    path = tmp_path / "hardened.yml"
    path.write_text(system(HARDENED.replace("PROBE", PROBE).replace("STRICT", STRICT)))
    (tmp_path / "own.json").write_text(json.dumps(OWN))
    files = assemble(path, tmp_path)

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: refused: unshare: unshare\S*: Operation not permitted")
        guest.wait_for(r"init: refused: Seccomp:\s+2\n")
        guest.wait_for(r"init: free: made\n")
        guest.wait_for(r"init: free: Seccomp:\s+0\n")
        guest.wait_for(r"init: own: made\n")
        guest.wait_for(r"init: own: mkdir: .*: No space left on device")
        guest.wait_for(r"init: privileged: 2\n")
        guest.wait_for(r"init: apparmor: loaded container-default\n")
        guest.wait_for(r"init: apparmor: loaded strict\n")
        guest.wait_for(r"init: denied: mount: .*: Permission denied")
        guest.wait_for(r"init: denied: container-default \(enforce\)")
        guest.wait_for(r"init: strict: touch: /tmp/x: Permission denied")
        guest.wait_for(r"init: strict: still runs\n")
        guest.wait_for(
            r"init: firewall: loaded; open are: 80/tcp, "
            r"9001/tcp from 10\.9\.0\.0/24 fd09::/64, 9002/tcp from 192\.0\.2\.0/24\n"
        )
        for address in (r"127\.0\.0\.1", r"\[::1\]"):
            guest.wait_for(rf"init: listeners: 9003 listens at {address}\n")
        # From another machine, through the network that DHCP has configured.
        assert "nginx" in page(guest).lower()
        for address in (r"10\.9\.0\.1", r"\[fd09::1\]"):
            for port, state in ((80, "open"), (9001, "open"), (9002, "closed"), (9003, "closed")):
                guest.wait_for(rf"init: neighbour: {address} {port} is {state}\n")
            guest.wait_for(rf"init: neighbour: ping {address} is answered\n")
        assert " failed after " not in guest.text()

    boot_and(files, check)
