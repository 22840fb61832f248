"""A user shares volumes, directories, interfaces and namespaces between containers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from support.guests import assemble, boot_and, needs_qemu, system

if TYPE_CHECKING:
    from pathlib import Path

    from support.guest import Guest

pytestmark = [pytest.mark.slow, pytest.mark.boot, needs_qemu]

SHARED = """
volumes:
  - name: data
  - name: image
    image: "@pkg:ROOT/pkg/dummy"
    readonly: true
onboot:
  - name: writer
    image: SH "echo written > /data/file; echo kept > /made/file; echo made=$?"
    binds: ["data:/data", "/var/made/deep:/made"]
    runtime: {mkdir: [/var/made/deep], cgroups: [group/inner]}
  - name: reader
    image: SH "busybox cat /data/file /made/file; busybox touch /image/x; busybox ls /image/usr/bin"
    binds: ["data:/data:ro", "/var/made/deep:/made", "image:/image:ro"]
  - name: again
    readonly: false
    image: SH "busybox touch /usr/own && echo root can be written"
  - name: mounts
    image: SH "busybox df -k /mnt; busybox cat /sys/fs/cgroup/group/inner/cgroup.controllers"
    binds: ["/mnt:/mnt"]
    runtime:
      mounts: [{type: tmpfs, source: tmpfs, destination: /mnt, options: ["size=4m", nodev]}]
services:
  - name: a-network
    image: SH "busybox ip addr add 10.9.0.2/24 dev inside; STAY"
    net: new
    capabilities: [CAP_NET_ADMIN]
    runtime:
      bindNS: {net: /run/netns/inner}
      interfaces:
        - {name: inside, add: veth, peer: outside}
        - {name: dm0, add: dummy}
        - {name: dm1, add: dummy, createInRoot: true}
        - {name: only, peer: theother}
        - {name: eth0}
  - name: b-joins
    image: SH "busybox sleep 2; busybox ip addr show; echo joined; STAY"
    net: /run/netns/inner
  - name: c-root
    image: SH "busybox ip link show; STAY"
    net: host
"""
# Until told to end, which sleep alone would not heed.
STAY = "trap exit TERM; busybox sleep 9999 & wait"


def _interfaces(console: str, who: str) -> set[str]:
    return set(re.findall(rf"init: {who}: \d+: (\w+)[@:]", console))


def test_containers_share_volumes_interfaces_and_namespaces(tmp_path: Path) -> None:
    path = tmp_path / "system.yml"
    path.write_text(system(SHARED.replace("STAY", STAY)))
    files = assemble(path, tmp_path)

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: writer: made=0")
        guest.wait_for(r"init: reader: written\n")
        guest.wait_for(r"init: reader: kept\n")
        guest.wait_for(r"init: reader: touch: /image/x: Read-only file system")
        guest.wait_for(r"init: reader: busybox\n")
        guest.wait_for(r"init: again: root can be written")
        guest.wait_for(r"init: mounts: tmpfs +4096 .*/mnt")
        guest.wait_for(r"init: mounts: .*memory.*pids")
        guest.wait_for(r"init: b-joins: +inet 10\.9\.0\.2/24")
        guest.wait_for(r"init: b-joins: joined")
        guest.wait_for(r"init: started in")
        seen = {who: _interfaces(guest.text(), who) for who in ("b-joins", "c-root")}
        assert seen["b-joins"] >= {"lo", "inside", "dm0", "dm1", "only", "eth0"}
        assert seen["c-root"] >= {"lo", "outside", "theother"}
        assert seen["b-joins"] & seen["c-root"] == {"lo"}
        guest.press_power_button()
        guest.wait_for_end()

    boot_and(files, check)
