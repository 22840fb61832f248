"""A user builds the examples and boots them."""

from __future__ import annotations

import time
import urllib.request
from pathlib import Path

import pytest

from support.guest import LIMIT, Guest
from support.guests import REPOSITORY, assemble, boot_and, needs_qemu

pytestmark = [pytest.mark.slow, pytest.mark.boot, needs_qemu]
EXAMPLES = REPOSITORY / "examples"


def page(guest: Guest) -> str:
    """Fetch the page; a service that has started takes a moment to listen."""
    end = time.monotonic() + LIMIT
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{guest.port}/", timeout=30) as answer:
                return str(answer.read().decode())
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def test_minimal_gives_a_shell_and_an_address_in_little_memory(tmp_path: Path) -> None:
    files = assemble(EXAMPLES / "minimal.yml", tmp_path)
    assert files.path("initrd.img").stat().st_size <= 14_000_000

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: onboot dhcp\n")
        guest.wait_for(r"This is minimal, Linux")
        guest.wait_for(r"init: started in")
        guest.type("service list; service logs onboot.000-dhcp; ip -4 addr show dev eth0")
        guest.wait_for(r"getty +running +pid \d+")
        guest.wait_for(r"inet 10\.0\.2\.15/24")
        guest.type("cat /run/resolvconf/resolv.conf; service start nothing; service stop getty")
        guest.wait_for(r"nameserver 10\.0\.2\.3")
        guest.wait_for(r"there is no service nothing")
        guest.press_power_button()
        guest.wait_for(r"init: power off: all is stopped")
        guest.wait_for_end()

    boot_and(files, check, memory=128)


def test_nginx_serves_its_page_without_rights(tmp_path: Path) -> None:
    files = assemble(EXAMPLES / "nginx.yml", tmp_path)

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: started in")
        assert "<h1>It runs</h1>" in page(guest)
        guest.wait_for(r"This is web, Linux")
        guest.type("service logs nginx; pid=$(pidof nginx | sed 's/.* //')")
        guest.type("grep -E 'Uid|CapEff|CapBnd' /proc/$pid/status")
        guest.wait_for(r'"GET / HTTP/1.1" 200')
        guest.wait_for(r"Uid:\s+33\s+33\s+33\s+33\n")
        # CAP_NET_BIND_SERVICE, and no other.
        guest.wait_for(r"CapEff:\s+0000000000000400\n")
        guest.wait_for(r"CapBnd:\s+0000000000000400\n")
        guest.type("service restart nginx && service list; sysctl kernel.kptr_restrict")
        guest.wait_for(r"nginx +running .* starts 2\n")
        guest.wait_for(r"kernel.kptr_restrict = 2")
        assert "<h1>It runs</h1>" in page(guest)
        guest.type("service exec nginx /usr/sbin/nginx -v; echo status $?")
        guest.wait_for(r"nginx version: .*\n(.*\n)*status 0")
        guest.type("poweroff")
        guest.wait_for(r"init: power off: all is stopped")
        guest.wait_for_end()

    boot_and(files, check)
