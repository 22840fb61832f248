"""The early initrd has the modules for the root filesystem, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.content import read_content
from assembler.encode.assembly import Assembly
from assembler.encode.early_initrd import (
    MODULE_LIST,
    ROOT_SIGNATURE,
    VERITY_MODULE_LIST,
    EarlyInitrd,
    plan_early_initrd,
)
from assembler.events import NullReporter
from assembler.oci.image_sources import ImageSources
from assembler.oci.reference import Reference
from assembler.oci.resolution import resolve_images
from assembler.oci.store import Store
from assembler.rootfs.plan import ArchiveTree, ImageTree, Origin, Plan, TreeRules
from support.cpio import archives_of
from support.pictures import AMD64, Painter, tree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

V = "usr/lib/modules/6.1"
KERNEL = {
    f"{V}/kernel/virtio_blk.ko.xz": b"blk",
    f"{V}/kernel/sd_mod.ko": b"sd",
    f"{V}/kernel/scsi-mod.ko": b"scsi",
    f"{V}/kernel/crc-soft.ko": b"soft",
    f"{V}/kernel/squashfs.ko.xz": b"squash",
    f"{V}/kernel/isofs.ko.xz": b"iso",
    f"{V}/kernel/sound.ko": b"sound",
    f"{V}/modules.dep": b"kernel/virtio_blk.ko.xz:\nkernel/sd_mod.ko: kernel/scsi-mod.ko\n"
    b"kernel/scsi-mod.ko:\nkernel/crc-soft.ko:\nkernel/squashfs.ko.xz: kernel/scsi-mod.ko\n"
    b"kernel/isofs.ko.xz:\nkernel/sound.ko:\n",
    f"{V}/modules.alias": b"# aliases\nalias virtio:d2v* virtio_blk\nalias snd sound\n",
    f"{V}/modules.softdep": b"softdep squashfs pre: crc_soft\nsoftdep sound pre: isofs\n",
    f"{V}/modules.builtin": b"kernel/ext4.ko\n",
    f"{V}/modules.symbols": b"alias symbol:x sound\n",
}
INIT = {"init": b"program", MODULE_LIST: b"# of disks\nvirtio-*\nsd_mod # and CDs\nnvme\n\n"}


def early(
    path: Path,
    init: Mapping[str, bytes],
    kernel: Mapping[str, bytes],
    *kinds: str,
    spare: Mapping[str, bytes] | None = None,
    verified: bool = False,
    extra_files: Mapping[str, bytes] | None = None,
) -> tuple[EarlyInitrd | None, dict[str, bytes]]:
    """Return the small initrd of a system of two images, and its files."""
    store = Store(path)
    paint = Painter(store)

    names = [Reference.parse(f"test/{name}:1") for name in ("kernel", "init")]
    trees = [{"kernel": b"k", "kernel.tar": tree(kernel)}, init]
    for name, files in zip(names, trees, strict=True):
        store.put(name, paint.image(files))
    images = resolve_images(
        dict.fromkeys(names), AMD64, ImageSources(store=store.root, offline=True), NullReporter()
    )
    boot, root = (images[name] for name in names)
    plan = Plan(
        "amd64",
        (
            ArchiveTree(Origin("kernel", "kernel"), boot, "kernel.tar"),
            ImageTree(Origin("init", "init[0]"), root, "", TreeRules.ROOT),
        ),
    )
    with Assembly(plan, store) as assembly:
        made = plan_early_initrd(
            assembly,
            kinds,
            None if spare is None else lambda: spare,
            verified=verified,
            extra_files=extra_files or {},
        )
    if made is None:
        return None, {}
    with Assembly(made.plan, store) as assembly:
        found = list(archives_of(read_content(assembly.initrd())))
    files = [f for archive in found for f in archive if f.mode & 0o170000 == 0o100000]
    assert {f.name: f.mode & 0o7777 for f in files} == {
        f.name: 0o755 if f.name == "init" else 0o644 for f in files
    }
    return made, {f.name: f.data for f in files}


def test_it_has_the_modules_of_disks_and_of_the_filesystem(tmp_path: Path) -> None:
    made, files = early(tmp_path, INIT, KERNEL, "squashfs")
    assert made is not None
    assert made.missing_filesystems == ()
    assert made.module_count == 5
    assert files["init"] == b"program"
    assert files["etc/initrd-release"] == b""
    modules = {p.rpartition("/")[2] for p in files if ".ko" in p}
    # With what they need, hard and soft; what the kernel does not have is left out.
    assert modules == {
        *("virtio_blk.ko.xz", "sd_mod.ko", "scsi-mod.ko"),
        *("squashfs.ko.xz", "crc-soft.ko"),
    }
    assert files[f"{V}/kernel/squashfs.ko.xz"] == b"squash"


def test_its_indexes_have_only_these_modules(tmp_path: Path) -> None:
    _, files = early(tmp_path, INIT, KERNEL, "iso9660")
    assert files[f"{V}/modules.alias"] == b"alias virtio:d2v* virtio_blk\n"
    assert files[f"{V}/modules.softdep"] == b""
    assert b"isofs" in files[f"{V}/modules.dep"]
    assert b"sound" not in b"".join(files.values())
    assert files[f"{V}/modules.builtin"] == b"kernel/ext4.ko\n"
    assert f"{V}/modules.symbols" not in files


def test_a_filesystem_that_the_kernel_lacks_is_an_error(tmp_path: Path) -> None:
    made, _ = early(tmp_path / "a", INIT, KERNEL, "erofs", "ext4", "iso9660")
    assert made is not None
    assert made.missing_filesystems == ("erofs",)
    # Without indexes nobody knows what is built in.
    bare, _ = early(tmp_path / "b", INIT, {"lib/firmware/x": b"x"}, "erofs")
    assert bare is not None
    assert bare.missing_filesystems == ()
    assert bare.module_count == 0


def test_an_init_without_early_modules_has_no_early_initrd(tmp_path: Path) -> None:
    assert early(tmp_path, {"init": b"another"}, KERNEL, "squashfs")[0] is None


def test_another_init_has_the_program_and_list_of_a_spare_one(tmp_path: Path) -> None:
    systemd = {"usr/lib/systemd/systemd": b"systemd", MODULE_LIST: b"# as usual\n"}
    made, files = early(tmp_path / "a", systemd, KERNEL, "squashfs", spare=INIT)
    assert made is not None
    assert files["init"] == b"program"
    assert {p.rpartition("/")[2] for p in files if ".ko" in p} >= {"squashfs.ko.xz", "sd_mod.ko"}
    own = systemd | {MODULE_LIST: b"sound\n"}
    _, files = early(tmp_path / "b", own, KERNEL, "squashfs", spare=INIT)
    modules = {p.rpartition("/")[2] for p in files if ".ko" in p}
    assert "sound.ko" in modules
    assert "sd_mod.ko" not in modules


def test_an_init_image_without_a_list_is_as_with_linuxkit(tmp_path: Path) -> None:
    """The kernel has to mount the filesystem by itself."""
    linuxkit = {"init": b"program"}
    assert early(tmp_path / "a", linuxkit, KERNEL, "squashfs", spare=INIT)[0] is None
    systemd = {"usr/lib/systemd/systemd": b"systemd"}
    assert early(tmp_path / "b", systemd, KERNEL, "squashfs", spare=INIT)[0] is None


VERITY = {VERITY_MODULE_LIST: b"dm-mod\ndm-verity # checks\n"}
MAPPER = {
    f"{V}/kernel/dm-mod.ko": b"mapper",
    f"{V}/kernel/dm-verity.ko": b"verity",
    f"{V}/modules.dep": KERNEL[f"{V}/modules.dep"]
    + b"kernel/dm-mod.ko:\nkernel/dm-verity.ko: kernel/dm-mod.ko\n",
}


def test_that_of_a_verified_image_has_verity_and_the_signature(tmp_path: Path) -> None:
    init, kernel = INIT | VERITY, KERNEL | MAPPER
    extra = {ROOT_SIGNATURE: b"signed"}
    made, files = early(tmp_path / "a", init, kernel, "squashfs", verified=True, extra_files=extra)
    assert made is not None
    assert made.missing_filesystems == ()
    assert files[ROOT_SIGNATURE] == b"signed"
    modules = {p.rpartition("/")[2] for p in files if ".ko" in p}
    assert {"dm-mod.ko", "dm-verity.ko", "virtio_blk.ko.xz", "squashfs.ko.xz"} <= modules
    # Other images are as before.
    _, plain = early(tmp_path / "b", init, kernel, "squashfs")
    assert not any("dm-" in path for path in plain)


def test_a_kernel_without_verity_is_an_error(tmp_path: Path) -> None:
    made, _ = early(tmp_path, INIT | VERITY, KERNEL, "squashfs", verified=True)
    assert made is not None
    assert made.missing_filesystems == ("dm-verity",)


def test_an_init_without_verity_has_no_early_initrd_for_it(tmp_path: Path) -> None:
    assert early(tmp_path / "a", INIT, KERNEL | MAPPER, "squashfs", verified=True)[0] is None
    systemd = {"usr/lib/systemd/systemd": b"systemd", MODULE_LIST: b"# as usual\n"}
    spare = INIT | VERITY
    made, files = early(
        tmp_path / "b", systemd, KERNEL | MAPPER, "squashfs", spare=spare, verified=True
    )
    assert made is not None
    assert f"{V}/kernel/dm-verity.ko" in files
