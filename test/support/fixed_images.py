"""Images with fixed bytes, made without the library.

Outputs that two versions of Dolmen build of them can be compared byte for byte.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.programs import AMD64, ARM64, kernel, program

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parent.parent.parent
RISCV64 = 0x5064
_MACHINES = {"amd64": AMD64, "arm64": ARM64, "riscv64": RISCV64}
_EFI = {"x64": AMD64, "aa64": ARM64, "riscv64": RISCV64}
# Takes the place of mksquashfs and mkfs.erofs: it writes its arguments and its input to the output.
FILESYSTEM_MAKER = """\
#!/bin/sh
case $1 in -version | --version) echo "version 9.9"; exit ;; esac
for word; do
    case $word in /proc/self/fd/*) out=$word ;; esac
done
{
    for word; do
        case $word in /proc/self/fd/*) word=OUT ;; esac
        printf '%s\\n' "$word"
    done
    cat
} > "$out"
"""
_LOADER = '#!/bin/sh\nshift 2\nexec /bin/sh "$@"\n'


def make_images() -> Any:
    """Return the module that makes the images of the conformance cases, without its use of zlib."""
    path = REPOSITORY / "test" / "conformance" / "make_images.py"
    spec = importlib.util.spec_from_file_location("fixed_make_images", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.gzip_real = module.gz  # type: ignore[attr-defined]
    return module


def random_bytes(seed: str, size: int) -> bytes:
    """Return bytes that cannot be compressed."""
    return hashlib.shake_128(seed.encode()).digest(size)


def _text(seed: str, words: int) -> bytes:
    """Return something that compresses as programs do."""
    known = [random_bytes(f"{seed} {n}", 2 + n % 7) for n in range(256)]
    return b"".join(known[n] for n in random_bytes(seed, words))


def write_store(root: Path) -> str:
    """Write a store with all images; return a digest of its index."""
    make = make_images()
    layout = make.build(str(root))
    _add_systems(make, layout)
    _add_programs(make, layout)
    layout.finish()
    return hashlib.sha256((root / "index.json").read_bytes()).hexdigest()


def _for_each(layout: Any, made: Callable[[str], bytes]) -> Any:
    return layout.multi([layout.image([made(name)], arch=name) for name in _MACHINES])


def _add_systems(make: Any, layout: Any) -> None:
    file, folder, link, hard = make.F, make.D, make.L, make.H
    modules = "lib/modules/6.12.0-test"
    drivers = ("ext4", "squashfs", "erofs", "isofs", "cdrom", "virtio_blk")
    needs = {"isofs": "kernel/cdrom.ko"}

    def kernel_of(name: str) -> bytes:
        dep = "".join(f"kernel/{d}.ko: {needs.get(d, '')}\n" for d in drivers)
        tar = make.tar(
            [
                *(folder("lib"), folder("lib/modules"), folder(modules)),
                *(file(f"{modules}/kernel/{d}.ko", random_bytes(d + name, 3000)) for d in drivers),
                file(f"{modules}/modules.dep", dep),
                file(f"{modules}/modules.alias", "alias virtio:d2v* virtio_blk\n"),
                file(f"{modules}/modules.softdep", "softdep virtio_blk pre: ext4\n"),
                file(f"{modules}/modules.builtin", "kernel/fs/overlayfs.ko\n"),
            ]
        )
        ucode = make.cpio_newc([("kernel", 0o40755, b""), ("kernel/x86", 0o100644, b"UC" * 900)])
        content = kernel(machine=_MACHINES[name])
        files = [file("kernel", content), file("kernel.tar", tar), file("ucode.cpio", ucode)]
        return bytes(make.tar(files))

    def init_of(name: str) -> bytes:
        early = file("usr/lib/dolmen/early-modules", "virtio*  # disks\n")
        return bytes(make.tar([file("init", f"init {name}\n", 0o755), early]))

    soft, dense = _text("soft", 400_000), random_bytes("dense", 700_000)
    long = "/".join(f"a-directory-with-a-rather-long-name-{n:03}" for n in range(7))
    lower = [
        *(folder("usr"), folder("usr/bin", 0o711)),
        *(file("usr/bin/soft", soft, 0o755), file("usr/bin/dense", dense, 0o4755)),
        *(hard("usr/bin/again", "usr/bin/soft"), hard("usr/bin/first", "usr/bin/dense")),
        file("usr/bin/ping", "ping", 0o755, pax=make.X(security__capability=make.CAP_BIN)),
        *(folder("gone"), file("gone/file"), folder("hidden"), file("hidden/old")),
        file(f"{long}/file", "long", uid=3_000_000, gid=2_500_000),
        link("long-link", "../" + long),
    ]
    upper = [
        *(make.W(".wh.gone"), make.W("hidden/.wh..wh..opq"), file("hidden/new")),
        file("usr/bin/dense", "replaced, its other name is not", 0o755),
        hard("usr/bin/third", "usr/bin/soft"),
    ]
    odd = [
        folder("ever", mtime="1500000000.25"),
        *(folder("ünïcode"), file("ünïcode/ß", "3"), file("größe/ß", "4")),
        folder("large", uid=3_000_000),
        folder("marked", pax=make.X(user__note=b"kept")),
    ]
    many = [file(f"srv/{n % 13}/{n:04}", soft[n * 90 : n * 120]) for n in range(900)]
    links = [hard(f"links/{n}", f"srv/{n % 13}/{n:04}") for n in range(40)]
    fewer = [make.W(f"srv/{n % 13}/.wh.{n:04}") for n in range(50, 70)]
    large = [file("large/soft", _text("large", 2_000_000)), file("large/zeros", bytes(3 << 20))]
    large += [file("large/dense", random_bytes("large", 1 << 20)), hard("large/name", "large/soft")]
    image, tag, tar = layout.image, layout.tag, make.tar
    tag(_for_each(layout, kernel_of), "made/kernel:1")
    tag(_for_each(layout, init_of), "made/init:1")
    tag(image([tar(lower), tar(upper)]), "made/root:1")
    tag(image([tar(odd)]), "made/odd:1")
    tag(image([(tar([*many, *links]), "zst"), (tar(fewer), "none")]), "made/service:1")
    tag(image([tar(large)]), "made/large:1")


def _installer() -> bytes:
    """Return a file with the marks that the syslinux installer is recognized by."""
    patch = (0x3EB202FE).to_bytes(4, "little") + bytes(16) + (2).to_bytes(2, "little")
    head = b"\r\nSYSLINUX 6.04 \0\r\n\x1a".ljust(24, b"\0") + patch + (64).to_bytes(2, "little")
    pointers = (96, 112, 16, 0, 0, 128, 64, 0x100, 0x104, 0)
    loader = head.ljust(64, b"\0") + b"".join(n.to_bytes(2, "little") for n in pointers)
    sector = b"\xeb\x58\x90SYSLINUX".ljust(510, b"\x11") + b"\x55\xaa"
    whole = loader.ljust(0x10000, b"\x90")
    return b"\x7fELF program" + sector + whole + b"\x7fELF\x01\x01\x01" + bytes(900)


def _add_programs(make: Any, layout: Any) -> None:
    file, efi = make.F, "usr/lib/systemd/boot/efi"
    stubs = [file(f"{efi}/linux{n}.efi.stub", program(machine=m)) for n, m in _EFI.items()]
    loaders = [
        file(f"{efi}/systemd-boot{n}.efi", program(b"loader", machine=m)) for n, m in _EFI.items()
    ]
    others = [
        file("usr/bin/syslinux", _installer()),
        file("usr/lib/ISOLINUX/isolinux.bin", bytes(range(256)) * 152),
        file("usr/lib/ISOLINUX/isohdpfx.bin", b"\xfa" * 432),
        file("usr/lib/syslinux/mbr/mbr.bin", b"\xfb" * 440),
        file("usr/lib/syslinux/mbr/gptmbr.bin", b"\xfc" * 440),
        file("usr/lib/syslinux/modules/bios/ldlinux.c32", b"module" * 9000),
    ]
    firmware = [
        *(file("usr/lib/fw/bootcode.bin"), file("usr/lib/fw/start.elf")),
        make.H("usr/lib/fw/fixup.dat", "usr/lib/fw/start.elf"),
        *(file("usr/lib/fw/start4.elf"), file("usr/lib/fw/overlays/miniuart-bt.dtbo")),
        file("usr/lib/trees/bcm2837-rpi-3-b.dtb"),
    ]
    makers = [
        file("usr/bin/mkfs.erofs", FILESYSTEM_MAKER),
        file("lib64/ld-linux-x86-64.so.2", _LOADER),
    ]
    pi = bytes(56) + b"ARM\x64" + _text("pi", 3000)

    def add(name: str, files: list[Any], architecture: str) -> None:
        layout.tag(layout.image([make.tar(files)], arch=architecture), name)

    programs = make.tar([*stubs, *loaders, *others])
    layout.tag(_for_each(layout, lambda _: programs), "made/loaders:1")
    tools = make.tar(makers)
    layout.tag(_for_each(layout, lambda _: tools), "made/makers:1")
    add("made/firmware:1", firmware, "arm64")
    add("made/pi:1", [file("kernel", pi)], "arm64")
    add("made/pi:packed", [file("kernel", make.zst(pi))], "arm64")
