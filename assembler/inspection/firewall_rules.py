"""The rules of a firewall in a system: which ports they open."""

from __future__ import annotations

from assembler.inspection.source import printable_text

RULES_PATH = "etc/nftables.conf"
# `rootfs/firewall.py` writes such a line.
_OPEN_PORTS = b"# Open: "


def open_ports(rules: bytes) -> str:
    """Return the ports that rules of Dolmen open."""
    for line in rules.splitlines()[:10]:
        if line.startswith(_OPEN_PORTS):
            return f"open: {printable_text(line.removeprefix(_OPEN_PORTS))}"
    return f"rules in {RULES_PATH}"
