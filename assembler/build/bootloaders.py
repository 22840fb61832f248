"""The image of the package `bootloaders`: the one that is named, or that of the recipe we bring."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.build.packaging import build_missing
from assembler.codes import output as codes
from assembler.diagnostics import Diagnostic
from assembler.errors import DolmenError, OutputError, told
from assembler.oci.reference import Reference
from assembler.oci.resolve import resolve

if TYPE_CHECKING:
    from assembler.build.request import Supply
    from assembler.events import Reporter
    from assembler.oci.image import Image
    from assembler.oci.platform import Platform
    from assembler.oci.resolve import Sources

_NAME = "dolmen/bootloaders"


def recipe() -> Path:
    """Return the directory of the recipe, in a checkout or where the package is installed."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_bootloaders"
    return installed if installed.is_dir() else package.parent / "pkg" / "bootloaders"


def reference() -> Reference:
    """Return the name of the recipe's image: that of the package in git, where it is committed."""
    return Reference.parse(f"{_NAME}:{tree_hash(recipe())}")


def tree_hash(directory: Path) -> str:
    """Return git's hash of a directory that has plain files alone."""
    entries = []
    with told(directory, "read"):
        for path in sorted(directory.iterdir()):
            if path.is_file() and not path.name.startswith("."):
                data = path.read_bytes()
                entries.append(f"100644 {path.name}\0".encode() + _git(b"blob", data).digest())
    return _git(b"tree", b"".join(entries)).hexdigest()


def _git(kind: bytes, data: bytes) -> hashlib._Hash:
    return hashlib.sha1(b"%b %d\0%b" % (kind, len(data), data), usedforsecurity=False)


def bootloaders(
    named: str, supply: Supply, sources: Sources, platform: Platform, reporter: Reporter
) -> Image:
    """Return the image, complete in the store; it is built or fetched if it is not there."""
    wanted = Reference.parse(named) if named else reference()
    try:
        if not named and not supply.offline:
            build_missing(supply, sources.store, {wanted: recipe()}, platform, reporter, wanted.tag)
        ours = replace(sources, pull=False) if not named else sources
        return resolve({wanted: None}, platform, ours, reporter)[wanted]
    except DolmenError as error:
        why = (
            "without --offline it is built or fetched; or name one that is in the store: "
            "--bootloaders IMAGE"
            if supply.offline
            else "name an image that has the same files: --bootloaders IMAGE"
        )
        told_first = Diagnostic(
            codes.NO_BOOT_ASSET, f"there are no boot loaders for {platform}", hints=(why,)
        )
        raise OutputError([told_first, *error.diagnostics]) from error
