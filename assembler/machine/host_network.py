"""Create tap devices, bridges and NAT rules on this host for a VM, and remove them afterwards.

A tap device belongs to a file descriptor that only QEMU holds, so the kernel removes it when QEMU
ends. A bridge gets an alias, and the last VM that was connected to it removes it. NAT rules are
listed in the run record.
"""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import os
import socket
import struct
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assembler.codes import machine as codes
from assembler.errors import MachineError
from assembler.machine.backend import Command
from assembler.machine.helper_processes import HelperProcess
from assembler.tools import require_extra, require_program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyroute2 import IPRoute

    from assembler.machine.description import Network

_TUN = "/dev/net/tun"
_TUNSETIFF = 0x400454CA
# Ethernet frames without packet information, each after a virtio-net header.
_TAP, _NO_PACKET_INFO, _VNET_HEADER = 0x0002, 0x1000, 0x4000
_BRIDGE_ALIAS = "made by dolmen"
_TAP_NAMES = "dolmen%d"
_IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
# The first that this host does not use becomes the subnet of a VM.
_PRIVATE_SUBNETS = tuple(ipaddress.IPv4Network(f"10.{111 + n}.0.0/24") for n in range(100))
_DHCP_LEASE = "1h"
_NF_ACCEPT, _NFPROTO_IPV4 = 1, 2


@dataclass(frozen=True, slots=True)
class NetworkCleanup:
    """Changes to this host's network to undo when the machine has ended."""

    bridge: str = ""
    # The nftables table with the NAT rule.
    table: str = ""
    # Whether IP forwarding was off before.
    forwarding: bool = False


NO_CLEANUP = NetworkCleanup()


@dataclass(frozen=True, slots=True)
class ConnectedNetwork:
    """A network that is ready for the machine, its helper processes, and the changes to undo."""

    network: Network
    cleanup: NetworkCleanup = NO_CLEANUP
    helper_processes: tuple[HelperProcess, ...] = ()
    notes: tuple[str, ...] = ()


def connect_network(network: Network) -> ConnectedNetwork:
    """Create the missing devices of the network, if this process may.

    The caller closes the network's handles, and calls `release_network`.
    """
    if network.mode not in ("tap", "bridge"):
        return ConnectedNetwork(network)
    exists = network.device in (name for _, name in socket.if_nameindex())
    if network.mode == "tap" and exists and not network.nat:
        # The administrator has created it, and set its owner.
        return ConnectedNetwork(network)
    try:
        handle, name = _open_tap(network.device if network.mode == "tap" else _TAP_NAMES)
    except OSError as error:
        if network.mode == "bridge" and exists and not network.nat:
            # QEMU's bridge helper is setuid root, and may do it.
            return ConnectedNetwork(network)
        raise _device_error(network, error) from error
    try:
        return _configure(replace(network, handle=handle), name)
    except BaseException:
        os.close(handle)
        raise


def _configure(network: Network, tap: str) -> ConnectedNetwork:
    require_extra("network")
    from pyroute2 import IPRoute, NetlinkError  # noqa: PLC0415 - only for these networks

    cleanup = NO_CLEANUP
    try:
        with IPRoute() as routes:
            device = tap
            if network.mode == "bridge":
                device = network.device
                if not routes.link_lookup(ifname=device):
                    routes.link("add", ifname=device, kind="bridge")
                    routes.link(
                        "set", index=_link_index(routes, device), ifalias=_BRIDGE_ALIAS, state="up"
                    )
                cleanup = NetworkCleanup(bridge=device)
                routes.link(
                    "set", index=_link_index(routes, tap), master=_link_index(routes, device)
                )
            routes.link("set", index=_link_index(routes, tap), state="up")
            if not network.nat or _has_address(routes, device):
                return ConnectedNetwork(network, cleanup)
            subnet = _free_subnet(routes)
            own = next(subnet.hosts())
            routes.addr(
                "add",
                index=_link_index(routes, device),
                address=str(own),
                prefixlen=subnet.prefixlen,
            )
        cleanup = _masquerade(device, subnet, cleanup)
    except NetlinkError as error:
        release_network(cleanup)
        raise _device_error(network, OSError(error.code, os.strerror(error.code))) from error
    except BaseException:
        release_network(cleanup)
        raise
    note = f"the guest reaches other networks through {device} ({own})"
    return ConnectedNetwork(network, cleanup, (_dhcp_server(device, subnet),), (note,))


def release_network(cleanup: NetworkCleanup) -> None:
    """Undo the changes for a machine that has ended; a bridge that others still use stays."""
    if cleanup == NO_CLEANUP:
        return
    require_extra("network")
    from pyroute2 import IPRoute, NetlinkError  # noqa: PLC0415 - only for these networks
    from pyroute2.nftables.main import NFTables  # noqa: PLC0415

    with suppress(NetlinkError, OSError):
        if cleanup.table:
            with NFTables(nfgen_family=_NFPROTO_IPV4) as rules:
                rules.table("del", name=cleanup.table)
    with suppress(OSError):
        if cleanup.forwarding:
            _IP_FORWARD.write_text("0\n")
    with suppress(NetlinkError, OSError), IPRoute() as routes:
        for index in routes.link_lookup(ifname=cleanup.bridge) if cleanup.bridge else ():
            (bridge,) = routes.link("get", index=index)
            ports = [p for p in routes.get_links() if p.get_attr("IFLA_MASTER") == index]
            if bridge.get_attr("IFLA_IFALIAS") == _BRIDGE_ALIAS and not ports:
                routes.link("del", index=index)


@contextmanager
def close_handles_after(network: Network) -> Iterator[None]:
    """Close this process's copies of the network's file descriptors at the end of the block."""
    try:
        yield
    finally:
        for handle in network.handles:
            os.close(handle)


def _open_tap(name: str) -> tuple[int, str]:
    """Create a tap device; return the file descriptor that keeps it alive, and its name."""
    handle = os.open(_TUN, os.O_RDWR | os.O_CLOEXEC)
    try:
        request = struct.pack("16sH22x", name.encode(), _TAP | _NO_PACKET_INFO | _VNET_HEADER)
        answer = fcntl.ioctl(handle, _TUNSETIFF, request)
    except BaseException:
        os.close(handle)
        raise
    return handle, answer[:16].rstrip(b"\0").decode()


def _link_index(routes: IPRoute, name: str) -> int:
    number: int = routes.link_lookup(ifname=name)[0]
    return number


def _has_address(routes: IPRoute, device: str) -> bool:
    return bool(list(routes.get_addr(family=socket.AF_INET, index=_link_index(routes, device))))


def _free_subnet(routes: IPRoute) -> ipaddress.IPv4Network:
    taken = []
    for address in routes.get_addr(family=socket.AF_INET):
        text = f"{address.get_attr('IFA_ADDRESS')}/{address['prefixlen']}"
        taken.append(ipaddress.IPv4Network(text, strict=False))
    free = (n for n in _PRIVATE_SUBNETS if not any(n.overlaps(t) for t in taken))
    found = next(free, None)
    if found is None:
        raise MachineError.of(codes.DEVICE_NOT_FOUND, "no private subnet is free on this host")
    return found


def _masquerade(
    device: str, subnet: ipaddress.IPv4Network, cleanup: NetworkCleanup
) -> NetworkCleanup:
    """Masquerade packets of the subnet with the addresses of this host."""
    from pyroute2.nftables.expressions import ipv4addr, masq  # noqa: PLC0415
    from pyroute2.nftables.main import NFTables  # noqa: PLC0415

    table = f"dolmen_{device}"
    with NFTables(nfgen_family=_NFPROTO_IPV4) as rules:
        rules.table("add", name=table)
        hook: dict[str, Any] = {"hook": "postrouting", "type": "nat", "policy": _NF_ACCEPT}
        rules.chain("add", table=table, name="out", **hook)
        translated = (ipv4addr(src=str(subnet)), masq())
        rules.rule("add", table=table, chain="out", expressions=translated)
    before = _IP_FORWARD.read_text().strip()
    if before == "0":
        _IP_FORWARD.write_text("1\n")
    return replace(cleanup, table=table, forwarding=before == "0")


def _dhcp_server(device: str, subnet: ipaddress.IPv4Network) -> HelperProcess:
    """Return the DHCP and DNS server for the guest."""
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
        f"--dhcp-range={first},{last},{_DHCP_LEASE}",
    )
    return HelperProcess("dnsmasq", Command(require_program("dnsmasq"), arguments), "")


def _device_error(network: Network, error: OSError) -> MachineError:
    device, why = network.device or "tap0", error.strerror or "no"
    if error.errno not in (errno.EPERM, errno.EACCES):
        what = f"cannot create the network device {device}: {why}"
        return MachineError.of(codes.DEVICE_NOT_FOUND, what)
    how = {
        "tap": f"sudo ip tuntap add {device} mode tap user $USER; sudo ip link set {device} up",
        "bridge": f"sudo ip link add {device} type bridge; sudo ip link set {device} up",
    }
    return MachineError.of(
        codes.DEVICE_NOT_FOUND,
        f"network device {device} not found, and only root may create it"
        if not network.nat
        else "only root may set up NAT for a guest",
        how[network.mode] if not network.nat else "--networking user does not need root",
    )
