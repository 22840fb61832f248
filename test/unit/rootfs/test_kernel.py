"""The kernel's members, and the order of all sections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assembler.codes import rootfs
from assembler.errors import PlanError
from assembler.rootfs import append_file, find_required_images, installed_images
from assembler.rootfs.member_errors import irregular_member_error, missing_member_error
from assembler.rootfs.plan import ArchiveTree, GeneratedPart, ImageMember, MergedPackageDatabase
from support.systems import loaded, made, planned

if TYPE_CHECKING:
    from assembler.oci.store import Store

WHOLE = """
files: [{path: f, contents: x}]
services: [{name: s, image: example/onlycmd:1}]
onshutdown: [{name: d, image: example/onlycmd:1}]
onboot: [{name: b, image: example/onlyep:1}]
volumes: [{name: v, image: example/voldata:1}]
init: [example/init:v1, example/runc:v1]
kernel: {image: example/kernel:6.1, cmdline: quiet, ucode: intel-ucode.cpio}
"""


def test_sections_have_a_fixed_order(store: Store) -> None:
    config = loaded(WHOLE)
    plan = planned(config, store)
    locations = list(dict.fromkeys(p.origin.location for p in plan.parts))
    assert locations == [
        "kernel",
        "init[0]",
        "init[1]",
        "init",
        "volume[0]",
        "onboot[0]",
        "onshutdown[0]",
        "services[0]",
        "files[0]",
    ]
    assert [n.reference.repository for n in find_required_images(config)] == [
        "example/kernel",
        "example/init",
        "example/runc",
        "example/voldata",
        "example/onlyep",
        "example/onlycmd",
        "example/onlycmd",
    ]
    assert [(i.reference.repository, prefix) for i, prefix in installed_images(plan)] == [
        ("example/kernel", ""),
        ("example/init", ""),
        ("example/runc", ""),
        ("example/voldata", "containers/volumes/v/lower/"),
        ("example/onlyep", "containers/onboot/000-b/lower/"),
        ("example/onlycmd", "containers/onshutdown/000-d/lower/"),
    ]


def test_the_kernel_of_the_boot_loader_is_the_one_in_the_tree(store: Store) -> None:
    plan = planned(loaded(WHOLE), store, decompress_kernel=True)
    assert plan.boot is not None
    assert made(plan)["boot/kernel"].content == plan.boot.kernel
    assert plan.boot.kernel.decompress
    assert made(plan)["boot/ucode.cpio"].content == plan.boot.ucode
    assert made(plan)["boot/cmdline"].content == b"quiet"


@pytest.mark.parametrize(("tar", "names"), [("", []), ("none", []), ("mods.tar", ["mods.tar"])])
def test_modules_are_optional(store: Store, tar: str, names: list[str]) -> None:
    plan = planned(loaded(f"kernel: {{image: example/kernel:6.1, tar: '{tar}'}}"), store)
    assert [p.member for p in plan.parts if isinstance(p, ArchiveTree)] == names


@pytest.mark.parametrize("key", ["binary", "tar", "ucode"])
def test_members_are_in_the_root(store: Store, key: str) -> None:
    text = f"kernel: {{image: example/kernel:6.1, {key}: boot/x}}"
    with pytest.raises(PlanError) as caught:
        planned(loaded(text), store)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.place is not None
    assert diagnostic.place.column == text.index("boot/x") + 1


def test_a_single_init_image_needs_no_joined_database(store: Store) -> None:
    plan = planned(loaded("init: [example/init:v1]"), store)
    assert not [p for p in plan.parts if isinstance(p, MergedPackageDatabase)]


def test_a_missing_member_is_refused_with_the_existing_ones(store: Store) -> None:
    plan = planned(loaded("kernel:\n  image: example/kernel:6.1\n  ucode: x\n"), store)
    assert plan.boot is not None
    assert isinstance(plan.boot.ucode, ImageMember)
    error = missing_member_error(plan.boot.ucode, ["kernel", "kernel.tar"])
    assert error.diagnostics[0].code == rootfs.KERNEL_FILE_MISSING
    assert str(error.diagnostics[0].place) == "image.yml:3:10"
    assert "kernel, kernel.tar" in str(error)
    (tree,) = [p for p in plan.parts if isinstance(p, ArchiveTree)]
    assert "modules" in str(missing_member_error(tree))
    assert "a directory" in str(irregular_member_error(plan.boot.kernel, "a directory"))


def test_a_file_at_the_end(store: Store) -> None:
    plan = append_file(planned(loaded("{}"), store), "/sbom.json", b"{}")
    (part,) = plan.parts
    assert isinstance(part, GeneratedPart)
    assert (part.origin.source, part.origin.location) == ("", "")
    assert [e.path for e in part.entries] == ["sbom.json"]


@pytest.mark.parametrize("path", ["", "/", "../x", "a/../../b", "a\0"])
def test_a_file_at_the_end_stays_in_the_system(store: Store, path: str) -> None:
    with pytest.raises(PlanError):
        append_file(planned(loaded("{}"), store), path, b"")
