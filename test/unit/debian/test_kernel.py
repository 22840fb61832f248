"""A kernel's packages become `kernel` and `kernel.tar`, with the indexes that modprobe reads."""

from __future__ import annotations

import io
import lzma
import struct
import tarfile
from typing import TYPE_CHECKING

import pytest

from assembler.config.package_model import DebsRecipe
from assembler.debian.depmod import binary_index
from assembler.debian.kernel import kernel_layer
from assembler.debian.layer_inputs import LayerInputs
from assembler.debian.package_files import read_package_files
from assembler.errors import PackageError
from support.debian import Content, Deb, module

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "6.12-cloud"
BASE = f"usr/lib/modules/{VERSION}"


def files(base: str = BASE) -> dict[str, Content]:
    drivers = f"{base}/kernel/drivers"
    return {
        f"boot/vmlinuz-{VERSION}": b"the kernel",
        f"boot/config-{VERSION}": b"CONFIG_X=y\n",
        f"{base}/kernel/lib/crc.ko": module(exports=["crc_one", "crc_two"]),
        f"{base}/kernel/net/base-net.ko.xz": lzma.compress(module(depends=["crc"])),
        f"{drivers}/net/virtio_net.ko.xz": lzma.compress(
            module(depends=["base_net", "crc"], alias=["virtio:d00000001v*", "pci:v-x[a-z]d-*"])
        ),
        f"{drivers}/usb/stick.ko": module(alias=["devname:stick", "char-major-10-229"]),
        f"{base}/modules.order": b"kernel/lib/crc.ko\nkernel/net/base-net.ko\n",
        f"{base}/modules.builtin": b"kernel/fs/ext4/ext4.ko\n",
        f"{base}/modules.builtin.modinfo": b"ext4.license=GPL\0ext4.alias=fs-ext4\0",
        "usr/share/doc/linux-image/copyright": b"GPL-2",
    }


def make(
    tmp_path: Path, modules: tuple[str, ...] = (), packages: tuple[Deb, ...] = ()
) -> tuple[tarfile.TarFile, tarfile.TarFile]:
    """Return the layer, and the kernel.tar in it."""
    paths = []
    for deb in packages or (Deb("linux-image", files=files()),):
        paths.append(tmp_path / f"{deb.name}.deb")
        paths[-1].write_bytes(deb.build())
    debs = DebsRecipe("trixie", ("linux-image",), kernel=True, modules=modules)
    data = b"".join(kernel_layer(LayerInputs(debs, "amd64", read_package_files(paths))))
    layer = unpacked(data)
    return layer, unpacked(text(layer, "kernel.tar"))


def unpacked(data: bytes) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(data))


def text(archive: tarfile.TarFile, path: str) -> bytes:
    file = archive.extractfile(path)
    assert file is not None
    return file.read()


def test_kernel_and_modules(tmp_path: Path) -> None:
    layer, tree = make(tmp_path)
    assert layer.getnames()[:3] == ["kernel", "kernel-config", "kernel.tar"]
    assert text(layer, "kernel") == b"the kernel"
    assert text(layer, "kernel-config") == b"CONFIG_X=y\n"
    assert "usr/share/doc/linux-image/copyright" in layer.getnames()
    assert "var/lib/dpkg/status.d/linux-image" in layer.getnames()
    names = tree.getnames()
    assert len(names) == len(set(names))
    assert names[:4] == ["usr", "usr/lib", "usr/lib/modules", BASE]
    assert text(tree, f"{BASE}/kernel/drivers/usb/stick.ko").startswith(b"\x7fELF")


def test_the_text_indexes(tmp_path: Path) -> None:
    _, tree = make(tmp_path)

    def lines(name: str) -> list[str]:
        return [n for n in text(tree, f"{BASE}/{name}").decode().splitlines() if n[:1] != "#"]

    net = "kernel/drivers/net/virtio_net.ko.xz"
    assert lines("modules.dep") == [
        "kernel/lib/crc.ko:",
        "kernel/net/base-net.ko.xz: kernel/lib/crc.ko",
        f"{net}: kernel/net/base-net.ko.xz kernel/lib/crc.ko",
        "kernel/drivers/usb/stick.ko:",
    ]
    assert "alias virtio:d00000001v* virtio_net" in lines("modules.alias")
    assert lines("modules.symbols") == ["alias symbol:crc_one crc", "alias symbol:crc_two crc"]
    assert lines("modules.devname") == ["stick stick c10:229"]
    assert lines("modules.builtin") == ["kernel/fs/ext4/ext4.ko"]


def test_the_binary_indexes(tmp_path: Path) -> None:
    _, tree = make(tmp_path)

    def index(name: str) -> dict[str, list[str]]:
        return read_index(text(tree, f"{BASE}/{name}.bin"))

    assert index("modules.dep")["base_net"] == ["kernel/net/base-net.ko.xz: kernel/lib/crc.ko"]
    # Dashes are underscores to modprobe, but not in brackets.
    assert index("modules.alias")["pci:v_x[a-z]d_*"] == ["virtio_net"]
    assert index("modules.symbols")["symbol:crc_two"] == ["crc"]
    assert index("modules.builtin") == {"ext4": [""]}
    assert index("modules.builtin.alias") == {"fs_ext4": ["ext4"]}


def test_a_selection_of_modules_brings_what_they_need(tmp_path: Path) -> None:
    _, tree = make(tmp_path, ("virtio-*", "ext4"))
    modules = {n.rpartition("/")[2] for n in tree.getnames() if ".ko" in n}
    assert modules == {"virtio_net.ko.xz", "base-net.ko.xz", "crc.ko"}
    assert f"{BASE}/kernel/drivers/usb" not in tree.getnames()
    _, tree = make(tmp_path, ("drivers/usb",))
    assert {n.rpartition("/")[2] for n in tree.getnames() if ".ko" in n} == {"stick.ko"}
    with pytest.raises(PackageError, match="has no module ext5"):
        make(tmp_path, ("ext5",))


def test_older_packages_have_modules_in_lib(tmp_path: Path) -> None:
    _, tree = make(tmp_path, packages=(Deb("linux-image", files=files(f"lib/modules/{VERSION}")),))
    assert f"{BASE}/kernel/lib/crc.ko" in tree.getnames()


def test_there_is_one_kernel(tmp_path: Path) -> None:
    two = Deb("linux-image-2", files={"boot/vmlinuz-7": b""})
    with pytest.raises(PackageError, match=r"they have 6\.12-cloud and 7"):
        make(tmp_path, packages=(Deb("linux-image", files=files()), two))
    with pytest.raises(PackageError, match="they have none"):
        make(tmp_path, packages=(Deb("linux-image"),))


def test_a_module_that_is_none_is_refused(tmp_path: Path) -> None:
    for broken in (b"", b"\x7fELF", b"\x7fELF\x02\x01" + b"\xff" * 58, module()[:100]):
        bad = files() | {f"{BASE}/kernel/bad.ko": broken}
        with pytest.raises(PackageError, match="DM0723"):
            make(tmp_path, packages=(Deb("linux-image", files=bad),))


def test_an_index_finds_every_key() -> None:
    keys = ["a", "ab", "abc", "abd", "b", "bcd", "bce", "", "zz"]
    found = read_index(binary_index((key, f"value of {key}", i) for i, key in enumerate(keys)))
    assert found == {key: [f"value of {key}"] for key in keys}
    assert read_index(binary_index([("k", "two", 2), ("k", "one", 1)])) == {"k": ["one", "two"]}
    assert read_index(binary_index([])) == {}


def read_index(data: bytes) -> dict[str, list[str]]:
    """Read an index the way kmod does."""
    magic, version, root = struct.unpack_from(">III", data)
    assert (magic, version) == (0xB007F457, 0x00020001)
    found: dict[str, list[str]] = {}

    def walk(offset: int, key: str) -> None:
        at = offset & 0x0FFFFFFF
        if offset & 0x80000000:
            end = data.index(b"\0", at)
            key += data[at:end].decode()
            at = end + 1
        if offset & 0x20000000:
            first, last = data[at], data[at + 1]
            for i, letter in enumerate(range(first, last + 1)):
                (child,) = struct.unpack_from(">I", data, at + 2 + 4 * i)
                if child:
                    walk(child, key + chr(letter))
            at += 2 + 4 * (last - first + 1)
        if offset & 0x40000000:
            (count,) = struct.unpack_from(">I", data, at)
            at += 4
            for _ in range(count):
                end = data.index(b"\0", at + 4)
                found.setdefault(key, []).append(data[at + 4 : end].decode())
                at = end + 1

    walk(root, "")
    return found
