"""The tar of a build has a record, by which another build finds the images in it again."""

from __future__ import annotations

import gzip
import io
import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from isal import isal_zlib

from assembler.content import read_content
from assembler.encode.archive_record import ArchiveRecordInputs
from assembler.encode.assembly import Assembly
from assembler.encode.salvage_archive import SalvageArchive, SalvageError
from assembler.encode.tar_encoder import global_comment
from assembler.errors import DolmenError, UsageError
from assembler.oci.reference import Reference
from assembler.oci.store import Store
from assembler.rootfs.plan import (
    ArchiveTree,
    BootSpec,
    EntryKind,
    GeneratedEntry,
    GeneratedPart,
    ImageMember,
    ImageTree,
    Origin,
    Plan,
    TreeRules,
    leading_directories,
)
from support.archives import E, directory, hardlink, image, symlink, tar
from support.pictures import AMD64, ARM64

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.oci.image import Image

KERNEL, INIT, SERVICE = (f"docker.io/test/{name}:1" for name in ("kernel", "init", "service"))
PREFIX = "containers/services/s/lower/"
SBOM = b'{"spdxVersion": "SPDX-2.3", "comment": "%b"}' % (b"c" * 2000)


def kernel_image(store: Store, content: bytes = b"vmlinuz" * 99) -> Image:
    modules = tar(
        [directory("lib/modules"), E("lib/modules/m.ko", b"loadable"), E("boot/map", b"m")]
    )
    return image(
        store,
        "test/kernel:1",
        [
            E("kernel", content, mode=0o600),
            E("kernel.tar", modules),
            E("ucode.cpio", b"070701"),
        ],
    )


def plan_of(kernel: Image, init: Image, service: Image, *, ucode: bool = True) -> Plan:
    boot = BootSpec(
        ImageMember(kernel, "kernel"), "", ImageMember(kernel, "ucode.cpio") if ucode else None
    )
    members = [("boot/kernel", boot.kernel), ("boot/ucode.cpio", boot.ucode)]
    files = [
        GeneratedEntry(path, EntryKind.FILE, 0o644, content)
        for path, content in members
        if content is not None
    ]
    return Plan(
        "amd64",
        (
            GeneratedPart(Origin(KERNEL, "kernel"), (*leading_directories("boot"), *files)),
            ArchiveTree(Origin(KERNEL, "kernel"), kernel, "kernel.tar"),
            ImageTree(Origin(INIT, "init[0]"), init, "", TreeRules.ROOT),
            GeneratedPart(
                Origin("image.yml", "services[0]"), leading_directories(PREFIX.rstrip("/"))
            ),
            ImageTree(Origin(SERVICE, "services[0]"), service, PREFIX, TreeRules.CONTAINER),
        ),
        boot,
    )


def inputs(store: Store, *images: Image, sbom: dict[str, Any] | None = None) -> ArchiveRecordInputs:
    documents = [
        store.path(d.digest).read_text()
        for found in images
        for d in (found.descriptor, found.manifest.config)
    ]
    described = {
        str(found.reference): {
            "manifest": found.digest,
            "index": None,
            "attested": found.reference.tag == "2",
        }
        for found in images
    }
    return ArchiveRecordInputs(described, documents, sbom)


def build(path: Path, plan: Plan, store: Store, origins: ArchiveRecordInputs | None = None) -> None:
    sbom = GeneratedEntry("usr/sbom.json", EntryKind.FILE, 0o644, SBOM)
    with path.open("wb") as out, Assembly(plan, store) as assembly:
        assembly.write_tree(out, [GeneratedPart(Origin("", ""), (sbom,))], origins)


@pytest.fixture
def images(tmp_path: Path) -> tuple[Store, Image, Image, Image]:
    """Give a store with the images of a kernel, init and a service."""
    store = Store(tmp_path / "store")
    init = image(
        store, "test/init:1", [directory("bin"), E("bin/sh", b"shell"), hardlink("sh", "bin/sh")]
    )
    service = image(store, "test/service:1", [E("größe", b"g" * 3000), symlink("l", "größe")])
    return store, kernel_image(store), init, service


@pytest.mark.parametrize("ucode", [True, False])
def test_a_build_from_an_earlier_tar_gives_the_same_tar(
    images: tuple[Store, Image, Image, Image], tmp_path: Path, *, ucode: bool
) -> None:
    store, *found = images
    sbom = {"path": "usr/sbom.json", "tool": "dolmen", "crc32": isal_zlib.crc32(SBOM)}
    origins = inputs(store, *found, sbom=sbom)
    build(tmp_path / "one.tar", plan_of(*found, ucode=ucode), store, origins)

    archive = SalvageArchive.open(tmp_path / "one.tar")
    salvaged = [archive.image(f.reference, AMD64, [f.digest]) for f in found]
    assert [(s.digest, s.config) for s in salvaged] == [(f.digest, f.config) for f in found]
    assert salvaged[0].salvaged is not None
    modes = {file.name: file.mode for file in salvaged[0].salvaged.files}
    expected = {"kernel": 0o600, "ucode.cpio": 0o644, "kernel.tar": 0o644}
    assert modes == {name: expected[name] for name in modes}
    assert len(modes) == 2 + ucode
    assert archive.sbom({"path": "usr/sbom.json", "tool": "dolmen"}) == SBOM
    assert archive.sbom({"tool": "another"}) is None
    data = (tmp_path / "one.tar").read_bytes()
    for changed in (data.replace(b'SPDX-2.3"', b'SPDX-2.4"'), data):
        (tmp_path / "changed.tar").write_bytes(changed)
        found_sbom = SalvageArchive.open(tmp_path / "changed.tar").sbom({"tool": "dolmen"})
        assert found_sbom == (SBOM if changed == data else None)
    assert not archive.has_decompressed_kernel(salvaged)
    assert not archive.is_attested(INIT)
    assert archive.is_attested("docker.io/test/unknown:1")

    # Another store, without any layer.
    other = Store(tmp_path / "other")
    build(tmp_path / "two.tar", plan_of(*salvaged, ucode=ucode), other, origins)
    assert (tmp_path / "two.tar").read_bytes() == (tmp_path / "one.tar").read_bytes()
    with Assembly(plan_of(*salvaged, ucode=ucode), other) as assembly:
        kernel = assembly.kernel()
        assert kernel is not None
        assert (read_content(kernel.content), kernel.mode) == (b"vmlinuz" * 99, 0o600)
        again = read_content(assembly.initrd())
    with Assembly(plan_of(*found, ucode=ucode), store) as assembly:
        assert read_content(assembly.initrd()) == again


def test_a_decompressed_kernel_is_known_to_be_one(
    images: tuple[Store, Image, Image, Image], tmp_path: Path
) -> None:
    store, _, *others = images
    found = [kernel_image(store, gzip.compress(b"vmlinuz" * 99)), *others]
    plan = plan_of(*found)
    assert plan.boot is not None
    kernel = replace(plan.boot.kernel, decompress=True)
    entries = (GeneratedEntry("boot/kernel", EntryKind.FILE, 0o644, kernel),)
    plan = replace(
        plan,
        parts=(GeneratedPart(Origin(KERNEL, "kernel"), entries), *plan.parts[1:]),
        boot=BootSpec(kernel, ""),
    )
    build(tmp_path / "x.tar", plan, store, inputs(store, *found))
    archive = SalvageArchive.open(tmp_path / "x.tar")
    salvaged = archive.image(found[0].reference, AMD64, [])
    assert archive.has_decompressed_kernel([found[1], salvaged])
    assert salvaged.salvaged is not None
    kernel_file = next(f for f in salvaged.salvaged.files if f.name == "kernel")
    assert kernel_file.content.size == 99 * len(b"vmlinuz")
    assert not archive.has_decompressed_kernel([found[1]])


def test_a_tar_without_a_record_or_without_the_image_is_refused(
    images: tuple[Store, Image, Image, Image], tmp_path: Path
) -> None:
    store, *found = images
    path = tmp_path / "x.tar"
    build(path, plan_of(*found), store)
    archive = SalvageArchive.open(path)
    with pytest.raises(SalvageError, match="has no record"):
        archive.image(found[0].reference, AMD64, [])
    assert archive.sbom({}) is None

    build(path, plan_of(*found), store, inputs(store, *found))
    archive = SalvageArchive.open(path)
    init = found[1]
    other = "sha256:" + "1" * 64
    for name, platform, known, why in (
        (INIT, ARM64, [], "is for amd64, not for arm64"),
        ("test/none:1", AMD64, [], "has nothing of docker.io/test/none:1"),
        ("test/init:2", AMD64, [], f"has nothing of docker.io/test/init:2, but of {INIT}"),
        (INIT, AMD64, [other], f"has {INIT} as {init.digest}, and {other} is wanted"),
    ):
        with pytest.raises(SalvageError) as caught:
            archive.image(Reference.parse(name), platform, known)
        assert str(caught.value) == why
    assert archive.sbom({}) is None


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"shell", "init[0]"),
        (b"ggggg", "services[0]"),
        (b"vmlinuz", "kernel"),
        (b"loadable", "kernel.tar"),
    ],
)
def test_a_damaged_piece_is_noticed(
    images: tuple[Store, Image, Image, Image], tmp_path: Path, text: bytes, what: str
) -> None:
    store, *found = images
    path = tmp_path / "x.tar"
    build(path, plan_of(*found), store, inputs(store, *found))
    data = path.read_bytes()
    at = data.index(text)
    path.write_bytes(data[:at] + b"?" + data[at + 1 :])
    archive = SalvageArchive.open(path)
    refused = []
    for one in found:
        try:
            archive.image(one.reference, AMD64, [])
        except SalvageError as error:
            refused.append(str(error))
    (reason,) = refused
    assert reason.startswith("is damaged: its content of ")
    assert what in reason


def test_a_tar_that_ends_early_is_damaged(
    images: tuple[Store, Image, Image, Image], tmp_path: Path
) -> None:
    store, *found = images
    path = tmp_path / "x.tar"
    build(path, plan_of(*found), store, inputs(store, *found))
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(SalvageError, match="is damaged: the archive is cut off"):
        SalvageArchive.open(path).image(found[0].reference, AMD64, [])


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "it is too short"), (b"x" * 511, "it is too short"), (b"x" * 512, "checksum")],
)
def test_a_file_that_is_no_tar_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=why):
        SalvageArchive.open(path)
    with pytest.raises(DolmenError, match="gone"):
        SalvageArchive.open(tmp_path / "gone.tar")


@pytest.mark.parametrize(
    "text", [b"{", b"[]", b"{}", b"[" * 200_000, b"null", b'{"images": "\xff"}']
)
def test_a_record_that_is_no_record_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(global_comment(b"dolmen:1 " + text) + tar([E("a")]))
    with pytest.raises(UsageError, match="its record is broken"):
        SalvageArchive.open(path)
    # The comment of another tool is no record.
    path.write_bytes(global_comment(b"dolmen:2 " + text) + tar([E("a")]))
    assert SalvageArchive.open(path).record is None


def test_a_record_has_a_limit_and_is_ignored_by_others(
    images: tuple[Store, Image, Image, Image], tmp_path: Path
) -> None:
    store, *found = images
    path = tmp_path / "x.tar"
    origins = inputs(store, *found)
    build(path, plan_of(*found), store, origins)
    with tarfile.open(path) as archive:
        names = archive.getnames()
    assert SalvageArchive.open(path).record is not None
    large = replace(origins, documents=[*origins.documents, "x" * (960 << 10)])
    build(path, plan_of(*found), store, large)
    assert SalvageArchive.open(path).record is None
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as archive:
        assert archive.getnames() == names
