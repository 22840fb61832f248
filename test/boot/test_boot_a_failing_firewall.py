"""A system whose firewall cannot be loaded stays offline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.guests import assemble, boot_and, needs_qemu, system

if TYPE_CHECKING:
    from pathlib import Path

    from support.guest import Guest

pytestmark = [pytest.mark.slow, pytest.mark.boot, pytest.mark.whole, needs_qemu]

BROKEN = """
onboot:
  - name: up
    image: SH "busybox ip link set eth0 up"
    net: host
    capabilities: [CAP_NET_ADMIN]
  - name: firewall
    image: "@pkg:ROOT/pkg/firewall"
  - name: late
    image: SH "echo the boot goes on"
files:
  - path: etc/nftables.conf
    contents: "table inet firewall { chain input { nonsense } }"
"""


def test_the_boot_stops_where_the_firewall_fails(tmp_path: Path) -> None:
    path = tmp_path / "broken.yml"
    path.write_text(system(BROKEN))
    files = assemble(path, tmp_path)

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: firewall: eth0 is up already: put the firewall before")
        guest.wait_for(r"init: firewall: /etc/nftables.conf:1:\S+ Error: syntax error")
        guest.wait_for(r"init: firewall: the rules cannot be loaded; the boot stops here")
        with pytest.raises(AssertionError, match="not within 5 s"):
            guest.wait_for("the boot goes on", 5)
        guest.press_power_button()
        guest.wait_for(r"init: power off: all is stopped")
        guest.wait_for_end()

    boot_and(files, check)
