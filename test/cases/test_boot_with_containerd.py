"""A user brings containerd, and the services run in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.guests import REPOSITORY, assemble, boot_and, needs_qemu, page

if TYPE_CHECKING:
    from pathlib import Path

    from support.guest import Guest

pytestmark = [pytest.mark.slow, pytest.mark.boot, needs_qemu]

# Beside what the example has: one that crashes, one with a network that others can join, and one
# that does not heed SIGTERM.
MORE = """
services:
  - name: crashing
    image: "@pkg:ROOT/pkg/dummy"
    command: [sh, -c, "echo about to crash; exit 7"]
  - name: linked
    image: "@pkg:ROOT/pkg/dummy"
    command: [sh, -c, "trap 'exit 0' TERM; echo with a network; busybox sleep 9999 & wait"]
    net: new
    runtime:
      namespace: web
      interfaces: [{name: inside, add: veth, peer: outside}]
      bindNS: {net: /run/netns/linked}
  - name: stubborn
    image: "@pkg:ROOT/pkg/dummy"
    command: [sh, -c, "trap 'echo heard it' TERM; while true; do busybox sleep 1; done"]
    annotations: {dolmen.stop-timeout: 2s}
"""


def test_services_run_in_containerd_in_their_namespaces(tmp_path: Path) -> None:
    more = tmp_path / "more.yml"
    more.write_text(MORE.replace("ROOT", str(REPOSITORY)))
    files = assemble(REPOSITORY / "examples" / "containerd.yml", tmp_path, more=(more,))

    def check(guest: Guest) -> None:
        guest.wait_for(r"This is containerd, Linux")
        guest.wait_for(r"init: service crashing ended: exit status 7; .*in 1s\n +\| about to crash")
        guest.wait_for(r"init: started in")
        assert "<h1>" in page(guest)
        guest.type("for ns in web services.linuxkit; do")
        guest.type("echo tasks of $ns; chroot /proc/1/root ctr -n $ns tasks ls; done; echo all")
        listed = guest.wait_for(
            r"\ntasks of web\n([^$]*)\ntasks of services.linuxkit\n([^$]*)\nall\n"
        )
        web, usual = listed.groups()
        for name, its, other in (("nginx", web, usual), ("getty", usual, web)):
            assert f"\n{name} " in its
            assert "RUNNING" in its
            assert name not in other
        guest.type("service exec linked busybox ip link show inside; ls /sys/class/net")
        guest.wait_for(r"\d+: inside@if\d+:")
        guest.wait_for(r"\n.*outside")
        # Its interface and its namespace are those of the run before.
        guest.type("service restart linked; service logs linked; service list")
        guest.wait_for(r"\nwith a network\nwith a network\n")
        guest.wait_for(r"linked +running .* starts 2\n")
        guest.type("kill -KILL $(pidof containerd)")
        guest.wait_for(r"init: containerd ended: killed by signal 9 .*started again in 1s")
        assert "<h1>" in page(guest)
        guest.type("service restart nginx; service list")
        guest.wait_for(r"nginx +running .* starts 2\n")
        guest.press_power_button()
        guest.wait_for(r"init: service stubborn did not end within 2s and is killed")
        guest.wait_for(r"init: power off: all is stopped")
        guest.wait_for_end()

    boot_and(files, check, memory=512)
