"""A recipe for firmware keeps what the kernel's modules ask for, and no other file."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

from assembler.config.package_model import DebsRecipe
from assembler.debian.firmware import firmware_layer
from assembler.debian.layer_inputs import LayerInputs
from assembler.debian.package_files import read_package_files
from support.debian import Deb, Link, module

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "6.12"
KERNEL = Deb(
    "linux-image-6.12",
    files={
        f"boot/vmlinuz-{VERSION}": b"the kernel",
        f"usr/lib/modules/{VERSION}/kernel/net/card.ko": module(
            depends=["base"], firmware=["card/one.bin", "card/absent.bin"]
        ),
        f"usr/lib/modules/{VERSION}/kernel/net/base.ko": module(firmware=["base-*.fw"]),
        f"usr/lib/modules/{VERSION}/kernel/gpu/screen.ko": module(
            firmware=["screen/new/code.bin", "screen/loop.bin"]
        ),
        f"usr/lib/modules/{VERSION}/modules.builtin.modinfo": b"cpu.firmware=cpu.bin\0",
        "usr/share/doc/linux-image-6.12/copyright": b"GPL-2",
    },
)
FIRMWARE = Deb(
    "firmware-cards",
    files={
        "usr/lib/firmware/card/one.bin": Link("../shared/first.bin"),
        "usr/lib/firmware/card/other.bin": b"other",
        "usr/lib/firmware/shared/first.bin": b"first",
        "usr/lib/firmware/shared/second.bin": b"second",
        "usr/lib/firmware/base-1.fw": b"1",
        "usr/lib/firmware/base-2.fw.xz": b"2",
        "usr/lib/firmware/base.fw": b"no",
        "usr/lib/firmware/cpu.bin": b"cpu",
        "usr/share/doc/firmware-cards/copyright": b"terms",
        "usr/share/doc/firmware-cards/README": b"text",
    },
)
# Of a suite before the merged /usr.
SCREENS = Deb(
    "firmware-screens",
    files={
        "lib/firmware/screen/new": Link("old"),
        "lib/firmware/screen/old/code.bin": b"code",
        "lib/firmware/screen/loop.bin": Link("loop.bin"),
    },
)
ALWAYS = {"usr/share/doc/firmware-cards/copyright"}


def firmware(tmp_path: Path, *modules: str) -> dict[str, str]:
    """Return the files of the layer, without the package database, with the targets of links."""
    paths = []
    for deb in (KERNEL, FIRMWARE, SCREENS):
        paths.append(tmp_path / f"{deb.name}.deb")
        paths[-1].write_bytes(deb.build())
    debs = DebsRecipe("trixie", ("firmware-cards",), firmware=True, modules=modules)
    data = b"".join(firmware_layer(LayerInputs(debs, "amd64", read_package_files(paths))))
    with tarfile.open(fileobj=io.BytesIO(data)) as layer:
        return {
            m.name: m.linkname
            for m in layer
            if not m.isdir() and not m.name.startswith(("var/lib/dpkg/", "bin", "lib", "sbin"))
        }


def test_what_all_modules_ask_for_is_kept(tmp_path: Path) -> None:
    found = firmware(tmp_path)
    assert found.keys() == ALWAYS | {
        "usr/lib/firmware/card/one.bin",
        "usr/lib/firmware/shared/first.bin",
        "usr/lib/firmware/base-1.fw",
        "usr/lib/firmware/base-2.fw.xz",
        "usr/lib/firmware/cpu.bin",
        "usr/lib/firmware/screen/new",
        "usr/lib/firmware/screen/old/code.bin",
    }
    assert found["usr/lib/firmware/card/one.bin"] == "../shared/first.bin"
    assert found["usr/lib/firmware/screen/new"] == "old"


def test_a_selection_of_modules_brings_the_firmware_of_their_dependencies(tmp_path: Path) -> None:
    assert firmware(tmp_path, "card").keys() == ALWAYS | {
        "usr/lib/firmware/card/one.bin",
        "usr/lib/firmware/shared/first.bin",
        "usr/lib/firmware/base-1.fw",
        "usr/lib/firmware/base-2.fw.xz",
    }
    assert firmware(tmp_path, "gpu/*").keys() == ALWAYS | {
        "usr/lib/firmware/screen/new",
        "usr/lib/firmware/screen/old/code.bin",
    }
