"""Files that boot loaders read: kernels, initrds, and the command lines in configurations."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from assembler.inspection.source import DataSource, printable_text

if TYPE_CHECKING:
    from assembler.inspection.probe import Inspector
    from assembler.inspection.result import Inspection

_MAX_TEXT = 16 << 10
_MAX_PARTS = 32
_KERNEL_NAMES = ("kernel", "initrd.img", "vmlinuz", "vmlinux")
_CONFIGURATION_NAMES = ("syslinux.cfg", "isolinux.cfg", "extlinux.conf", "cmdline", "cmdline.txt")
_CMDLINE = re.compile(rb"^\s*(?:append|options)\s+(.+?)\s*$", re.IGNORECASE | re.MULTILINE)


def is_boot_file(path: str) -> bool:
    """Tell whether a file of a volume is inspected."""
    name = path.lower().rpartition("/")[2]
    return name in _KERNEL_NAMES or name.endswith(".efi") or _is_boot_configuration(path)


def _is_boot_configuration(path: str) -> bool:
    name = path.lower().rpartition("/")[2]
    return name in _CONFIGURATION_NAMES or "loader/entries/" in path.lower()


def inspect_boot_file(
    path: str, source: DataSource, result: Inspection, inspector: Inspector
) -> None:
    """Inspect a file of a volume, and note its command line or its parts."""
    if _is_boot_configuration(path):
        data = source.read(0, _MAX_TEXT)
        line = _CMDLINE.search(data)
        said = line[1] if line else data if "cmdline" in path else b""
        if said:
            result.facts.setdefault("command line", printable_text(said))
    elif len(result.parts) < _MAX_PARTS:
        inner = inspector.inspect(source)
        if inner is not None:
            result.parts.append((path, inner))
