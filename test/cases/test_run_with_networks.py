"""A user connects machines to this host's network, and to each other."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from support.booting import LIMIT, Run, System, left_behind, machines_of
from support.cli import Dolmen
from support.nobody import LAUNCHER, home_of_nobody, why_not

pytestmark = [
    pytest.mark.slow,
    pytest.mark.boot,
    pytest.mark.timeout(int(3 * LIMIT)),
    pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed"),
]
UP = "the system is up"
SMALL = ("--mem", "256", "--stop-timeout", "1s")
needs_root = pytest.mark.skipif(
    not shutil.which("ip") or os.geteuid() != 0, reason="it takes root and iproute2"
)
# Python asks the guest's web server, as a user would.
UNSHARED = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
FETCH = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=20).read())"
START = """
set -e
fetch() { PYTHON fetch.py "http://$1/"; }
wait_for() { until grep -q "$2" "$1"; do kill -0 $pid; sleep 0.2; done; }
run() {
  DOLMEN run qemu --mem 256 --stop-timeout 1s IMAGE "$@" < ${keys:-/dev/null} > console &
  pid=$!
}
end() { kill $pid; wait $pid || true; }
"""


def in_a_namespace(dolmen: Dolmen, system: System, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a network of its own, which has nothing but its loopback."""
    (dolmen.home / "fetch.py").write_text(FETCH)
    words = {"PYTHON": sys.executable, "DOLMEN": f"{sys.executable} -m dolmen"}
    for name, value in {**words, "IMAGE": str(system.prefix)}.items():
        script = script.replace(name, value)
    done = subprocess.run(
        # With its processes it ends as a whole, even if the test does not go well.
        [*UNSHARED, "sh", "-c", script],
        cwd=dolmen.home,
        env=dolmen.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    if "unshare failed" in done.stderr or "/dev/net/tun" in done.stderr:
        pytest.skip(f"no network namespaces here: {done.stderr}")
    assert done.returncode == 0, done.stderr + done.stdout
    assert machines_of(dolmen.home) == []
    assert left_behind(dolmen.home) == []
    return done


@needs_root
def test_an_existing_tap_device_is_used_and_kept(dolmen: Dolmen, tiny_system: System) -> None:
    done = in_a_namespace(
        dolmen,
        tiny_system,
        START
        + """
ip tuntap add tap0 mode tap
ip addr add 10.0.2.2/24 dev tap0
ip link set tap0 up
run --networking tap,tap0
wait_for console 'the system is up'
fetch 10.0.2.15
end
ip link show tap0 > /dev/null
""",
    )
    assert "Hello from the guest" in done.stdout


@needs_root
def test_a_tap_device_is_created_and_removed_even_after_a_killed_run(
    dolmen: Dolmen, tiny_system: System
) -> None:
    done = in_a_namespace(
        dolmen,
        tiny_system,
        START
        + """
run --networking tap,own0
wait_for console SeaBIOS
ip -o link show own0
kill -9 $pid
wait $pid || true
until ! ip link show own0 2>/dev/null; do sleep 0.1; done
DOLMEN run qemu nothing 2>/dev/null || true
""",
    )
    assert "own0" in done.stdout
    assert ",UP" in done.stdout


@needs_root
def test_the_last_machine_removes_the_bridge(dolmen: Dolmen, tiny_system: System) -> None:
    done = in_a_namespace(
        dolmen,
        tiny_system,
        START
        + """
first=$(DOLMEN run qemu --detached --mem 256 --networking bridge,br7 IMAGE)
run --networking bridge,br7
ip addr add 10.0.2.2/24 dev br7
wait_for console 'the system is up'
ip -o link show master br7 | wc -l
DOLMEN stop $first --timeout 0
ip -o link show master br7 | wc -l
fetch 10.0.2.15
end
ip -o link show | cut -d: -f2
""",
    )
    ports, rest, page, *left = done.stdout.splitlines()
    assert (ports, rest) == ("2", "1")
    assert "Hello from the guest" in page
    assert [name.strip() for name in left] == ["lo"]


@pytest.mark.parametrize(
    ("networking", "told"),
    [
        ("tap,no-such0", "sudo ip tuntap add no-such0 mode tap"),
        ("bridge,no-such0", "sudo ip link add no-such0 type bridge"),
        ("bridge,no-such0,nat", "--networking user does not need root"),
    ],
)
def test_a_missing_device_without_root_has_a_hint(
    tiny_system: System, networking: str, told: str
) -> None:
    if reason := why_not():
        pytest.skip(reason)
    with home_of_nobody() as home:
        dolmen = Dolmen(home)
        words = (sys.executable, "-B", "-m", "dolmen", "run", tiny_system.prefix)
        done = subprocess.run(
            [*LAUNCHER, *words, "--networking", networking],
            cwd=home,
            env=dolmen.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        assert done.returncode == 1
        assert "DM1013" in done.stderr
        assert told in done.stderr
        assert left_behind(home) == []


OUTSIDE = """
mount -t tmpfs none /var/run
mkdir /var/run/netns
ip netns add outside
ip link add uplink type veth peer name uplink netns outside
ip addr add 192.0.2.1/24 dev uplink
ip link set uplink up
ip -n outside addr add 192.0.2.2/24 dev uplink
ip -n outside link set uplink up
echo 0 > /proc/sys/net/ipv4/ip_forward
ip netns exec outside PYTHON server.py &
mkfifo keys
keys=keys
run --networking bridge,br7,nat 2> said
exec 3> keys
wait_for console 'the system is up'
cat typed >&3
wait_for console 'hello from outside'
cat /proc/sys/net/ipv4/ip_forward
end
if ip link show br7 2>/dev/null >&2; then exit 1; fi
cat /proc/sys/net/ipv4/ip_forward said
nft list ruleset
if pgrep dnsmasq; then exit 1; fi
"""
# It answers whoever comes with the address it sees.
SERVER = """
import socket
with socket.create_server(("192.0.2.2", 80)) as server:
    connection, (address, _) = server.accept()
    connection.recv(1000)
    connection.sendall(f"HTTP/1.0 200 OK\\r\\n\\r\\nhello from outside to {address}\\n".encode())
    connection.close()
"""
# What the guest does with the lease, and then.
TYPED = """
route del default; ifconfig eth0 0.0.0.0
echo '#!/bin/sh' > /lease
echo '[ "$1" = bound ] || exit 0; ifconfig eth0 $ip netmask $subnet' >> /lease
echo 'route add default gw $router' >> /lease
chmod 755 /lease
udhcpc -i eth0 -n -q -s /lease; wget -q -O - http://192.0.2.2/
"""


@pytest.mark.skipif(not shutil.which("dnsmasq"), reason="dnsmasq is not installed")
@needs_root
def test_nat_uses_the_address_of_this_host(dolmen: Dolmen, tiny_system: System) -> None:
    (dolmen.home / "server.py").write_text(SERVER)
    (dolmen.home / "typed").write_text(TYPED)
    done = in_a_namespace(dolmen, tiny_system, START + OUTSIDE)
    console = (dolmen.home / "console").read_text()
    assert "hello from outside to 192.0.2.1" in console
    before, after, *_ = done.stdout.splitlines()
    assert (before, after) == ("1", "0")
    assert "reaches other networks through br7 (10.111.0.1)" in done.stdout
    assert "masquerade" not in done.stdout


def test_machines_of_a_segment_are_connected(dolmen: Dolmen, tiny_system: System) -> None:
    segment = f"test-{os.getpid()}"
    words = ("run", "qemu", tiny_system.prefix, *SMALL, "--network", segment)
    with Run.start(dolmen, *words) as one, Run.start(dolmen, *words) as other:
        for number, run in enumerate((one, other), 1):
            run.expect(UP)
            run.type(f"ifconfig eth1 192.168.77.{number} up && echo address $((40+{number}))")
            run.expect(f"address 4{number}")
        other.type("wget -q -O - http://192.168.77.1/")
        other.expect("Hello from the guest")
