"""The rules of the firewall: the ports of services and those listed, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from assembler.codes import rootfs as codes
from assembler.oci import Store
from assembler.rootfs.firewall import RULES_PATH
from support.archives import E, image
from support.systems import loaded, made, planned

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.rootfs import Plan

LOADER = 'onboot: [{name: fw, image: "test/fw:1", binds: ["/etc/nftables.conf:/rules:ro"]}]\n'
SERVICE = '{name: %s, image: "test/web:1", command: [x]%s}'


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Give a store with images that expose ports, in a label too, and one with odd ones."""
    found = Store(tmp_path / "store")
    image(found, "test/fw:1", [E("fw", b"#!")], config={"Cmd": ["/fw"]})
    ports = {"ExposedPorts": {"80/tcp": {}, "443/tcp": {}, "443/udp": {}}}
    image(found, "test/web:1", [E("web", b"#!")], config=ports)
    label = {"org.mobyproject.config": '{"expose": ["22/tcp"], "command": ["x"]}'}
    image(found, "test/ssh:1", [E("ssh", b"#!")], config={**ports, "Labels": label})
    odd = {"ExposedPorts": {"http": {}, "9-8/tcp": {}, "8000-8010": {}, "0/tcp": {}}}
    image(found, "test/odd:1", [E("odd", b"#!")], config=odd)
    return found


def plan_of(store: Store, firewall: str, *services: str, more: str = LOADER) -> Plan:
    listed = f"services: [{', '.join(services)}]\n" if services else ""
    return planned(loaded(f"{more}{listed}{firewall}"), store)


def rules_of(store: Store, firewall: str, *services: str) -> str:
    content = made(plan_of(store, firewall, *services))[RULES_PATH].content
    assert isinstance(content, bytes)
    return content.decode()


def opened(rules: str) -> list[str]:
    return [line.strip() for line in rules.splitlines() if " dport {" in line]


def test_a_system_without_a_firewall_has_no_rules(store: Store) -> None:
    plan = planned(loaded(f"services: [{SERVICE % ('web', '')}]"), store)
    assert RULES_PATH not in made(plan)


def test_the_ports_of_an_image_are_open(store: Store) -> None:
    rules = rules_of(store, "firewall: {}", SERVICE % ("web", ""))
    assert opened(rules) == ["tcp dport { 80, 443 } accept", "udp dport { 443 } accept"]
    assert "# Open: 443/tcp, 443/udp, 80/tcp\n" in rules
    assert rules.count("policy drop") == 2


def test_a_service_overrides_its_label_and_that_its_image(store: Store) -> None:
    ssh = '{name: ssh, image: "test/ssh:1"%s}'
    assert opened(rules_of(store, "firewall: {}", ssh % "")) == ["tcp dport { 22 } accept"]
    rules = rules_of(store, "firewall: {}", ssh % ", expose: [2222]")
    assert opened(rules) == ["tcp dport { 2222 } accept"]
    rules = rules_of(store, "firewall: {}", ssh % ", expose: []")
    assert opened(rules) == []
    assert "# Open: none\n" in rules


def test_a_service_with_a_network_of_its_own_opens_nothing(store: Store) -> None:
    assert opened(rules_of(store, "firewall: {}", SERVICE % ("web", ", net: new"))) == []


def test_networks_are_split_by_version_and_ranges_are_joined(store: Store) -> None:
    listed = (
        '[80, "70-81/tcp", 82, "5/udp", {port: 22, from: [10.0.0.0/9, 10.128.0.0/9, "fd00::1"]}]'
    )
    assert opened(rules_of(store, f"firewall: {{expose: {listed}}}")) == [
        "tcp dport { 70-82 } accept",
        "udp dport { 5 } accept",
        "ip saddr { 10.0.0.0/8 } tcp dport { 22 } accept",
        "ip6 saddr { fd00::1/128 } tcp dport { 22 } accept",
    ]


def test_forwarding_and_ping_can_be_chosen(store: Store) -> None:
    rules = rules_of(store, "firewall: {forward: true, ping: false}")
    assert "hook forward" not in rules
    assert "echo-request" not in rules
    rules = rules_of(store, "firewall: {}")
    assert "hook forward priority filter; policy drop" in rules
    assert rules.count("echo-request limit rate 10/second") == 2


def test_files_may_replace_the_rules(store: Store) -> None:
    own = "files: [{path: /etc/nftables.conf, contents: mine}]\n"
    plan = planned(loaded(f"{LOADER}{own}firewall: {{}}"), store)
    assert made(plan)[RULES_PATH].content == b"mine"
    (warning,) = plan.warnings
    assert warning.message == "`firewall` has no effect: `files` has /etc/nftables.conf"


def test_odd_ports_of_an_image_give_a_warning(store: Store) -> None:
    plan = plan_of(store, "firewall: {}", '{name: odd, image: "test/odd:1", command: [x]}')
    (warning,) = plan.warnings
    assert warning.code is codes.BAD_EXPOSED_PORT
    assert "exposes '0/tcp' and 2 more, which is not a port" in warning.message
    content = made(plan)[RULES_PATH].content
    assert isinstance(content, bytes)
    assert opened(content.decode()) == ["tcp dport { 8000-8010 } accept"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("firewall: {}", "nothing in `onboot` loads the rules of the firewall"),
        (LOADER, "'fw' loads /etc/nftables.conf, which nothing makes"),
    ],
)
def test_rules_and_their_loader_need_each_other(store: Store, text: str, message: str) -> None:
    (warning,) = planned(loaded(text), store).warnings
    assert (warning.code, warning.message) == (codes.FIREWALL_NOT_LOADED, message)
    assert warning.place is not None


def test_a_loader_of_own_rules_needs_no_firewall(store: Store) -> None:
    own = "files: [{path: etc/nftables.conf, contents: mine}]\n"
    assert planned(loaded(f"{LOADER}{own}"), store).warnings == ()


@pytest.mark.skipif(not shutil.which("nft"), reason="nft is not installed")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask the kernel about rules")
@pytest.mark.parametrize(
    "firewall",
    [
        "{}",
        "{forward: true, ping: false}",
        "{expose: [22, 53/udp, 9-20/sctp, {port: 80, from: [10.0.0.0/8, 192.0.2.1, 'fd00::/8']}]}",
    ],
)
def test_nft_takes_the_rules(store: Store, tmp_path: Path, firewall: str) -> None:
    path = tmp_path / "rules"
    path.write_text(rules_of(store, f"firewall: {firewall}", SERVICE % ("web", "")))
    # Twice, since a machine may load them again; in a network of its own.
    command = f"nft -f {path} && nft -f {path} && nft list ruleset"
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", command], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("type filter hook input priority filter; policy drop") == 1
    assert "tcp dport { 80, 443 } accept" in done.stdout
