"""The checks of capabilities and resource limits, with the names that Linux knows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from assembler.codes import config as codes
from assembler.config.diagnostics import error, warning
from assembler.config.messages import shorten
from assembler.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.config.model import ContainerSpec
    from assembler.diagnostics import Diagnostic

# In the kernel's numerical order, which is the order that `all` expands to.
CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)
RLIMITS = (
    "CPU",
    "FSIZE",
    "DATA",
    "STACK",
    "CORE",
    "RSS",
    "NPROC",
    "NOFILE",
    "MEMLOCK",
    "AS",
    "LOCKS",
    "SIGPENDING",
    "MSGQUEUE",
    "NICE",
    "RTPRIO",
    "RTTIME",
)
RLIM_INFINITY = (1 << 64) - 1
_KEYWORDS = ("all", "none")
_NUMBER = re.compile(r"[0-9]{1,20}", re.ASCII)


def check_capabilities(spec: ContainerSpec) -> Iterator[Diagnostic]:
    """Check the three lists of capabilities."""
    for key, names in (
        ("capabilities", spec.capabilities),
        ("capabilities.add", spec.capabilities_add),
        ("ambient", spec.ambient),
    ):
        for index, name in enumerate(names or ()):
            if name in CAPABILITIES:
                continue
            place = spec.positions.place_of(key, index)
            if name.lower() in _KEYWORDS:
                if len(names or ()) > 1:
                    message = f"`{name}` must be the only entry of its list"
                    yield error(codes.BAD_CAPABILITY, message, place, f"write {key}: [{name}]")
                continue
            base_name = name.upper().removeprefix("CAP_")
            yield error(
                codes.BAD_CAPABILITY,
                f"{shorten(name)!r} is not a capability",
                place,
                f"write CAP_{base_name}"
                if "CAP_" + base_name in CAPABILITIES
                else did_you_mean("CAP_" + base_name, CAPABILITIES),
            )


def check_rlimits(spec: ContainerSpec) -> Iterator[Diagnostic]:
    """Check the resource limits, and that each one is set once."""
    seen: dict[str, int] = {}
    for index, text in enumerate(spec.rlimits or ()):
        place = spec.positions.place_of("rlimits", index)
        parts = [part.strip() for part in text.split(",")]
        if len(parts) != 3:
            message = f"{shorten(text)!r} is not NAME,SOFT,HARD"
            yield error(codes.BAD_RLIMIT, message, place, "such as nofile,1024,4096")
            continue
        name = parts[0].upper().removeprefix("RLIMIT_")
        if name not in RLIMITS:
            message = f"{shorten(parts[0])!r} is not a resource limit"
            known = [limit.lower() for limit in RLIMITS]
            hint = did_you_mean(name.lower(), known) or f"resource limits: {', '.join(known)}"
            yield error(codes.BAD_RLIMIT, message, place, hint)
            continue
        numbers = [_parse_limit(part) for part in parts[1:]]
        for part, number in zip(parts[1:], numbers, strict=True):
            if number is None:
                message = f"{shorten(part)!r} is not a valid limit of {parts[0]}"
                hint = f"a limit is a number from 0 to {RLIM_INFINITY}, or `unlimited`"
                yield error(codes.BAD_RLIMIT, message, place, hint)
        soft, hard = numbers
        if soft is not None and hard is not None and soft > hard:
            message = f"the soft limit of {parts[0]} is above the hard one"
            yield error(codes.BAD_RLIMIT, message, place, "the kernel refuses such limits")
        if name in seen:
            yield warning(
                codes.SUSPICIOUS_VALUE,
                f"duplicate limit {parts[0]}",
                place,
                related=(
                    "the first limit is here",
                    spec.positions.place_of("rlimits", seen[name]),
                ),
            )
        seen.setdefault(name, index)


def _parse_limit(text: str) -> int | None:
    if text.lower() == "unlimited":
        return RLIM_INFINITY
    if not _NUMBER.fullmatch(text):
        return None
    number = int(text)
    return number if number <= RLIM_INFINITY else None
