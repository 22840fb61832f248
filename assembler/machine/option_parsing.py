"""Parse the options for disks, ports and sizes."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

from assembler.codes import machine as codes
from assembler.errors import UsageError
from assembler.machine.description import Bus, Port

_SIZE = re.compile(r"(\d{1,9})\s*([MGT]?)i?B?", re.IGNORECASE)
_UNIT_SHIFTS = {"M": 20, "G": 30, "T": 40}
_PUBLISH = re.compile(
    r"(?:(?P<address>\[[0-9a-fA-F:]+\]|[0-9.]+):)?(?P<host>\d{1,5}):(?P<guest>\d{1,5})"
    r"(?:/(?P<protocol>[a-zA-Z]+))?"
)
FORMATS = ("raw", "qcow2", "vmdk", "vpc", "vhdx")


@dataclass(frozen=True, slots=True)
class DiskOption:
    """The parsed value of `--disk`."""

    path: Path | None = None
    # In bytes; 0 if not given.
    size: int = 0
    format: str = ""
    bus: Bus = Bus.SCSI
    read_only: bool = False


def parse_size(text: str, option: str, unit: str = "M") -> int:
    """Return a size in bytes; `unit` is that of a number alone, MB or GB."""
    found = _SIZE.fullmatch(text.strip())
    if not found or not int(found[1]):
        raise UsageError.of(
            codes.BAD_DISK, f"{option}: not a size: {text!r}", "write it as 512M or 2G"
        )
    return int(found[1]) << _UNIT_SHIFTS[found[2].upper() or unit]


def parse_disk(text: str) -> DiskOption:
    """Parse `[file=]path[,size=1G][,format=qcow2][,bus=virtio][,readonly=on]`."""
    path: Path | None = None
    size, kind, bus, read_only = 0, "", Bus.SCSI, False
    for number, part in enumerate(text.split(",")):
        key, equals, value = part.partition("=")
        if not equals and number == 0:
            key, value = "file", part
        match key:
            case "file" if value:
                path = Path(value).expanduser().absolute()
            case "size":
                # In LinuxKit, memory is in MB, but disks are in GB.
                size = parse_size(value, "--disk", "G")
            case "format" if value in FORMATS:
                kind = value
            case "bus" if value in list(Bus):
                bus = Bus(value)
            case "readonly" if value in ("on", "off"):
                read_only = value == "on"
            case _:
                raise _bad_disk(text, part)
    if path is None and not size:
        raise _bad_disk(text, "it needs a file or a size")
    return DiskOption(path, size, kind, bus, read_only)


def _bad_disk(text: str, problem: str) -> UsageError:
    return UsageError.of(
        codes.BAD_DISK,
        f"--disk {text}: {problem}"
        if " " in problem
        else f"--disk {text}: {problem!r} is not valid",
        "write it as file=data.img,size=4G,format=qcow2",
        f"formats: {', '.join(FORMATS)}; bus: {', '.join(Bus)}; readonly: on or off",
    )


def parse_port(text: str) -> Port:
    """Parse `[ADDRESS:]HOST:GUEST[/PROTOCOL]`."""
    found = _PUBLISH.fullmatch(text.strip())
    if not found:
        raise _bad_port(text, "it is not HOST:GUEST")
    protocol = (found["protocol"] or "tcp").lower()
    if protocol not in ("tcp", "udp"):
        raise _bad_port(text, f"{protocol} is neither tcp nor udp")
    host, guest = int(found["host"]), int(found["guest"])
    if not (0 < host < 65536 and 0 < guest < 65536):
        raise _bad_port(text, "ports are numbers from 1 to 65535")
    address = (found["address"] or "127.0.0.1").strip("[]")
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        raise _bad_port(text, f"{address} is not an address") from None
    if parsed.version != 4:
        raise _bad_port(text, "QEMU's network forwards from IPv4 addresses only")
    return Port(host, guest, protocol, address)


def _bad_port(text: str, problem: str) -> UsageError:
    return UsageError.of(
        codes.BAD_PORT,
        f"--publish {text}: {problem}",
        "write it as 8080:80, 5353:53/udp or 0.0.0.0:8080:80/tcp",
    )
