"""The checks of the firewall: ports, ranges and networks, and settings without effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.codes import config as codes
from assembler.config.diagnostics import error, warning
from assembler.config.messages import shorten
from assembler.config.port_ranges import MAX_PORT, PortRange

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.config.model import Config, Container, ExposedPort
    from assembler.diagnostics import Diagnostic


def check_firewall(config: Config) -> Iterator[Diagnostic]:
    """Check the section `firewall`, and whether `expose` of containers has an effect."""
    if config.firewall is not None:
        for port in config.firewall.expose or ():
            yield from check_port(port)
    for container in (*config.onboot, *config.onshutdown):
        if container.expose:
            yield _no_effect(container, "`expose` has no effect here: only services keep running")
    for container in config.services:
        if container.expose is None:
            continue
        if config.firewall is None:
            message = "`expose` has no effect without a firewall: all ports are open"
            yield _no_effect(container, message, "add `firewall: {}` and the package `firewall`")
        elif container.expose and not shares_network(container.net):
            message = "`expose` has no effect: the container does not have the system's network"
            yield _no_effect(container, message, "`forward: true` of `firewall` lets packets pass")


def shares_network(net: str | None) -> bool:
    """Tell whether a container with this `net` has the network of the system."""
    return net in (None, "", "host", "root")


def check_port(port: ExposedPort) -> Iterator[Diagnostic]:
    """Check a port and its networks."""
    text = str(port.port)
    place = port.positions.place_of("port")
    found = PortRange.parse(text)
    if found is None:
        # The schema has described anything else already.
        if "port" in port.positions.children and text:
            message = f"{shorten(text)!r} is not a port from 1 to {MAX_PORT}"
            yield error(codes.BAD_PORT, message, place, "such as 80/tcp or 8000-8010/udp")
    elif found.first > found.last:
        message = f"the range {shorten(text)} is empty"
        yield error(codes.BAD_PORT, message, place, f"write {found.last}-{found.first}")
    for index, network in enumerate(port.sources or ()):
        yield from _check_network(port, network, index)
    if port.sources == ():
        message = f"an empty `from` opens {shorten(text)} for nothing"
        yield error(
            codes.BAD_PORT, message, port.positions.place_of("from"), "leave `from` out for all"
        )


def _check_network(port: ExposedPort, text: str, index: int) -> Iterator[Diagnostic]:
    import ipaddress  # noqa: PLC0415 - few files need it

    place = port.positions.place_of("from", index)
    try:
        ipaddress.ip_network(text)
    except ValueError:
        pass
    else:
        return
    try:
        hint = f"write {ipaddress.ip_network(text, strict=False)}"
    except ValueError:
        hint = "such as 10.0.0.0/8, 192.0.2.7 or fd00::/8"
    message = f"{shorten(text)!r} is neither an address nor a network"
    yield error(codes.BAD_PORT, message, place, hint)


def _no_effect(container: Container, message: str, *hints: str) -> Diagnostic:
    return warning(codes.NO_EFFECT, message, container.positions.lookup("expose").key, *hints)
