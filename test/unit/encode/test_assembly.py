"""A plan becomes a tar, an initrd and the files of boot loaders, through segments that are kept."""

from __future__ import annotations

import gzip
import random
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.codes import images as image_codes
from assembler.codes import output as codes
from assembler.content import read_content
from assembler.encode import automatic_compression
from assembler.encode.assembly import Assembly
from assembler.encode.compression import Compression
from assembler.encode.encode_options import EncodeOptions
from assembler.errors import ConfigError, DolmenError, ImageError, LayerError, OutputError
from assembler.events import EventRecorder, LogMessage, TaskAdvanced, WarningEmitted
from assembler.oci.store import Store
from assembler.rootfs.plan import (
    ArchiveTree,
    BootSpec,
    EntryKind,
    GeneratedEntry,
    GeneratedPart,
    ImageMember,
    ImageTree,
    LocalFile,
    MergedPackageDatabase,
    Origin,
    Plan,
    StoreBlob,
    TreeRules,
    leading_directories,
)
from support.archives import E, directory, hardlink, image, symlink, tar
from support.cpio import Found, archives_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assembler.oci.image import Image

ROOT = [
    directory("bin"),
    directory("opt", 0o750),
    E("bin/sh", b"shell", mode=0o755),
    E("etc/hosts", b"theirs"),
    E("big", b"b" * 5000),
]
SERVICE = [E("run", b"service"), symlink("link", "run"), E("boot/notes", b"n")]
KERNEL = [
    E("kernel", b"vmlinuz" * 100, mode=0o640),
    E(
        "kernel.tar",
        tar([E("lib/modules/m.ko", b"module"), E("boot/map", b"map"), E("./boot/dot")]),
    ),
    E("ucode.cpio", b"070701" + bytes(50)),
]
CONFIG = b"# CONFIG_RD_LZ4 is not set\nCONFIG_RD_GZIP=y\nCONFIG_RD_XZ=m\nCONFIG_RD_ZSTD=y\r\n"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Give an empty store."""
    return Store(tmp_path / "store")


def tree(
    found: Image, location: str, prefix: str = "", rules: TreeRules = TreeRules.ROOT
) -> ImageTree:
    return ImageTree(Origin(str(found.reference), location), found, prefix, rules)


def file(path: str, content: bytes = b"", mode: int = 0o644) -> GeneratedEntry:
    return GeneratedEntry(path, EntryKind.FILE, mode, content)


def whole_plan(store: Store, *more: E) -> Plan:
    """Return a plan with parts of all kinds."""
    kernel = image(store, "test/kernel:1", [*KERNEL, *more])
    init = image(store, "test/init:1", ROOT)
    service = image(store, "test/service:1", SERVICE)
    boot = BootSpec(
        ImageMember(kernel, "kernel", purpose="kernel"),
        "console=ttyS0",
        ImageMember(kernel, "ucode.cpio", purpose="microcode"),
    )
    prefix = "containers/services/s/lower/"
    made = (
        *leading_directories("etc/dolmen"),
        file("etc/dolmen/one", b"1"),
        *leading_directories("opt"),
        file("opt/x"),
        GeneratedEntry("etc/dolmen/link", EntryKind.SYMLINK, 0o777, target="one"),
        file("boot/cmdline", b"console=ttyS0"),
    )
    return Plan(
        "amd64",
        (
            ArchiveTree(Origin("test/kernel:1", "kernel"), kernel, "kernel.tar"),
            tree(init, "init[0]"),
            GeneratedPart(
                Origin("image.yml", "services[0]"), leading_directories(prefix.rstrip("/"))
            ),
            tree(service, "services[0]", prefix, TreeRules.CONTAINER),
            GeneratedPart(Origin("image.yml", "files"), made),
        ),
        boot,
    )


def as_tar(assembly: Assembly, tmp_path: Path) -> list[tarfile.TarInfo]:
    path = tmp_path / "out.tar"
    with path.open("wb") as out:
        assembly.write_tree(out)
    with tarfile.open(path) as archive:
        return archive.getmembers()


def entries(data: bytes) -> list[Found]:
    return [entry for archive in archives_of(data) for entry in archive]


def test_a_tar_has_the_parts_in_their_order(store: Store, tmp_path: Path) -> None:
    with Assembly(whole_plan(store), store) as assembly:
        members = as_tar(assembly, tmp_path)
    names = [member.name for member in members]
    prefix = "containers/services/s/lower"
    assert names[:2] == ["lib/modules/m.ko", "boot/map"]
    assert names.index("bin/sh") < names.index("etc/hosts") < names.index(prefix)
    assert names.index(f"{prefix}/run") < names.index("etc/dolmen/one")
    # The image has etc: the directory is not written once more.
    assert names.count("etc") == names.count("opt") == 1
    last = ["etc/dolmen", "etc/dolmen/one", "opt/x", "etc/dolmen/link", "boot/cmdline"]
    assert names[-5:] == last
    by_name = {member.name: member for member in members}
    assert by_name["bin/sh"].mode == 0o755
    assert by_name["bin/sh"].pax_headers["comment"] == "init[0] docker.io/test/init:1"
    assert by_name["etc/dolmen/one"].pax_headers["comment"] == "files image.yml"
    # Rules of the tree: standard hosts, and a resolver only at boot.
    assert by_name["etc/hosts"].size > len(b"theirs")
    assert by_name["etc/resolv.conf"].linkname == "/run/resolvconf/resolv.conf"
    assert by_name[f"{prefix}/etc/resolv.conf"].isreg()


@pytest.mark.parametrize("rules", list(TreeRules))
def test_the_tree_of_an_image_is_changed_by_the_rules(
    store: Store, tmp_path: Path, rules: TreeRules
) -> None:
    entries = [
        directory("dev"),
        E("dev/console"),
        E("dev/kept"),
        directory("etc", 0o700),
        E("etc/hostname", b"h"),
        E("etc/mtab", b"theirs"),
        E("etc/resolv.conf", b"theirs"),
        E("Dockerfile"),
        directory("proc", 0o700),
        E("proc/1"),
    ]
    plan = Plan("amd64", (tree(image(store, "test/x:1", entries), "init[0]", "", rules),))
    with Assembly(plan, store) as assembly:
        found = {m.name: (m.mode, m.linkname, m.size) for m in as_tar(assembly, tmp_path)}
    resolver = (0o777, "/run/resolvconf/resolv.conf", 0)
    if rules is TreeRules.CONTAINER:
        resolver = (0o644, "", len("\n# no resolv.conf configured\n"))
    assert found.pop("etc/hosts")[:2] == (0o644, "")
    assert found == {
        "dev": (0o755, "", 0),
        "dev/kept": (0o644, "", 0),
        "dev/pts": (0o755, "", 0),
        "dev/shm": (0o755, "", 0),
        "etc": (0o700, "", 0),
        "etc/mtab": (0o644, "", 6),
        "etc/resolv.conf": resolver,
        "proc": (0o755, "", 0),
        "proc/1": (0o644, "", 0),
        "sys": (0o755, "", 0),
    }


def test_directories_that_are_links_get_nothing(store: Store, tmp_path: Path) -> None:
    """Their targets belong to the image."""
    entries = [symlink("etc", "usr/etc"), E("usr/etc/passwd"), symlink("dev", "x")]
    plan = Plan("amd64", (tree(image(store, "test/x:1", entries), "init[0]"),))
    with Assembly(plan, store) as assembly:
        names = [member.name for member in as_tar(assembly, tmp_path)]
    assert names == ["etc", "usr/etc/passwd", "dev", "proc", "sys"]


@pytest.mark.parametrize("codec", ["gzip", "gzip:9", "none", "zstd", "lz4", "xz"])
def test_an_initrd_has_the_same_files_without_those_of_boot_loaders(
    store: Store, codec: str
) -> None:
    options = EncodeOptions(Compression.parse(codec), jobs=1)
    with Assembly(whole_plan(store), store, options) as assembly:
        data = read_content(assembly.initrd(ucode=False))
        again = read_content(assembly.initrd(ucode=False))
    assert data == again
    found = {entry.name: entry for entry in entries(data)}
    assert not any(name.startswith("boot") for name in found)
    prefix = "containers/services/s/lower"
    for name, content in (
        ("bin/sh", b"shell"),
        ("lib/modules/m.ko", b"module"),
        (f"{prefix}/run", b"service"),
        (f"{prefix}/boot/notes", b"n"),
        ("etc/dolmen/one", b"1"),
        ("etc/dolmen/link", b"one"),
        ("big", b"b" * 5000),
    ):
        assert found[name].data == content
    names = [entry.name for entry in entries(data)]
    assert len(names) == len(set(names))
    system = (
        "dev",
        "dev/pts",
        "dev/shm",
        "etc",
        "etc/hosts",
        "etc/mtab",
        "etc/resolv.conf",
        "proc",
        "sys",
    )
    assert set(names) == {
        *("lib", "lib/modules", "lib/modules/m.ko", "bin", "bin/sh", "big", *system),
        *("containers", "containers/services", "containers/services/s", prefix),
        *(f"{prefix}/{name}" for name in ("run", "link", "boot", "boot/notes", *system)),
        *("etc/dolmen", "etc/dolmen/one", "etc/dolmen/link", "opt", "opt/x"),
    }
    # The kernel creates no parents: each comes before what is in it.
    for number, name in enumerate(names):
        parent = name.rpartition("/")[0]
        assert not parent or parent in names[:number]


@pytest.mark.parametrize(
    ("config", "magic"),
    [
        (CONFIG, b"\x28\xb5\x2f\xfd"),
        (b"CONFIG_RD_GZIP=y\nCONFIG_RD_ZSTD=m\n", b"\x1f\x8b"),
        (b"", b"\x1f\x8b"),
        (None, b"\x1f\x8b"),
    ],
    ids=["zstd is built in", "zstd is not", "nothing is known", "no configuration"],
)
def test_the_kernel_decides_on_the_compression(
    store: Store, config: bytes | None, magic: bytes
) -> None:
    more = () if config is None else (E("kernel_config", config),)
    plan = whole_plan(store, *more)
    options = EncodeOptions(is_automatic=True)
    with Assembly(plan, store, options) as assembly:
        data = read_content(assembly.initrd(ucode=False))
        found = {entry.name for entry in entries(data)}
    assert data.startswith(magic)
    assert {"bin/sh", "lib/modules/m.ko", "containers/services/s/lower/run"} <= found


def test_small_images_are_compressed_better(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(1)
    words = [chance.randbytes(chance.randint(2, 9)) for _ in range(3000)]
    content = b" ".join(chance.choices(words, k=200_000))
    plan = whole_plan(store, E("kernel_config", CONFIG))
    text = image(store, "test/text:1", [E("text", content)])
    plan = replace(plan, parts=(*plan.parts, tree(text, "init[1]")))
    sizes = []
    for limit in (16 << 20, 0):
        monkeypatch.setattr(automatic_compression, "_SMALL_IMAGE", limit)
        with Assembly(plan, store, EncodeOptions(is_automatic=True)) as assembly:
            sizes.append(assembly.initrd().size)
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_microcode_comes_before_the_archives(store: Store, codec: str) -> None:
    options = EncodeOptions(Compression.parse(codec))
    with Assembly(whole_plan(store), store, options) as assembly:
        data = read_content(assembly.initrd())
        without = read_content(assembly.initrd(ucode=False))
    assert data[:6] == b"070701"
    assert data[:4096] == (b"070701" + bytes(50)).ljust(4096, b"\0")
    assert data[4096:] == without
    # Archives that cannot be joined begin where filesystems have blocks.
    if codec == "zstd":
        magic = b"\x28\xb5\x2f\xfd"
        starts = [at for at in range(0, len(without), 4096) if without[at : at + 4] == magic]
        # The last one has the trailer only.
        assert len(starts) == len(list(archives_of(without))) + 1 > 2
        assert not len(without) % 4096
    else:
        assert len(list(archives_of(without))) == 1


def test_segments_are_kept_from_one_assembly_to_the_next(store: Store, tmp_path: Path) -> None:
    plan = whole_plan(store)
    before = len(list(Path("/proc/self/fd").iterdir()))
    reports = []
    members = []
    for jobs in (1, 3):
        recorder = EventRecorder()
        with Assembly(plan, store, EncodeOptions(jobs=jobs), recorder) as assembly:
            members.append([m.get_info() for m in as_tar(assembly, tmp_path)])
            as_tar(assembly, tmp_path)
        logged = [e for e in recorder.events if isinstance(e, LogMessage)]
        assert [e.level for e in logged] == [1, *([2] * (len(logged) - 1))]
        reports.append([e.message for e in logged])
        if jobs == 1:
            # The largest image is first: others fit beside the end of its work.
            advances = [e.done for e in recorder.events if isinstance(e, TaskAdvanced)]
            largest = max(p.image.layer_bytes for p in plan.parts if isinstance(p, ImageTree))
            assert advances[0] >= largest
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    # Each part is reported once; the file of the kernel image comes last.
    assert reports[0][0] == "0 of 3 parts are in the cache, 3 to make"
    assert [text.partition(",")[0] for text in reports[0][1:3]] == [
        "made: init[0] docker.io/test/init:1 as tar",
        "made: services[0] docker.io/test/service:1 as tar",
    ]
    assert len(reports[0]) == 4
    assert reports[1][0].startswith("2 of 2 parts are in the cache, 0 to make")
    assert members[0] == members[1]
    assert all(path.stat().st_size for path in store.layout.segments.iterdir())


def test_a_store_without_room_for_segments_is_used_all_the_same(
    store: Store, tmp_path: Path
) -> None:
    plan = whole_plan(store)
    store.layout.segments.write_bytes(b"not a directory")
    recorder = EventRecorder()
    with Assembly(plan, store, EncodeOptions(jobs=2), recorder) as assembly:
        names = [member.name for member in as_tar(assembly, tmp_path)]
        assert assembly.kernel() is not None
    assert "bin/sh" in names
    texts = [e.message for e in recorder.events if isinstance(e, LogMessage)]
    assert f"{store.layout.segments} cannot be written to: nothing is kept" in texts
    assert store.layout.segments.read_bytes() == b"not a directory"


def test_the_kernel_and_the_microcode_are_files(store: Store) -> None:
    plan = whole_plan(store)
    with Assembly(plan, store) as assembly:
        kernel, ucode = assembly.kernel(), assembly.ucode()
        assert kernel is not None
        assert ucode is not None
        assert (read_content(kernel.content), kernel.mode) == (b"vmlinuz" * 100, 0o640)
        assert read_content(ucode.content) == b"070701" + bytes(50)
        assert assembly.cmdline == "console=ttyS0"
    with Assembly(Plan("amd64", plan.parts), store) as assembly:
        assert assembly.kernel() is None
        assert assembly.ucode() is None
        assert assembly.cmdline == ""


def member(store: Store, layers: Iterable[list[E]], name: str = "kernel") -> bytes:
    """Return the content of a file of an image that serves as kernel."""
    found = image(store, "test/kernel:1", *layers)
    plan = Plan("amd64", (), BootSpec(ImageMember(found, name, purpose="kernel"), ""))
    with Assembly(plan, store) as assembly:
        kernel = assembly.kernel()
        assert kernel is not None
        return read_content(kernel.content)


@pytest.mark.parametrize(
    "layers",
    [
        [[E("kernel", b"old")], [E("kernel", b"k")]],
        # The last entry of a path counts: what was taken before it is dropped.
        [[E("kernel", b"old"), E("a"), E("kernel", b"k")]],
        [[E("lib/vmlinuz", b"k"), symlink("kernel", "lib/vmlinuz")]],
        [[symlink("kernel", "/a/b"), symlink("a/b", "../c"), E("c", b"k")]],
        [[E("a", b"k"), hardlink("kernel", "a")]],
        [[E("a", b"k")], [symlink("kernel", "./x/../a")]],
    ],
)
def test_the_kernel_is_found_behind_links(store: Store, layers: list[list[E]]) -> None:
    assert member(store, layers) == b"k"


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([E("bzImage", b"k"), E("sub/kernel", b"k")], "bzImage"),
        ([directory("kernel")], "a directory"),
        ([E("kernel", type=tarfile.FIFOTYPE)], "a device"),
        ([symlink("kernel", "gone")], "a dangling link"),
    ],
)
def test_a_kernel_that_is_no_file_is_refused(store: Store, entries: list[E], words: str) -> None:
    with pytest.raises(DolmenError) as caught:
        member(store, [entries])
    assert words in str(caught.value)


def unknown(name: str) -> bytes:
    """Return an archive of an entry of a type that no archive has."""
    block = bytearray(tar([E(name)])[:512])
    block[156:157] = b"Q"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def test_links_in_a_circle_end(store: Store) -> None:
    with pytest.raises(DolmenError):
        member(store, [[symlink("kernel", "a"), symlink("a", "kernel")]])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            gzip.compress(tar([E("a")]), mtime=0),
            "kernel.tar is compressed with gzip; it must be a plain tar",
        ),
        (b"\xfd7zXZ\0", "compressed with xz"),
        (tar([E("a"), E("../b")]), "entry ../b: it would leave the root directory"),
        (tar([E("a")])[:512] + unknown("b"), "entry b: it is of the unknown type"),
        (tar([E("a", b"1" * 600)])[:700], "cut off"),
    ],
)
def test_modules_that_are_no_tar_are_refused(store: Store, content: bytes, words: str) -> None:
    kernel = image(store, "test/kernel:1", [E("kernel.tar", content)])
    part = ArchiveTree(Origin("test/kernel:1", "kernel"), kernel, "kernel.tar")
    with Assembly(Plan("amd64", (part,)), store) as assembly, pytest.raises(LayerError) as caught:
        assembly.prepare(tree=True)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("codec", "config", "hint"),
    [
        ("gzip", CONFIG, None),
        ("zstd", CONFIG, None),
        ("none", CONFIG, None),
        ("lz4", b"no options", None),
        ("lz4", CONFIG, "use `--compression gzip`"),
        ("xz", CONFIG, "use `--compression gzip`"),
        ("gzip", b"CONFIG_X=y\n", "use `--compression none`"),
    ],
)
@pytest.mark.parametrize("name", ["kernel_config", "kernel-config", "config"])
def test_a_kernel_that_cannot_unpack_the_initrd_is_refused(
    store: Store, codec: str, config: bytes, hint: str | None, name: str
) -> None:
    plan = whole_plan(store, E(name, config))
    options = EncodeOptions(Compression.parse(codec))
    with Assembly(plan, store, options) as assembly:
        assembly.prepare(tree=True)
        if hint is None:
            assembly.prepare(initrd=True)
            return
        with pytest.raises(OutputError) as caught:
            assembly.prepare(initrd=True)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code is codes.CANNOT_UNPACK
    option = f"CONFIG_RD_{codec.upper()}"
    reason = f"cannot unpack {codec}: {option} is not set in {name}"
    assert diagnostic.message == f"the kernel of docker.io/test/kernel:1 {reason}"
    assert diagnostic.hints == (hint,)


def test_lost_capabilities_give_one_warning(store: Store) -> None:
    pax = {"SCHILY.xattr.security.capability": "x"}
    files = [E(f"bin/{name}", b"1", pax=pax) for name in ("ping", "a", "b", "c", "d", "e")]
    found = image(store, "test/init:1", files, [E("x", pax={"SCHILY.xattr.user.a": "1"})])
    recorder = EventRecorder()
    with Assembly(Plan("amd64", (tree(found, "init[0]"),)), store, None, recorder) as assembly:
        assembly.initrd()
        assembly.initrd(ucode=False)
    (warning,) = [e.diagnostic for e in recorder.events if isinstance(e, WarningEmitted)]
    assert warning.code is codes.LOST_ATTRIBUTES
    assert warning.message == (
        "file capabilities are lost in the initrd: bin/ping, bin/a, bin/b and 3 more"
    )


def test_package_databases_of_several_images_are_joined(store: Store, tmp_path: Path) -> None:
    path = "lib/apk/db/installed"
    one = image(store, "test/one:1", [E(path, b"P:one")])
    two = image(store, "test/two:1", [E(path, b"P:two"), E("f")])
    three = image(store, "test/three:1", [E("g")])
    # An image that is there twice has one database.
    init = (one, two, three, one)
    trees = tuple(tree(found, f"init[{n}]") for n, found in enumerate(init))
    for images_of, expected in (
        ((one, two, three), b"P:one\n\nP:two\n\n"),
        ((one, three), None),
    ):
        database = MergedPackageDatabase(Origin("dolmen", "init"), images_of, path)
        plan = Plan("amd64", (*trees, database))
        with Assembly(plan, store) as assembly:
            found = [e.data for e in entries(read_content(assembly.initrd())) if e.name == path]
            members = [m for m in as_tar(assembly, tmp_path) if m.name == path]
        assert found == [b"P:one", b"P:two", b"P:one", *([expected] if expected else [])]
        assert len(members) == len(found)
        assert {m.mode for m in members} == {0o644}


def test_generated_files_have_their_content_from_everywhere(store: Store, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(b"l" * 70_000)
    blob = store.add_bytes(b"blob")
    kernel = image(store, "test/kernel:1", KERNEL)
    boot = BootSpec(ImageMember(kernel, "kernel"), "")
    made = tuple(
        GeneratedEntry(name, EntryKind.FILE, 0o600, content)
        for name, content in (
            ("a/local", LocalFile(local, 70_000)),
            ("a/blob", StoreBlob(blob)),
            ("a/member", boot.kernel),
            ("a/bytes", b"bytes"),
        )
    )
    plan = Plan("amd64", (GeneratedPart(Origin("image.yml", "files"), made),), boot)
    with Assembly(plan, store) as assembly:
        path = tmp_path / "out.tar"
        with path.open("wb") as out:
            assembly.write_tree(out)
        found = {e.name: (e.mode & 0o777, e.data) for e in entries(read_content(assembly.initrd()))}
    expected = {
        "a/local": (0o600, b"l" * 70_000),
        "a/blob": (0o600, b"blob"),
        # A file of an image keeps its mode.
        "a/member": (0o640, b"vmlinuz" * 100),
        "a/bytes": (0o600, b"bytes"),
    }
    assert found == {"a": (0o755, b""), **expected}
    with tarfile.open(path) as archive:
        for item in archive:
            extracted = archive.extractfile(item)
            assert extracted is not None
            assert (item.mode, extracted.read()) == expected[item.name]


def test_a_file_that_changes_during_the_build_is_refused(store: Store, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(b"longer")
    entry = GeneratedEntry("a", EntryKind.FILE, 0o644, LocalFile(local, 5))
    plan = Plan("amd64", (GeneratedPart(Origin("image.yml", "files"), (entry,)),))
    with Assembly(plan, store) as assembly, pytest.raises(OutputError) as caught:
        assembly.initrd()
    assert caught.value.diagnostics[0].code is codes.SOURCE_CHANGED


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_damaged_layer_is_told_from_a_broken_one(store: Store, jobs: int) -> None:
    good, broken = image(store, "test/good:1", ROOT), image(store, "test/broken:1", b"nothing" * 90)
    other = image(store, "test/other:1", SERVICE)
    layer = good.manifest.layers[0]
    path = store.path(layer.digest)
    path.write_bytes(path.read_bytes()[:-5] + b"wrong")
    for found, expected in ((broken, LayerError), (good, ImageError)):
        plan = Plan("amd64", (tree(found, "init[0]"), tree(other, "init[1]")))
        with (
            Assembly(plan, store, EncodeOptions(jobs=jobs)) as assembly,
            pytest.raises(expected) as caught,
        ):
            assembly.prepare(tree=True)
        assert not isinstance(caught.value, ConfigError)
    assert caught.value.diagnostics[0].code == image_codes.CORRUPT_BLOB
    assert not path.exists()
    assert [p.read_bytes()[-5:] for p in store.layout.quarantine.rglob("*") if p.is_file()] == [
        b"wrong"
    ]
