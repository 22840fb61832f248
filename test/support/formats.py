"""Small systems that tests of output formats write within their own process."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.encode.assembly import Assembly
from assembler.encode.compression import Compression
from assembler.encode.encode_options import EncodeOptions
from assembler.formats import FormatOptions, Output, Target, select_formats, write_formats
from assembler.helper_images import BOOTLOADERS, FIRMWARE, HelperImage, HelperImages
from assembler.oci import Image, Platform, Reference, Store, find_image
from support.archives import E, directory, hardlink, image, symlink
from support.loaders import BOOTLOADERS as LOADERS
from support.loaders import KERNEL, add_loaders
from support.systems import loaded, planned

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.events import Event
    from assembler.media import Signer

SYSTEM, CARD = "test/system:1", "test/card:1"
CMDLINE = "console=ttyS0 quiet"
PROGRAM = b"#!/bin/sh\nexec true\n"
LONG_NAME = "a name that is far longer than ISO 9660 alone allows.conf"
# What the root filesystem has, by path; `bin/init` has two names.
FILES = {"bin/init": PROGRAM, "bin/linked": PROGRAM, f"etc/{LONG_NAME}": b"x", "etc/empty": b""}
LINKS = {"sbin": "bin", "etc/up": "../bin/init"}
YAML = f"""
kernel: {{image: "{KERNEL}", tar: none, cmdline: "{CMDLINE}"}}
init: ["{SYSTEM}"]
files:
  - {{path: etc/issue, contents: "hello", mode: "0640"}}
"""
WITHOUT_KERNEL = f'init: ["{SYSTEM}"]\n'


def add_system(store: Store, architecture: str = "amd64") -> None:
    """Add a kernel, boot loaders, firmware of a card, and the image of a small system."""
    add_loaders(store, architecture)
    entries = (
        directory("bin"),
        directory("etc", 0o750),
        E("bin/init", PROGRAM, mode=0o755),
        hardlink("bin/linked", "bin/init"),
        symlink("sbin", "bin"),
        symlink("etc/up", "../bin/init"),
        E(f"etc/{LONG_NAME}", b"x", mode=0o600, uid=7, gid=8),
        E("etc/empty", b""),
    )
    image(store, SYSTEM, entries, architecture=architecture)
    firmware = [E(name, name.encode()) for name in ("bootcode.bin", "start.elf", "fixup.dat")]
    image(store, CARD, tuple(firmware), architecture=architecture)


@dataclass
class EventList:
    """A reporter that keeps all events."""

    events: list[Event]

    def emit(self, event: Event) -> None:
        """Keep an event."""
        self.events.append(event)


@dataclass(frozen=True)
class SmallSystem:
    """A store with a small system, which tests write as outputs."""

    store: Store
    architecture: str = "amd64"

    @contextmanager
    def assembly(self, yaml: str = YAML) -> Iterator[Assembly]:
        """Yield the assembly of a system."""
        plan = planned(loaded(yaml), self.store, architecture=self.architecture)
        encoding = EncodeOptions(Compression.parse("zstd:1"), 1)
        with Assembly(plan, self.store, encoding) as assembly:
            yield assembly

    def options(
        self, *, disk_size: int | None = None, signer: Signer | None = None, firmware: str = CARD
    ) -> FormatOptions:
        """Return options with boot loaders and firmware."""
        names: dict[HelperImage, str] = {BOOTLOADERS: LOADERS, FIRMWARE: firmware}
        images = {kind: self._image(name) for kind, name in names.items() if name}
        helpers = HelperImages(self.store, images, images.__getitem__)
        return FormatOptions(disk_size=disk_size, helpers=helpers, signer=signer)

    def write(
        self,
        folder: Path,
        *formats: str,
        yaml: str = YAML,
        options: FormatOptions | None = None,
        reporter: EventList | None = None,
    ) -> list[Output]:
        """Write formats to a folder."""
        chosen = options or self.options()
        with self.assembly(yaml) as assembly:
            selected = select_formats(formats)
            return write_formats(assembly, selected, Target(folder, "os"), chosen, reporter)

    def _image(self, name: str) -> Image:
        platform = Platform("linux", self.architecture)
        return find_image(self.store, Reference.parse(name), platform)
