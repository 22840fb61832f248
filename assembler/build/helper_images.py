"""Images of packages that Dolmen brings: the one that is named, or that of our own recipe."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.build.packaging import build_missing
from assembler.codes import output as codes
from assembler.diagnostics import Diagnostic
from assembler.errors import DolmenError, OutputError, wrap_os_errors
from assembler.oci.reference import Reference
from assembler.oci.resolve import resolve

if TYPE_CHECKING:
    from assembler.build.request import Supply
    from assembler.codes import Code
    from assembler.events import Reporter
    from assembler.oci.image import Image
    from assembler.oci.platform import Platform
    from assembler.oci.resolve import Sources


@dataclass(frozen=True, slots=True)
class Shipped:
    """A package that formats need: what it has, and the option that names another image."""

    name: str
    has: str
    option: str
    code: Code

    @property
    def recipe(self) -> Path:
        """Return the directory of the recipe, in a checkout or where Dolmen is installed."""
        package = Path(__file__).resolve().parent.parent
        installed = package / f"_{self.name}"
        return installed if installed.is_dir() else package.parent / "pkg" / self.name

    @property
    def reference(self) -> Reference:
        """Return the name of the image: that of the package in git, where it is committed."""
        return Reference.parse(f"dolmen/{self.name}:{tree_hash(self.recipe)}")


BOOTLOADERS = Shipped("bootloaders", "boot loaders", "--bootloaders", codes.NO_BOOT_ASSET)
IMAGETOOLS = Shipped(
    "imagetools", "programs that make filesystems", "--imagetools", codes.NO_PROGRAM
)


def tree_hash(directory: Path) -> str:
    """Return git's hash of a directory that has plain files alone."""
    entries = []
    with wrap_os_errors(directory, "read"):
        for path in sorted(directory.iterdir()):
            if path.is_file() and not path.name.startswith("."):
                data = path.read_bytes()
                entries.append(f"100644 {path.name}\0".encode() + _git(b"blob", data).digest())
    return _git(b"tree", b"".join(entries)).hexdigest()


def _git(kind: bytes, data: bytes) -> hashlib._Hash:
    return hashlib.sha1(b"%b %d\0%b" % (kind, len(data), data), usedforsecurity=False)


def shipped_image(
    package: Shipped,
    named: str,
    supply: Supply,
    sources: Sources,
    platform: Platform,
    reporter: Reporter,
) -> Image:
    """Return the image, complete in the store; it is built if it is not there."""
    wanted = Reference.parse(named) if named else package.reference
    try:
        if not named and not supply.offline:
            build_missing(
                supply, sources.store, {wanted: package.recipe}, platform, reporter, wanted.tag
            )
        ours = replace(sources, pull=False) if not named else sources
        return resolve({wanted: None}, platform, ours, reporter)[wanted]
    except DolmenError as error:
        why = (
            "without --offline it is built; or name one that is in the store: "
            f"{package.option} IMAGE"
            if supply.offline
            else f"name an image that has the same files: {package.option} IMAGE"
        )
        told_first = Diagnostic(
            package.code, f"there are no {package.has} for {platform}", hints=(why,)
        )
        raise OutputError([told_first, *error.diagnostics]) from error
