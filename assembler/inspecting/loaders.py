"""Files that boot loaders read: which are worth a look, and the command line that they name."""

from __future__ import annotations

import re

from assembler.inspecting.found import Found
from assembler.inspecting.probes import Look
from assembler.inspecting.source import Source, text

_LARGEST_TEXT = 16 << 10
_MOST = 32
_PROGRAMS = ("kernel", "initrd.img", "vmlinuz", "vmlinux")
_CONFIGURATIONS = ("syslinux.cfg", "isolinux.cfg", "extlinux.conf", "cmdline", "cmdline.txt")
_LINE = re.compile(rb"^\s*(?:append|options)\s+(.+?)\s*$", re.IGNORECASE | re.MULTILINE)


def is_wanted(path: str) -> bool:
    """Tell whether a file of a volume is to be looked into."""
    name = path.lower().rpartition("/")[2]
    return name in _PROGRAMS or name.endswith(".efi") or _is_configuration(path)


def _is_configuration(path: str) -> bool:
    name = path.lower().rpartition("/")[2]
    return name in _CONFIGURATIONS or "loader/entries/" in path.lower()


def look_into(path: str, source: Source, found: Found, look: Look) -> None:
    """Note what a file of a volume says."""
    if _is_configuration(path):
        data = source.read(0, _LARGEST_TEXT)
        line = _LINE.search(data)
        said = line[1] if line else data if "cmdline" in path else b""
        if said:
            found.facts.setdefault("command line", text(said))
    elif len(found.parts) < _MOST:
        inner = look.at(source)
        if inner is not None:
            found.parts.append((path, inner))
