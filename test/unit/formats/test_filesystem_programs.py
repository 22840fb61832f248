"""The programs that make filesystems: their arguments and input, and what their failure says."""

from __future__ import annotations

import io
import json
import sys
import tarfile
import textwrap
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pytest

from assembler.encode.assembly import Assembly
from assembler.encode.compression import Compression
from assembler.encode.early_initrd import MODULE_LIST
from assembler.encode.encode_options import EncodeOptions
from assembler.errors import DolmenError, HostError, OutputError
from assembler.formats import (
    FormatOptions,
    Target,
    filesystem_programs,
    filesystems,
    select_formats,
)
from assembler.helper_images import HelperImages
from assembler.rootfs.plan import STANDARD_TIME
from support.archives import E, image, tar
from support.cpio import archives_of
from support.formats import CMDLINE, FILES, LINKS, SYSTEM, YAML, SmallSystem
from support.programs import kernel
from support.systems import loaded, planned

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.formats.merged_tar import MergedTar
    from assembler.helper_images import HelperImages

PROGRAM = """
import json, os, sys
out = next(a for a in sys.argv[1:] if a.startswith("/proc/self/fd/") or "/dolmen-" in a)
data = sys.stdin.buffer.read()
with open(out, "wb") as file:
    file.write(b"filesystem")
with open({record!r}, "wb") as file:
    file.write(json.dumps([sys.argv[1:], dict(os.environ)]).encode() + b"\\n" + data)
{more}
"""


@dataclass(frozen=True)
class _Programs:
    """Has one program for all names."""

    command_line: tuple[str, ...]

    @contextmanager
    def command(self, _program: str) -> Iterator[tuple[str, ...]]:
        yield self.command_line


@dataclass(frozen=True)
class _Helpers:
    """Has no images, only the programs."""

    filesystem_tools: _Programs


@dataclass(frozen=True)
class Made:
    """What a program was given."""

    arguments: list[str]
    environment: dict[str, str]
    tar: bytes


def make(
    system: SmallSystem,
    folder: Path,
    name: str,
    compression: str = "zstd:7",
    more: str = "",
    yaml: str = YAML,
    roles: tuple[str, ...] = ("root", "kernel", "cmdline"),
) -> Made:
    """Write a format with a program that records what it is given."""
    record = folder / "record"
    program = textwrap.dedent(PROGRAM).format(record=str(record), more=more)
    tools = _Programs((sys.executable, "-S", "-c", program))
    options = FormatOptions(helpers=cast("HelperImages", _Helpers(tools)))
    plan = planned(loaded(yaml), system.store)
    encoding = EncodeOptions(Compression.parse(compression), jobs=3)
    with Assembly(plan, system.store, encoding) as assembly:
        (chosen,) = select_formats([name])
        outputs = chosen.write(assembly, Target(folder, "os"), options)
    assert tuple(o.role for o in outputs) == roles
    assert outputs[0].size == len(b"filesystem")
    arguments, environment = json.loads(record.read_bytes().partition(b"\n")[0])
    return Made(arguments, environment, record.read_bytes().partition(b"\n")[2])


COMMON = {
    "squashfs": [
        *("-", "OUT", "-tar", "-noappend", "-no-progress", "-quiet", "-exit-on-error"),
        *("-root-mode", "0755", "-root-uid", "0", "-root-gid", "0"),
        *("-root-time", str(STANDARD_TIME), "-mkfs-time", str(STANDARD_TIME)),
        *("-processors", "3", "-mem", "256M"),
    ],
    "erofs": [
        "--tar=f",
        "--quiet",
        "-T",
        str(STANDARD_TIME),
        "--mkfs-time",
        "-U",
        "UUID",
        "-b4096",
    ],
}


@pytest.mark.parametrize(
    ("kind", "compression", "how"),
    [
        ("squashfs", "gzip:6", ["-comp", "gzip", "-Xcompression-level", "6"]),
        ("squashfs", "zstd:7", ["-comp", "zstd", "-Xcompression-level", "7"]),
        ("squashfs", "xz", ["-comp", "xz"]),
        ("squashfs", "lz4:1", ["-comp", "lz4"]),
        ("squashfs", "lz4:2", ["-comp", "lz4", "-Xhc"]),
        ("squashfs", "none", ["-noI", "-noD", "-noF", "-noX"]),
        ("erofs", "gzip:6", ["-zlz4"]),
        ("erofs", "zstd:7", ["-zzstd,level=7"]),
        ("erofs", "xz:3", ["-zlzma,level=3"]),
        ("erofs", "lz4:1", ["-zlz4"]),
        ("erofs", "lz4:2", ["-zlz4hc,level=2"]),
        ("erofs", "none", []),
    ],
)
def test_the_program_gets_the_compression_and_nothing_of_the_environment(
    system: SmallSystem,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    compression: str,
    how: list[str],
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "5")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    made = make(system, tmp_path, f"kernel+{kind}", compression)
    (out,) = [a for a in made.arguments if a.startswith("/proc/self/fd/")]
    found = ["OUT" if a == out else a for a in made.arguments]
    if kind == "erofs":
        at = found.index("-U") + 1
        # The UUID is that of the tree, so it is the same in each build.
        again = make(system, tmp_path, f"kernel+{kind}", compression)
        assert again.arguments[at] == found[at]
        assert len(found[at]) == 36
        found[at] = "UUID"
        assert found == [*COMMON[kind], "--workers=3", *how, "OUT"]
    else:
        assert found == [*COMMON[kind], *how]
    environment = {
        k: v for k, v in made.environment.items() if not k.startswith(("__", "LC_CTYPE"))
    }
    assert environment == {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def test_the_program_gets_each_path_of_the_tree_once(system: SmallSystem, tmp_path: Path) -> None:
    made = make(system, tmp_path, "kernel+squashfs")
    with tarfile.open(fileobj=io.BytesIO(made.tar)) as archive:
        members = {member.name: member for member in archive}
        assert len(members) == len(archive.getnames())
        for name, content in FILES.items():
            file = archive.extractfile(name)
            assert file is not None
            assert file.read() == content
    assert {name: members[name].linkname for name in LINKS} == LINKS
    # The kernel and its command line are files beside the filesystem.
    assert not any(name.startswith("boot/") for name in members)
    assert (tmp_path / "os-cmdline").read_text() == CMDLINE
    assert (tmp_path / "os-squashfs.img").read_bytes() == b"filesystem"


def test_many_files_are_not_compared_with_each_other(
    system: SmallSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "-no-duplicates" not in make(system, tmp_path, "kernel+squashfs").arguments
    monkeypatch.setattr("assembler.formats.filesystems._MAX_COMPARED", 5)
    assert make(system, tmp_path, "kernel+squashfs").arguments[-1] == "-no-duplicates"


@pytest.mark.parametrize(
    ("more", "kind", "message"),
    [
        ("sys.exit(3)", OutputError, "mksquashfs failed:\nit ended with status 3"),
        (
            "print(*range(9), sep='\\n', file=sys.stderr); sys.exit('  bad ')",
            OutputError,
            "mksquashfs failed:\n5\n6\n7\n8\nbad",
        ),
        (
            "sys.exit('FATAL: No space left on device')",
            HostError,
            "cannot write {path}: mksquashfs failed:\nFATAL: No space left on device\nthe disk of ",
        ),
    ],
)
def test_a_program_that_fails_is_reported_with_its_last_words(
    system: SmallSystem, tmp_path: Path, more: str, kind: type[DolmenError], message: str
) -> None:
    with pytest.raises(kind) as caught:
        make(system, tmp_path, "kernel+squashfs", more=more)
    path = tmp_path / "os-squashfs.img"
    first = caught.value.diagnostics[0].message
    # The directory and its free space follow the message of a full disk.
    assert (first[: len(message.format(path=path))] if kind is HostError else first) == (
        message.format(path=path)
    )
    assert not path.exists()


@pytest.mark.parametrize("size", [1, 20_000, 1_000_001])
def test_a_program_that_does_not_read_its_input_is_reported(
    system: SmallSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """It has ended before the first byte is written."""
    feed = filesystem_programs._feed_tar

    def late(process: subprocess.Popen[bytes], tree: MergedTar) -> None:
        process.wait()
        feed(process, tree)

    monkeypatch.setattr(filesystem_programs, "_feed_tar", late)
    files = [E("init", b"x"), E("large", bytes(size)), *(E(f"{n}", b"1") for n in range(50))]
    image(system.store, "test/large:1", files)
    tools = _Programs((sys.executable, "-S", "-c", "import sys; sys.exit('no such option')"))
    options = FormatOptions(helpers=cast("HelperImages", _Helpers(tools)))
    (chosen,) = select_formats(["kernel+erofs"])
    yaml = YAML.replace(SYSTEM, "test/large:1")
    with system.assembly(yaml) as assembly, pytest.raises(OutputError) as caught:
        chosen.write(assembly, Target(tmp_path, "os"), options)
    assert caught.value.diagnostics[0].message == "mkfs.erofs failed:\nno such option"


V = "usr/lib/modules/6.1"


def with_modules(system: SmallSystem, *files: E) -> str:
    """Return the YAML of a system whose init mounts a root filesystem with modules."""
    init = (E("init", b"program", mode=0o755), E(MODULE_LIST, b"virtio_blk\n"))
    image(system.store, "test/early:1", init)
    image(system.store, "test/modular:1", [E("kernel", kernel()), E("kernel.tar", tar(files))])
    return 'kernel: {image: "test/modular:1", cmdline: "x"}\ninit: ["test/early:1"]\n'


def test_a_small_initrd_has_the_modules_that_mount_the_filesystem(
    system: SmallSystem, tmp_path: Path
) -> None:
    yaml = with_modules(
        system,
        E(f"{V}/kernel/virtio_blk.ko", b"blk"),
        E(f"{V}/kernel/squashfs.ko", b"squash"),
        E(f"{V}/modules.dep", b"kernel/virtio_blk.ko:\nkernel/squashfs.ko:\n"),
        E(f"{V}/modules.builtin", b"kernel/ext4.ko\n"),
    )
    make(
        system,
        tmp_path,
        "kernel+squashfs",
        yaml=yaml,
        roles=("root", "kernel", "cmdline", "initrd"),
    )
    data = (tmp_path / "os-squashfs-initrd.img").read_bytes()
    found = {entry.name: entry.data for archive in archives_of(data) for entry in archive}
    assert found["init"] == b"program"
    assert {n for n in found if n.endswith(".ko")} == {
        f"{V}/kernel/virtio_blk.ko",
        f"{V}/kernel/squashfs.ko",
    }


def test_a_kernel_without_the_filesystem_is_refused(system: SmallSystem, tmp_path: Path) -> None:
    yaml = with_modules(system, E(f"{V}/modules.dep", b""), E(f"{V}/modules.builtin", b"x/ext4.ko"))
    with pytest.raises(OutputError) as caught:
        make(system, tmp_path, "kernel+erofs", yaml=yaml)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.message == "the kernel has no erofs, neither built in nor as a module"
    assert str(diagnostic.place) == "image.yml:1:17"
    assert not list(tmp_path.iterdir())


def test_an_initrd_without_modules_is_left_out(system: SmallSystem, tmp_path: Path) -> None:
    yaml = with_modules(
        system, E(f"{V}/modules.dep", b""), E(f"{V}/modules.builtin", b"x/erofs.ko")
    )
    make(system, tmp_path, "kernel+erofs", yaml=yaml)


@pytest.mark.parametrize("kind", ["squashfs", "erofs"])
def test_without_proc_the_program_writes_a_scratch_file(
    system: SmallSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    usual = make(system, tmp_path, f"kernel+{kind}")
    written = sorted((p.name, p.read_bytes()) for p in tmp_path.glob("os*"))
    monkeypatch.setattr(filesystems, "descriptor_path", lambda _handle: None)
    made = make(system, tmp_path, f"kernel+{kind}")

    (out,) = [a for a in made.arguments if "/dolmen-" in a]
    assert made.tar == usual.tar
    assert [a for a in made.arguments if a != out] == [
        a for a in usual.arguments if not a.startswith("/proc/")
    ]
    assert sorted((p.name, p.read_bytes()) for p in tmp_path.glob("os*")) == written
    # Nothing else is left.
    assert not [p for p in tmp_path.iterdir() if p.name.startswith((".", "dolmen-"))]
