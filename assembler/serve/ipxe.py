"""Scripts for iPXE, which boot the images of a directory."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from assembler.suffixes import CMDLINE, INITRD, KERNEL

if TYPE_CHECKING:
    from pathlib import Path

_SCRIPT = ".ipxe"
_ONLY_IMAGE = "boot.ipxe"


def ipxe_scripts(folder: Path) -> dict[str, str]:
    """Return a script for each image, by name; that of the only image is also `boot.ipxe`."""
    scripts = {}
    for kernel in sorted(folder.glob(f"*{KERNEL}")):
        name = kernel.name.removesuffix(KERNEL)
        cmdline = folder / (name + CMDLINE)
        words = cmdline.read_text("utf-8", "replace").strip() if cmdline.is_file() else ""
        lines = ["#!ipxe"]
        initrd = folder / (name + INITRD)
        if initrd.is_file():
            # EFI kernels find the initrd by this name.
            words = f"initrd={quote(initrd.name)} {words}".strip()
        lines.append(f"kernel {quote(kernel.name)} {words}".rstrip())
        if initrd.is_file():
            lines.append(f"initrd {quote(initrd.name)}")
        scripts[name + _SCRIPT] = "\n".join([*lines, "boot", ""])
    if len(scripts) == 1:
        scripts[_ONLY_IMAGE] = next(iter(scripts.values()))
    return scripts
