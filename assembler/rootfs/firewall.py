"""The firewall: /etc/nftables.conf, which drops all packets for ports that nothing lists."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.codes import rootfs
from assembler.config import PortRange, shares_network
from assembler.rootfs.plan import EntryKind, GeneratedEntry, GeneratedPart, Origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from assembler.config import Config, ExposedPort, Firewall
    from assembler.rootfs.container_programs import PlannedContainer
    from assembler.rootfs.container_settings import ContainerSettings
    from assembler.rootfs.diagnostic_collector import DiagnosticCollector
    from assembler.rootfs.plan import Part

# Also where Debian's service `nftables` finds its rules.
RULES_PATH = "etc/nftables.conf"
_SOURCE = "dolmen.firewall"
# Inspection reads the line that begins with this.
OPEN_PORTS = "# Open: "
_HEAD = """\
#!/usr/sbin/nft -f
# Made by Dolmen from `firewall` and the ports of the services: all that is not listed is dropped.
"""
# The first line makes the table if there is none, so that the second does not fail.
_START = """\
table inet firewall
delete table inet firewall

table inet firewall {
	chain input {
		type filter hook input priority filter; policy drop;
		iifname "lo" accept
		ct state established,related accept
		# Neighbours and routers of this link, which no other link can send.
		icmpv6 type { nd-router-advert, nd-neighbor-solicit } ip6 hoplimit 255 accept
		icmpv6 type nd-neighbor-advert ip6 hoplimit 255 accept
		icmpv6 type mld-listener-query ip6 saddr fe80::/10 accept
		ct state invalid drop
		# Answers of DHCP servers.
		meta nfproto ipv4 udp sport 67 udp dport 68 accept
		ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept
"""
_PING = """\
		icmp type echo-request limit rate 10/second accept
		icmpv6 type echo-request limit rate 10/second accept
"""
_FORWARD = """\
	chain forward {
		type filter hook forward priority filter; policy drop;
	}
"""


@dataclass(slots=True)
class _OpenPorts:
    """The ports that are open for the same networks; no network means all."""

    networks: tuple[str, ...]
    ranges: list[PortRange] = field(default_factory=list)


def firewall_parts(
    config: Config, containers: Sequence[PlannedContainer], findings: DiagnosticCollector
) -> Iterator[Part]:
    """Yield the part with the rules, if there is a firewall, and warn if nothing loads them."""
    _check_loader(config, containers, findings)
    if config.firewall is None:
        return
    groups: list[tuple[str, list[_OpenPorts]]] = []
    for container in containers:
        if any(container.settings.container is service for service in config.services):
            ports = _ports_of_service(container.settings, findings)
            groups.append((container.settings.name, _grouped(ports)))
    groups.append(("listed in `firewall`", _grouped(_listed(config.firewall.expose or ()))))
    entry = GeneratedEntry(RULES_PATH, EntryKind.FILE, 0o644, _rules(config.firewall, groups))
    place = config.positions.lookup("firewall").key
    parent = entry.parent_directory("etc")
    yield GeneratedPart(Origin(_SOURCE, "firewall", place), (parent, entry))


def _check_loader(
    config: Config, containers: Sequence[PlannedContainer], findings: DiagnosticCollector
) -> None:
    """Warn about rules without a container that loads them, and the other way round."""
    loaders = [
        container.settings
        for container in containers
        if any(container.settings.container is item for item in config.onboot)
        and any(mount.get("source") == f"/{RULES_PATH}" for mount in container.spec["mounts"])
    ]
    own = [file for file in config.files if (file.path or "").strip("/") == RULES_PATH]
    if config.firewall is not None and own:
        findings.warn(
            rootfs.NO_EFFECT,
            f"`firewall` has no effect: `files` has /{RULES_PATH}",
            place=own[-1].positions.place_of("path"),
        )
    if config.firewall is not None and not loaders:
        findings.warn(
            rootfs.FIREWALL_NOT_LOADED,
            "nothing in `onboot` loads the rules of the firewall",
            'before the network, add to `onboot`: {name: firewall, image: "@dolmen:firewall"}',
            place=config.positions.lookup("firewall").key,
        )
    elif config.firewall is None and loaders and not own:
        findings.warn(
            rootfs.FIREWALL_NOT_LOADED,
            f"{loaders[0].name!r} loads /{RULES_PATH}, which nothing makes",
            "write `firewall: {}`, which opens the ports of the services",
            place=loaders[0].container.positions.place_of("image"),
        )


def _ports_of_service(
    settings: ContainerSettings, findings: DiagnosticCollector
) -> Iterator[tuple[PortRange, tuple[str, ...]]]:
    """Yield the ports of a service: those of the YAML or the label, else those of its image."""
    if not shares_network(settings.spec.net):
        return
    if settings.spec.expose is not None:
        yield from _listed(settings.spec.expose)
        return
    odd: list[str] = []
    for text in settings.image.config.exposed_ports:
        found = PortRange.parse(text)
        if found is None or found.first > found.last:
            odd.append(text)
        else:
            yield found, ()
    if odd:
        others = f" and {len(odd) - 1} more" if len(odd) > 1 else ""
        findings.warn(
            rootfs.BAD_EXPOSED_PORT,
            f"the image of {settings.name!r} exposes {odd[0]!r}{others}, which is not a port",
            "list the ports of the service with `expose`",
            place=settings.container.positions.place_of("image"),
        )


def _listed(ports: Iterable[ExposedPort]) -> Iterator[tuple[PortRange, tuple[str, ...]]]:
    for port in ports:
        found = PortRange.parse(str(port.port))
        assert found is not None  # noqa: S101 - the config stage has checked it
        yield found, tuple(port.sources or ())


def _grouped(ports: Iterable[tuple[PortRange, tuple[str, ...]]]) -> list[_OpenPorts]:
    """Put ports with the same networks together, and join the ranges of each protocol."""
    groups: dict[tuple[str, ...], _OpenPorts] = {}
    for port, networks in ports:
        groups.setdefault(networks, _OpenPorts(networks)).ranges.append(port)
    for group in groups.values():
        joined: list[PortRange] = []
        for port in sorted(group.ranges):
            last = joined[-1] if joined else None
            # In a set of nftables ranges must not overlap.
            if last and last.protocol == port.protocol and port.first <= last.last + 1:
                joined[-1] = PortRange(port.protocol, last.first, max(last.last, port.last))
            else:
                joined.append(port)
        group.ranges = joined
    return list(groups.values())


def _rules(firewall: Firewall, groups: list[tuple[str, list[_OpenPorts]]]) -> bytes:
    shown = sorted({text for _, group in groups for ports in group for text in _shown(ports)})
    ping = "" if firewall.ping is False else _PING
    opened = "".join(
        _comment(name) + "".join(map(_accept, group)) for name, group in groups if group
    )
    forward = "" if firewall.forward else _FORWARD
    head = f"{_HEAD}{OPEN_PORTS}{', '.join(shown) or 'none'}\n{_START}"
    return f"{head}{ping}{opened}\t}}\n{forward}}}\n".encode()


def _shown(ports: _OpenPorts) -> Iterator[str]:
    source = f" from {' '.join(ports.networks)}" if ports.networks else ""
    for port in ports.ranges:
        yield f"{port}{source}"


def _comment(name: str) -> str:
    return f"\t\t# {name}\n"


def _accept(ports: _OpenPorts) -> str:
    """Return the rules for some ports: one for each protocol, and for each version of IP."""
    lines = []
    for source in _sources(ports.networks):
        for protocol in sorted({port.protocol for port in ports.ranges}):
            texts = [
                str(port).partition("/")[0] for port in ports.ranges if port.protocol == protocol
            ]
            lines.append(f"\t\t{source}{protocol} dport {{ {', '.join(texts)} }} accept\n")
    return "".join(lines)


def _sources(networks: tuple[str, ...]) -> Iterator[str]:
    """Yield the conditions on the source address."""
    if not networks:
        yield ""
        return
    import ipaddress  # noqa: PLC0415 - few systems need it

    parsed = [ipaddress.ip_network(text) for text in networks]
    fours = [net for net in parsed if isinstance(net, ipaddress.IPv4Network)]
    sixes = [net for net in parsed if isinstance(net, ipaddress.IPv6Network)]
    if fours:
        yield f"ip saddr {{ {', '.join(map(str, ipaddress.collapse_addresses(fours)))} }} "
    if sixes:
        yield f"ip6 saddr {{ {', '.join(map(str, ipaddress.collapse_addresses(sixes)))} }} "
