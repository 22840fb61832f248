"""`firewall` and `expose` in YAML files: forms of a port, mistakes, merging, and rendering."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assembler.config import ExposedPort, Firewall, render_config, render_metadata
from assembler.errors import ConfigError

if TYPE_CHECKING:
    from test.unit.config.conftest import Load

SERVICE = "services: [{name: s, image: 'i:1', net: %s, expose: [80]}]\n"


def test_a_port_has_a_short_and_a_long_form(load_text: Load) -> None:
    text = (
        'firewall: {expose: [80, "5-9/udp", {port: 22}, {port: 1/tcp, from: [10.0.0.0/8, "::1"]}]}'
    )
    firewall = load_text(text).config.firewall
    assert firewall == Firewall(
        (
            ExposedPort(80),
            ExposedPort("5-9/udp"),
            ExposedPort(22),
            ExposedPort("1/tcp", ("10.0.0.0/8", "::1")),
        )
    )
    assert firewall is not None
    assert firewall.expose is not None
    places = [str(port.positions.place_of("port")) for port in firewall.expose]
    assert places == ["a.yml:1:21", "a.yml:1:25", "a.yml:1:43", "a.yml:1:55"]


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ("80/icmp", "1:21 DM0106 '80/icmp' is not a valid value of an entry of `expose`"),
        ("0", "1:21 DM0105 an entry of `expose` is out of range: the number 0"),
        ("70000/tcp", "1:21 DM0129 '70000/tcp' is not a port from 1 to 65535"),
        ("9-8", "1:21 DM0129 the range 9-8 is empty"),
        ("{port: 9-8}", "1:28 DM0129 the range 9-8 is empty"),
        ("{from: [10.0.0.0/8]}", "1:21 DM0103 `port` is missing in firewall.expose[0]"),
        (
            "{port: 1, from: [10.0.0.1/8]}",
            "1:38 DM0129 '10.0.0.1/8' is neither an address nor a network",
        ),
        ("{port: 1, from: [host]}", "1:38 DM0129 'host' is neither an address nor a network"),
        ("{port: 1, from: []}", "1:37 DM0129 an empty `from` opens 1 for nothing"),
        ("{port: 1, to: x}", "1:31 DM0101 unknown key 'to' in firewall.expose[0]"),
        (
            "true",
            (
                "1:21 DM0102 an entry of `expose` must be text or a whole number or a mapping, "
                "not the boolean true"
            ),
        ),
    ],
)
def test_mistakes_in_ports(load_text: Load, port: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(f"firewall: {{expose: [{port}]}}")
    (diagnostic,) = caught.value.diagnostics
    assert f"{diagnostic.place} {diagnostic.code} {diagnostic.message}" == f"a.yml:{expected}"


def test_bits_of_hosts_are_named(load_text: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text("services: [{name: s, image: 'i:1', expose: [{port: 1, from: [10.1.2.3/8]}]}]")
    errors = [d for d in caught.value.diagnostics if str(d.code) == "DM0129"]
    assert [d.hints for d in errors] == [("write 10.0.0.0/8",)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SERVICE % "host", "`expose` has no effect without a firewall: all ports are open"),
        (
            f"firewall: {{}}\n{SERVICE % 'new'}",
            "`expose` has no effect: the container does not have the system's network",
        ),
        (
            "firewall: {}\nonboot: [{name: s, image: 'i:1', expose: [80]}]",
            "`expose` has no effect here: only services keep running",
        ),
    ],
)
def test_ports_without_effect(load_text: Load, text: str, message: str) -> None:
    (warning,) = load_text(text).warnings
    assert (str(warning.code), warning.message) == ("DM0128", message)
    assert warning.place is not None
    assert warning.place.length == len("expose")


def test_a_firewall_with_services_is_valid(load_text: Load) -> None:
    assert load_text(f"firewall: {{}}\n{SERVICE % 'host'}").warnings == ()


def test_files_are_merged(load_text: Load) -> None:
    texts = (
        "firewall: {expose: [1, 2], forward: true, ping: false}",
        "firewall: {expose: [3], ping: true}",
    )
    firewall = load_text(*texts).config.firewall
    assert firewall is not None
    assert firewall == Firewall((ExposedPort(1), ExposedPort(2), ExposedPort(3)), True, True)
    assert str(firewall.positions.place_of("expose", 2)) == "b.yml:1:21"
    assert load_text("firewall: {}", "init: [x]").config.firewall == Firewall()
    assert load_text("init: [x]", "firewall: {}").config.firewall == Firewall()


def test_rendered_files_can_be_read_again(load_text: Load) -> None:
    firewall = "firewall: {expose: [1, {port: 2/udp, from: [::1]}], forward: true}\n"
    text = firewall + SERVICE % "host"
    config = load_text(text).config
    for rendered in (
        render_config(config),
        render_metadata(config, "yaml"),
        render_metadata(config, "json"),
    ):
        again = load_text(rendered).config
        assert (again.firewall, again.services) == (config.firewall, config.services)
    assert "firewall" not in render_metadata(load_text("init: [x]").config, "json")
