"""Each package and example of LinuxKit has a counterpart that exists, or the reason why not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
PACKAGES = """
acpid auditd binfmt bpftrace ca-certificates cadvisor containerd dhcpcd dm-crypt dummy extend
firmware firmware-all format getty host-timesync-daemon init init-lcow ip kmsg logwrite losetup
memlogd metadata mkimage modprobe mount node_exporter open-vm-tools openntpd qemu-ga rngd runc
sshd swap sysctl sysfs test trim-after-delete tss vpnkit-expose-port vpnkit-forwarder vsudd
"""
EXAMPLES = """
addbinds cadvisor containerd-debug dm-crypt dm-crypt-cvm dm-crypt-loop docker docker-for-mac
getty hostmount-writeable-overlay influxdb-os linuxkit logging minimal node_exporter openstack
platform-aws platform-azure platform-digitalocean platform-equinixmetal
platform-equinixmetal.arm64 platform-gcp platform-hetzner platform-hyperkit
platform-rt-for-vmware platform-scaleway platform-vbox platform-vmware platform-vultr redis-os
rpi4 sshd static-ip swap tpm volumes vpnkit-forwarder vsudd-containerd wireguard
"""
LISTS = [("Packages of LinuxKit", PACKAGES), ("Examples of LinuxKit", EXAMPLES)]


def rows(heading: str) -> list[tuple[str, str, str]]:
    """Return the rows of the table below a heading: name, counterpart, remark."""
    text = (REPOSITORY / "docs" / "linuxkit.md").read_text().partition(f"## {heading}\n")[2]
    lines = text.partition("\n## ")[0].splitlines()
    found = [re.fullmatch(r"\| `(.+?)` \| (.*?) \| (?:(.+) )?\|", line) for line in lines]
    return [(m[1], m[2], m[3] or "") for m in found if m]


@pytest.mark.parametrize(("heading", "names"), LISTS)
def test_all_are_listed_in_order(heading: str, names: str) -> None:
    assert [name for name, _, _ in rows(heading)] == names.split()


@pytest.mark.parametrize("heading", [heading for heading, _ in LISTS])
def test_counterparts_exist_and_absent_ones_have_a_reason(heading: str) -> None:
    for name, counterpart, remark in rows(heading):
        if counterpart == "none":
            assert remark, name
            continue
        path = re.fullmatch(r"`((?:pkg|examples)/[\w.-]+)`", counterpart)
        assert path, (name, counterpart)
        found = REPOSITORY / path[1]
        assert (found / "build.yml" if path[1].startswith("pkg/") else found).is_file(), path[1]
