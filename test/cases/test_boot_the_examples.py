"""A user builds the examples and boots them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from support.guest import Guest, is_clean, login
from support.guests import HOME, REPOSITORY, assemble, boot_and, needs_arm, needs_qemu, page, redis

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.boot, needs_qemu]
EXAMPLES = REPOSITORY / "examples"


both = pytest.mark.parametrize("architecture", ["amd64", pytest.param("arm64", marks=needs_arm)])


@both
def test_minimal_gives_a_shell_and_an_address(tmp_path: Path, architecture: str) -> None:
    files = assemble(EXAMPLES / "minimal.yml", tmp_path, architecture)
    largest = {"amd64": 7_500_000, "arm64": 9_000_000}
    assert files.path("initrd.img").stat().st_size <= largest[architecture]

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: onboot dhcp\n")
        guest.wait_for(r"This is minimal, Linux")
        guest.wait_for(r"init: started in")
        guest.type("service list; service logs onboot.000-dhcp; ip -4 addr show dev eth0")
        guest.wait_for(r"getty +running +pid \d+")
        guest.wait_for(r"inet 10\.0\.2\.15/24")
        guest.type("cat /run/resolvconf/resolv.conf; service start nothing")
        guest.wait_for(r"nameserver 10\.0\.2\.3")
        guest.wait_for(r"there is no service nothing")
        if architecture == "amd64":
            guest.type("service stop getty")
            guest.press_power_button()
        else:
            # Without firmware QEMU's button is at a GPIO, which the cloud kernel has no driver for.
            guest.type("poweroff")
        guest.wait_for(r"init: power off: all is stopped")
        guest.wait_for_end()

    # The kernel for arm64 is larger.
    boot_and(files, check, memory=128 if architecture == "amd64" else 192)


@both
def test_nginx_serves_its_page_without_privileges(tmp_path: Path, architecture: str) -> None:
    files = assemble(EXAMPLES / "nginx.yml", tmp_path, architecture)

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


def test_redis_keeps_its_data_after_a_shutdown(tmp_path: Path) -> None:
    files = assemble(EXAMPLES / "redis.yml", tmp_path)
    disk = tmp_path / "data.img"
    with disk.open("wb") as file:
        file.truncate(256 << 20)

    def first(guest: Guest) -> None:
        guest.wait_for(r"init: started in")
        assert redis(guest, "GET", "colour") == "$-1\r\n"
        assert redis(guest, "SET", "colour", "green") == "+OK\r\n"
        assert "failed" not in guest.text()
        guest.press_power_button()
        guest.wait_for(r"init: power off: all is stopped")
        guest.wait_for_end()

    def second(guest: Guest) -> None:
        guest.wait_for(r"init: started in")
        assert redis(guest, "GET", "colour") == "$5\r\ngreen\r\n"
        assert "failed" not in guest.text()

    boot_and(files, first, guest_port=6379, disks=(disk,))
    assert is_clean(disk)
    boot_and(files, second, guest_port=6379, disks=(disk,))


@pytest.mark.skipif(not shutil.which("ssh"), reason="ssh is not installed")
def test_sshd_accepts_the_key(tmp_path: Path) -> None:
    keys = {name: tmp_path / name for name in ("known", "stranger")}
    for path in keys.values():
        made = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path))
        subprocess.run(made, check=True)
    own = tmp_path / "own.yml"
    own.write_text(f"""
files:
  - path: root/.ssh/authorized_keys
    source: {keys["known"]}.pub
    mode: "0600"
""")
    files = assemble(EXAMPLES / "sshd.yml", tmp_path, more=(own,))

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: started in")
        time.sleep(2)
        found = login(guest, keys["known"], "hostname; service list")
        assert found.stdout.startswith("sshd\nsshd "), found.stderr + guest.text()[-2000:]
        refused = login(guest, keys["stranger"], "true")
        assert refused.returncode == 255
        assert "Permission denied" in refused.stderr

    boot_and(files, check, guest_port=22)


def test_volumes_are_shared_or_read_only(tmp_path: Path) -> None:
    files = assemble(EXAMPLES / "volumes.yml", tmp_path)

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: second: hello from the first\n")
        guest.wait_for(r"init: second: touch: /tools/x: Read-only file system\n")
        guest.wait_for(r"init: second: busybox\n")
        guest.wait_for(r"init: started in")
        assert "failed" not in guest.text()

    boot_and(files, check)


def test_services_share_a_namespace(tmp_path: Path) -> None:
    files = assemble(EXAMPLES / "namespaces.yml", tmp_path)

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: c-client: <h1>It runs</h1>")

    boot_and(files, check)


def test_logging_writes_earlier_messages_to_a_disk(tmp_path: Path) -> None:
    files = assemble(EXAMPLES / "logging.yml", tmp_path)
    disk = tmp_path / "logs.img"
    with disk.open("wb") as file:
        file.truncate(128 << 20)

    def check(guest: Guest) -> None:
        guest.wait_for(r"This is logging, Linux")
        guest.type("until [ -e /var/log/chatter.log.3 ]; do sleep 1; done; df /var/log")
        guest.wait_for(r"/dev/vda1 .* /var/log\n")
        guest.type("cd /var/log; ls -1; wc -c chatter.log.*; cat onboot.000-dhcp.log init.log")
        # Rotated thrice, and no more.
        guest.wait_for(r"\nchatter.log\nchatter.log.1\nchatter.log.2\nchatter.log.3\n")
        guest.wait_for(r"\n +20\d\d chatter.log.3")
        guest.wait_for(r"T\S+ onboot.000-dhcp eth0 has 10\.0\.2\.15")
        guest.wait_for(r"T\S+ init onboot format\n")
        guest.type(
            "service logs onboot.000-dhcp; /proc/1/root/usr/bin/logread -F | grep -m 30 chat"
        )
        guest.wait_for(r"\neth0 has 10\.0\.2\.15/24, by 10\.0\.2\.2\n")
        guest.wait_for(r"(\n20\d\d-\S+;chatter;\w+ .*){30}\n")
        assert "failed" not in guest.text()
        assert "chatter.log.4" not in guest.text()

    boot_and(files, check, disks=(disk,))


def test_static_ip_has_the_configured_address(tmp_path: Path) -> None:
    files = assemble(EXAMPLES / "static-ip.yml", tmp_path)

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: network: +inet 10\.0\.2\.15/24 .*eth0")
        assert "<h1>It runs</h1>" in page(guest)
        assert "failed" not in guest.text()

    boot_and(files, check, append="dolmen.output")


def test_least_privilege_services_work(tmp_path: Path) -> None:
    files = assemble(EXAMPLES / "least-privilege.yml", tmp_path)

    def check(guest: Guest) -> None:
        guest.wait_for(r"This is careful, Linux")
        assert page(guest) == "nothing but this\n"
        guest.type("until service logs visits | grep -x 3; do sleep 1; done")
        guest.wait_for(r"\n3\n")
        guest.type("for name in redis-server redis-cli nginx; do")
        guest.type("pid=$(pidof $name | sed 's/.* //'); echo name=$name")
        guest.type("grep -E 'Uid|CapBnd|CapEff|NoNewPrivs' /proc/$pid/status; done; echo over")
        guest.wait_for(r"\nover\n")
        found = re.findall(
            r"name=(\S+)\nUid:\s+(\d+).*\nCapEff:\s+(\w+)\nCapBnd:\s+(\w+)\nNoNewPrivs:\s+(\d)",
            guest.text(),
        )
        assert [name for name, *_ in found] == ["redis-server", "redis-cli", "nginx"]
        # None is root or another one of them, and none has a right or could gain one.
        assert len({"0", *(uid for _, uid, *_ in found)}) == 4
        assert {(int(now, 16), int(ever, 16), fixed) for *_, now, ever, fixed in found} == {
            (0, 0, "1")
        }
        # The one who counts sees the loopback alone, and a root and a socket that it cannot change.
        guest.type("pid=$(pidof redis-cli); nsenter -t $pid -n ip link | grep -c mtu")
        guest.wait_for(r"grep -c mtu\n1\n")
        guest.type("cut -d ' ' -f 2,4 /proc/$pid/mounts | grep -E '^/(data|socket)? '")
        guest.wait_for(r"\n/ ro,\S+\n/socket ro,\S+\n")
        assert "\n/data" not in guest.text()
        assert "failed" not in guest.text()

    boot_and(files, check, guest_port=8080)


def test_runc_runs_the_examples(tmp_path: Path) -> None:
    yaml = tmp_path / "runc.yml"
    text = (EXAMPLES / "nginx.yml").read_text().replace("@pkg:../pkg/crun", "@pkg:../pkg/runc")
    yaml.write_text(text.replace("@pkg:..", f"@pkg:{REPOSITORY}"))
    files = assemble(yaml, tmp_path)

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: started in")
        assert "<h1>It runs</h1>" in page(guest)
        guest.wait_for(r"This is web, Linux")
        guest.type("service restart nginx && service list; halt")
        guest.wait_for(r"nginx +running .* starts 2\n")
        # The machine stays on, without anything running.
        guest.wait_for(r"init: halt: all is stopped")
        guest.wait_for(r"reboot: System halted")
        assert guest.process.poll() is None

    boot_and(files, check)


def test_the_demo_fetches_the_page() -> None:
    home = {"HOME": str(HOME), "PATH": os.environ["PATH"], "PORT": ""}
    done = subprocess.run(
        [sys.executable, EXAMPLES / "demo"],
        env=home,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "    | <h1>It runs</h1>" in done.stdout
    assert re.search(r"The page came \d+\.\d s after QEMU was started", done.stdout)


def test_dm_crypt_keeps_its_secret(tmp_path: Path) -> None:
    files = assemble(EXAMPLES / "dm-crypt.yml", tmp_path)
    disk = tmp_path / "secret.img"
    with disk.open("wb") as file:
        file.truncate(96 << 20)

    def first(guest: Guest) -> None:
        guest.wait_for(r"This is dm-crypt, Linux")
        guest.type("cat /proc/1/root/var/secret/lines; grep /var/secret /proc/1/mounts")
        guest.wait_for(
            r"\na secret line\n/dev/mapper/secret /var/secret ext4 rw,nosuid,nodev,noexec"
        )
        assert "failed" not in guest.text()
        guest.press_power_button()
        guest.wait_for(r"init: power off: all is stopped")
        guest.wait_for_end()

    def second(guest: Guest) -> None:
        guest.wait_for(r"This is dm-crypt, Linux")
        guest.type("cat /proc/1/root/var/secret/lines")
        guest.wait_for(r"\na secret line\na secret line\n")

    boot_and(files, first, memory=512, disks=(disk,))
    assert disk.read_bytes().startswith(b"LUKS\xba\xbe\x00\x02")
    assert b"a secret line" not in disk.read_bytes()
    boot_and(files, second, memory=512, disks=(disk,))
    assert b"a secret line" not in disk.read_bytes()


@pytest.mark.whole
def test_wireguard_is_the_only_way_between_namespaces(tmp_path: Path) -> None:
    files = assemble(EXAMPLES / "wireguard.yml", tmp_path)

    def check(guest: Guest) -> None:
        guest.wait_for(r"This is wireguard, Linux")
        guest.wait_for(r"init: started in")
        # The server takes a moment to listen.
        guest.type("until wget -q -T 60 -O - http://192.168.2.1/; do sleep 1; done")
        guest.type("ip -o addr; echo status $?")
        guest.wait_for(r"<h1>It runs</h1>")
        guest.wait_for(r"wg1 +inet 192\.168\.2\.2/24 ")
        guest.wait_for(r"status 0")
        assert "eth0" not in guest.text()
        assert "failed" not in guest.text()
        # What left and came was encrypted by the tunnel.
        guest.type("cat /sys/class/net/wg1/statistics/rx_bytes")
        found = guest.wait_for(r"rx_bytes\n(\d+)\n")
        assert int(found[1]) > 500

    boot_and(files, check)


@pytest.mark.whole
def test_node_exporter_tells_figures(tmp_path: Path) -> None:
    files = assemble(EXAMPLES / "node_exporter.yml", tmp_path)

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: started in")
        assert "/metrics" in page(guest)
        assert "failed" not in guest.text()

    boot_and(files, check, guest_port=9100)


@pytest.mark.whole
def test_cadvisor_tells_figures_of_containers(tmp_path: Path) -> None:
    files = assemble(EXAMPLES / "cadvisor.yml", tmp_path)

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: started in")
        figures = page(guest, "metrics")
        for name in ("cadvisor", "nginx"):
            sample = rf'(?m)^container_memory_usage_bytes\{{id="/\S*{name}",name="\S+ [1-9]'
            assert re.search(sample, figures), figures
        assert "failed" not in guest.text()

    boot_and(files, check, guest_port=8080)
