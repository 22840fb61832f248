"""Devices of this machine's network that are made for a machine, and are gone after it.

A tap device that was made belongs to an open file that only the machine has, so it ends with the
machine however that ends. A bridge is marked, and removed by the last machine that was connected to
it. What else was done, for addresses to be translated, stands in the machine's record.
"""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assembler.codes import machine as codes
from assembler.errors import MachineError
from assembler.machine.backend import Command
from assembler.machine.companions import Companion
from assembler.machine.description import Network
from assembler.tools import require_program

if TYPE_CHECKING:
    from pyroute2 import IPRoute

_TUN = "/dev/net/tun"
_TUNSETIFF = 0x400454CA
# Frames as they are, each after a header in which cards say what is left to be done.
_TAP, _NO_INFORMATION, _HEADERS = 0x0002, 0x1000, 0x4000
_MARK = "made by dolmen"
_NAMES = "dolmen%d"
_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
# Of these one is taken that no one on this machine uses.
_PRIVATE = tuple(ipaddress.IPv4Network(f"10.{111 + n}.0.0/24") for n in range(100))
_LEASE = "1h"
_ACCEPT, _IPV4 = 1, 2


@dataclass(frozen=True, slots=True)
class NetworkCleanup:
    """What has to be undone when the machine has ended."""

    bridge: str = ""
    # Rules for translating addresses.
    table: str = ""
    # Whether this machine did not forward packets before.
    forwarding: bool = False


NO_CLEANUP = NetworkCleanup()


@dataclass(frozen=True, slots=True)
class ConnectedNetwork:
    """A network that is ready for the machine, and what is to be started and undone for it."""

    network: Network
    cleanup: NetworkCleanup = NO_CLEANUP
    companions: tuple[Companion, ...] = ()
    notes: tuple[str, ...] = ()


def connect_network(network: Network) -> ConnectedNetwork:
    """Make the devices that the network needs and that are not there, if we may.

    The caller closes the handles in the end, and undoes the rest.
    """
    if network.mode not in ("tap", "bridge"):
        return ConnectedNetwork(network)
    there = network.device in (name for _, name in socket.if_nameindex())
    if network.mode == "tap" and there and not network.nat:
        # Somebody has made it, and said who may use it.
        return ConnectedNetwork(network)
    try:
        handle, name = _open_tap(network.device if network.mode == "tap" else _NAMES)
    except OSError as error:
        if network.mode == "bridge" and there and not network.nat:
            # QEMU's own helper may be allowed to what we are not.
            return ConnectedNetwork(network)
        raise _not_allowed(network, error) from error
    try:
        return _complete(replace(network, handle=handle), name)
    except BaseException:
        os.close(handle)
        raise


def _complete(network: Network, tap: str) -> ConnectedNetwork:
    from pyroute2 import IPRoute, NetlinkError  # noqa: PLC0415 - only for these networks

    undo = NO_CLEANUP
    try:
        with IPRoute() as routes:
            device = tap
            if network.mode == "bridge":
                device = network.device
                if not routes.link_lookup(ifname=device):
                    routes.link("add", ifname=device, kind="bridge")
                    routes.link("set", index=_index(routes, device), ifalias=_MARK, state="up")
                undo = NetworkCleanup(bridge=device)
                routes.link("set", index=_index(routes, tap), master=_index(routes, device))
            routes.link("set", index=_index(routes, tap), state="up")
            if not network.nat or _has_address(routes, device):
                return ConnectedNetwork(network, undo)
            subnet = _free_subnet(routes)
            own = next(subnet.hosts())
            routes.addr(
                "add", index=_index(routes, device), address=str(own), prefixlen=subnet.prefixlen
            )
        undo = _translate(device, subnet, undo)
    except NetlinkError as error:
        release_network(undo)
        raise _not_allowed(network, OSError(error.code, os.strerror(error.code))) from error
    except BaseException:
        release_network(undo)
        raise
    note = f"the guest reaches out through {device}, which is {own}"
    return ConnectedNetwork(network, undo, (_server(device, subnet),), (note,))


def release_network(undo: NetworkCleanup) -> None:
    """Undo what was made for a machine that has ended; what others still need stays."""
    if undo == NO_CLEANUP:
        return
    from pyroute2 import IPRoute, NetlinkError  # noqa: PLC0415 - only for these networks
    from pyroute2.nftables.main import NFTables  # noqa: PLC0415

    with suppress(NetlinkError, OSError):
        if undo.table:
            with NFTables(nfgen_family=_IPV4) as rules:
                rules.table("del", name=undo.table)
    with suppress(OSError):
        if undo.forwarding:
            _FORWARDING.write_text("0\n")
    with suppress(NetlinkError, OSError), IPRoute() as routes:
        for index in routes.link_lookup(ifname=undo.bridge) if undo.bridge else ():
            (bridge,) = routes.link("get", index=index)
            ports = [p for p in routes.get_links() if p.get_attr("IFLA_MASTER") == index]
            if bridge.get_attr("IFLA_IFALIAS") == _MARK and not ports:
                routes.link("del", index=index)


@contextmanager
def closing_handles(network: Network) -> Iterator[None]:
    """Close the open files here, which the machine's program has by then."""
    try:
        yield
    finally:
        for handle in network.handles:
            os.close(handle)


def _open_tap(name: str) -> tuple[int, str]:
    """Make a tap device; return the file that it lives as long as, and its name."""
    handle = os.open(_TUN, os.O_RDWR | os.O_CLOEXEC)
    try:
        wish = struct.pack("16sH22x", name.encode(), _TAP | _NO_INFORMATION | _HEADERS)
        given = fcntl.ioctl(handle, _TUNSETIFF, wish)
    except BaseException:
        os.close(handle)
        raise
    return handle, given[:16].rstrip(b"\0").decode()


def _index(routes: IPRoute, name: str) -> int:
    number: int = routes.link_lookup(ifname=name)[0]
    return number


def _has_address(routes: IPRoute, device: str) -> bool:
    return bool(list(routes.get_addr(family=socket.AF_INET, index=_index(routes, device))))


def _free_subnet(routes: IPRoute) -> ipaddress.IPv4Network:
    taken = []
    for address in routes.get_addr(family=socket.AF_INET):
        text = f"{address.get_attr('IFA_ADDRESS')}/{address['prefixlen']}"
        taken.append(ipaddress.IPv4Network(text, strict=False))
    free = (n for n in _PRIVATE if not any(n.overlaps(t) for t in taken))
    found = next(free, None)
    if found is None:
        raise MachineError.of(
            codes.DEVICE_NOT_FOUND, "no addresses are left that nothing here uses"
        )
    return found


def _translate(device: str, subnet: ipaddress.IPv4Network, undo: NetworkCleanup) -> NetworkCleanup:
    """Let packets of the subnet leave with this machine's address."""
    from pyroute2.nftables.expressions import ipv4addr, masq  # noqa: PLC0415
    from pyroute2.nftables.main import NFTables  # noqa: PLC0415

    table = f"dolmen_{device}"
    with NFTables(nfgen_family=_IPV4) as rules:
        rules.table("add", name=table)
        hook: dict[str, Any] = {"hook": "postrouting", "type": "nat", "policy": _ACCEPT}
        rules.chain("add", table=table, name="out", **hook)
        translated = (ipv4addr(src=str(subnet)), masq())
        rules.rule("add", table=table, chain="out", expressions=translated)
    before = _FORWARDING.read_text().strip()
    if before == "0":
        _FORWARDING.write_text("1\n")
    return replace(undo, table=table, forwarding=before == "0")


def _server(device: str, subnet: ipaddress.IPv4Network) -> Companion:
    """Return the program that gives the guest its address, and looks names up for it."""
    first, last = subnet[10], subnet[-10]
    arguments = (
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--pid-file=",
        "--leasefile-ro",
        "--bind-interfaces",
        f"--interface={device}",
        "--except-interface=lo",
        "--dhcp-authoritative",
        f"--dhcp-range={first},{last},{_LEASE}",
    )
    return Companion("dnsmasq", Command(require_program("dnsmasq"), arguments), "")


def _not_allowed(network: Network, error: OSError) -> MachineError:
    device, why = network.device or "tap0", error.strerror or "no"
    if error.errno not in (errno.EPERM, errno.EACCES):
        what = f"the network device {device} cannot be made: {why}"
        return MachineError.of(codes.DEVICE_NOT_FOUND, what)
    how = {
        "tap": f"sudo ip tuntap add {device} mode tap user $USER; sudo ip link set {device} up",
        "bridge": f"sudo ip link add {device} type bridge; sudo ip link set {device} up",
    }
    return MachineError.of(
        codes.DEVICE_NOT_FOUND,
        f"there is no network device {device} on this machine, and only root may make one"
        if not network.nat
        else "only root may let a guest reach out by the addresses of this machine",
        how[network.mode] if not network.nat else "--networking user needs no rights",
    )
