"""Scripts for iPXE, which boot the images of a directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import quote

from assembler.serve.folder import ServedFolder
from assembler.suffixes import CMDLINE, INITRD, KERNEL

if TYPE_CHECKING:
    from pathlib import Path

_SCRIPT = ".ipxe"
_ONLY_IMAGE = "boot.ipxe"
_MAX_CMDLINE = 1 << 16
# iPXE has no quotes: these words end a command.
_SEPARATORS = (b"||", b"&&", b";")


def ipxe_scripts(folder: Path) -> dict[str, str]:
    """Return a script for each image, by name; that of the only image is also `boot.ipxe`.

    Bytes of a command line that are not UTF-8 are surrogates.
    """
    served = ServedFolder(folder.resolve())
    names = [n.removesuffix(KERNEL) for n in served.names() if n.endswith(KERNEL)]
    scripts = {name + _SCRIPT: _script(served, name) for name in names}
    if len(scripts) == 1:
        scripts[_ONLY_IMAGE] = next(iter(scripts.values()))
    return scripts


def quoted_name(name: str) -> str:
    """Return a name of a file for a URL: no space, control character or `$`."""
    return quote(os.fsencode(name))


def _script(served: ServedFolder, name: str) -> str:
    words = _command_line(served, name + CMDLINE)
    refused = next((word for word in words if not _is_literal(word)), None)
    if refused is not None:
        file = quoted_name(name + CMDLINE)
        return f"#!ipxe\necho {file} has a word that iPXE cannot pass on\nexit 1\n"
    commands = [b"kernel", quoted_name(name + KERNEL).encode()]
    initrd = quoted_name(name + INITRD).encode()
    has_initrd = served.has(name + INITRD)
    if has_initrd:
        # EFI kernels find the initrd by this name.
        commands.append(b"initrd=" + initrd)
    lines = [b"#!ipxe", b" ".join([*commands, *words])]
    if has_initrd:
        lines.append(b"initrd " + initrd)
    return b"\n".join([*lines, b"boot", b""]).decode("utf-8", "surrogateescape")


def _command_line(served: ServedFolder, name: str) -> list[bytes]:
    """Return the words of a command line; line breaks separate words, too."""
    file = served.open(name)
    if file is None:
        return []
    with file:
        return file.read(_MAX_CMDLINE).split()


def _is_literal(word: bytes) -> bool:
    """Tell whether iPXE passes a word on as it is."""
    printable = all(byte > 32 and byte != 127 for byte in word)
    return printable and word not in _SEPARATORS and not word.startswith(b"#") and b"${" not in word
