"""The kinds of helper images: what each provides, and how a user names another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import output as codes

if TYPE_CHECKING:
    from assembler.codes import Code


@dataclass(frozen=True, slots=True, eq=False)
class HelperImage:
    """A kind of helper image that formats declare in their needs."""

    name: str
    # What it provides, for messages.
    provides: str
    # The option of the command line that names an image, if there is one.
    option: str
    code: Code
    # Dolmen brings a recipe for it; without one the user has to name an image.
    has_recipe: bool = True
    # It runs on this machine, so its platform is the host's and not the target's.
    runs_on_host: bool = False


BOOTLOADERS = HelperImage("bootloaders", "boot loaders", "--bootloaders", codes.NO_BOOT_ASSET)
IMAGETOOLS = HelperImage(
    "imagetools",
    "programs that make filesystems",
    "--imagetools",
    codes.NO_PROGRAM,
    runs_on_host=True,
)
FIRMWARE = HelperImage("firmware", "firmware", "--firmware", codes.NO_FIRMWARE, has_recipe=False)
# Most systems have it in an init image; so it is resolved only when a format asks for it.
EARLY_INIT = HelperImage("init", "program for the early initrd", "", codes.NO_PROGRAM)
HELPER_IMAGES = (BOOTLOADERS, IMAGETOOLS, FIRMWARE)
