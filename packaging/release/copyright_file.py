"""The file `copyright` of the Debian package, in the machine-readable format of Debian (DEP-5)."""

from __future__ import annotations

import re
from email.parser import HeaderParser
from typing import TYPE_CHECKING

from release.environment import ROOT

if TYPE_CHECKING:
    from release.environment import Library

_COPYRIGHT = re.compile(
    r"^\W*copyright\s*(?:\(c\)|©)?[\s:]*(.*(?:19|20)\d\d.*?)[\s.]*$", re.IGNORECASE | re.MULTILINE
)
_HEAD = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: dolmen
Comment: /{root} also has the Python libraries that Dolmen needs, in the
 versions of its lock file, as their authors distribute them, without debug
 information, tests and documentation.

Files: *
Copyright: The Dolmen authors
License: Apache-2.0
"""
# Texts that each Debian system has.
_COMMON = {
    "Apache-2.0": "Apache-2.0",
    "MPL-2.0": "MPL-2.0",
    "GPL-2.0-or-later": "GPL-2",
    "LGPL-2.1-only": "LGPL-2.1",
}
# Debian's names of licences, where they are not those of SPDX; `OR` becomes `or`.
_DEBIAN_NAMES = {
    "GPL-2.0-or-later": "GPL-2+",
    "LGPL-2.1-only": "LGPL-2.1",
    "MIT": "Expat",
    "ISC License": "ISC",
}
# What the metadata of a library does not say.
_LICENCES = {"lz4": "BSD-3-Clause", "oras": "Apache-2.0"}
# The C libraries inside of compiled modules.
_COMPILED_IN = {
    "cffi": "libffi: Copyright Anthony Green, Red Hat, Inc and others; Expat",
    "cryptography": "OpenSSL: Copyright The OpenSSL Project Authors; Apache-2.0",
    "isal": "ISA-L: Copyright Intel Corporation; BSD-3-Clause",
    "lz4": "LZ4: Copyright Yann Collet; BSD-2-Clause",
    "zstandard": "Zstandard: Copyright Meta Platforms, Inc. and affiliates; BSD-3-Clause",
}
# Texts that are not repeated, since each Debian system has them.
_OF_THE_LICENCE = re.compile(r"Free Software Foundation|name of copyright owner|yyyy")
_COMMON_TEXT = re.compile(r"Version 2\.0, January 2004|Free Software Foundation|Mozilla Public")


def copyright_file(libraries: tuple[Library, ...]) -> str:
    """Return the file for Dolmen and the libraries in its environment."""
    paragraphs = [_HEAD.format(root=ROOT)]
    common = {"Apache-2.0"}
    for library in libraries:
        if library.name == "dolmen":
            continue
        expression = _licence_of(library)
        names = [_debian_name(name) for name in expression.split(" OR ")]
        files = " ".join(f"{ROOT}/site-packages/{module}*" for module in _patterns(library))
        lines = [f"Files: {files}", f"Copyright: {_copyright_of(library)}"]
        if library.name in _COMPILED_IN:
            lines.append(f"Comment: It contains {_COMPILED_IN[library.name]}.")
        lines.append(f"License: {' or '.join(names)}")
        common.update(name for name in expression.split(" OR ") if name in _COMMON)
        if not all(name in _COMMON for name in expression.split(" OR ")):
            lines += _folded("\n\n".join(_own_texts(library)))
        paragraphs.append("\n".join(lines) + "\n")
    for name in sorted(common):
        text = f"The text of this licence is in /usr/share/common-licenses/{_COMMON[name]}."
        paragraphs.append(f"License: {_debian_name(name)}\n {text}\n")
    return "\n".join(paragraphs)


def _patterns(library: Library) -> list[str]:
    return sorted({module.split(".", 1)[0] for module in library.modules})


def _licence_of(library: Library) -> str:
    headers = HeaderParser().parsestr(library.metadata)
    found = headers["License-Expression"] or _LICENCES.get(library.name) or headers["License"]
    if not found or "\n" in found:
        raise ValueError(f"the licence of {library.name} is not known")
    return str(found)


def _own_texts(library: Library) -> list[str]:
    return [text for text in library.licences if not _COMMON_TEXT.search(text)]


def _debian_name(name: str) -> str:
    return _DEBIAN_NAMES.get(name, name)


def _copyright_of(library: Library) -> str:
    """Return the lines about copyright in the licences, or else the authors."""
    found = [m[1].strip() for text in library.licences for m in _COPYRIGHT.finditer(text)]
    found = [line for line in dict.fromkeys(found) if not _OF_THE_LICENCE.search(line)]
    if not found:
        headers = HeaderParser().parsestr(library.metadata)
        name = headers["Author"] or headers["Author-email"] or headers["Maintainer"]
        found = [" ".join(str(name or f"the authors of {library.name}").split())]
    return "\n ".join(found)


def _folded(text: str) -> list[str]:
    """Return a text as the lines that continue a field."""
    lines = [line.rstrip().replace("\t", "  ") for line in text.strip().splitlines()]
    return [f" {line}" if line.strip() else " ." for line in lines]
