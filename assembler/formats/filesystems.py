"""Kernel, command line, and the root filesystem as squashfs or erofs."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from assembler.codes import output as codes
from assembler.content import FileRange, write_content
from assembler.descriptors import descriptor_path
from assembler.encode import parse_kernel_config
from assembler.errors import OutputError
from assembler.events import task
from assembler.formats.filesystem_programs import run_with_tar
from assembler.formats.kernel_initrd import write_kernel
from assembler.formats.merged_tar import MergedTar
from assembler.formats.outputs import output_file
from assembler.formats.protocol import Format, FormatOptions, Needs, Target
from assembler.formats.root_volume import require_early_initrd, write_early_initrd
from assembler.formats.written_output import Output
from assembler.rootfs import STANDARD_TIME
from assembler.scratch_directories import scratch_directory
from assembler.suffixes import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from assembler.encode import Assembly, EncodeOptions

_PAGE_SIZE = 4096
# Built in, or as a module.
_ENABLED = (b"y", b"m")
# With more files, finding duplicates takes too long.
_MAX_COMPARED = 60_000


@dataclass(frozen=True, slots=True)
class RootFilesystem:
    """A kind of filesystem, and the program that makes it."""

    name: str
    program: str
    # Returns arguments for how it is encoded, the tree, and the path of the output.
    arguments: Callable[[EncodeOptions, MergedTar, str], Sequence[str]]
    # The configuration options that a kernel needs to read it, by codec.
    options: dict[str, str]

    def write(self, assembly: Assembly, target: Target, options: FormatOptions) -> list[Output]:
        """Write the filesystem, the kernel, its command line and the early initrd."""
        name = f"kernel+{self.name}"
        check_kernel_support(self, assembly)
        early = require_early_initrd(assembly, self.name, options)
        suffixes = SUFFIXES[name]
        path = target.path(suffixes["root"])
        with output_file(path) as file:
            self.fill(file, path, MergedTar(assembly.tree), assembly, options)
            size = file.seek(0, 2)
        return [
            Output(name, "root", size, path),
            *write_kernel(assembly, target, name),
            *write_early_initrd(name, assembly, target, suffixes["initrd"], early),
        ]

    def fill(
        self,
        out: IO[bytes],
        path: Path,
        tree: MergedTar,
        assembly: Assembly,
        options: FormatOptions,
    ) -> None:
        """Write the filesystem of a tree to an empty file, which will be at `path`."""
        handle = out.fileno()
        target = descriptor_path(handle)
        if target is not None:
            self._run(target, handle, path, tree, assembly, options)
            return
        with scratch_directory(path.parent) as directory:
            made = directory / "filesystem"
            made.touch()
            self._run(str(made), handle, made, tree, assembly, options)
            with made.open("rb") as file:
                write_content(out, FileRange(file.fileno(), made.stat().st_size))

    def _run(
        self,
        target: str,
        handle: int,
        path: Path,
        tree: MergedTar,
        assembly: Assembly,
        options: FormatOptions,
    ) -> None:
        """Run the program, which writes to `target`."""
        with (
            options.filesystem_tools.command(self.program) as command,
            task(assembly.reporter, f"making the {self.name}"),
        ):
            words = [*command, *self.arguments(assembly.options, tree, target)]
            run_with_tar(self.program, words, tree, handle, path)


def check_kernel_support(kind: RootFilesystem, assembly: Assembly) -> None:
    """Refuse what the kernel cannot read, if its image has its configuration."""
    kernel_config = assembly.kernel_config()
    codec = assembly.options.compression.codec
    option = kind.options.get(codec)
    if kernel_config is None or option is None:
        return
    config, member = kernel_config
    settings = parse_kernel_config(config)
    if not settings or settings.get(option) in _ENABLED:
        return
    supported = [c for c, o in kind.options.items() if settings.get(o) in _ENABLED]
    raise OutputError.of(
        codes.CANNOT_UNPACK,
        f"the kernel of {member.image.reference} cannot read a {kind.name} with {codec}: "
        f"{option} is not set in {member.name}",
        f"it can read `--compression {supported[0]}`"
        if supported
        else "it can read `--compression none`",
        place=member.place,
    )


def _mksquashfs_arguments(encoding: EncodeOptions, tree: MergedTar, out: str) -> Sequence[str]:
    compression = encoding.compression
    level = ["-Xcompression-level", str(compression.level)]
    how = {
        "gzip": ["-comp", "gzip", *level],
        "zstd": ["-comp", "zstd", *level],
        "xz": ["-comp", "xz"],
        "lz4": ["-comp", "lz4", *(["-Xhc"] if compression.level > 1 else [])],
        "none": ["-noI", "-noD", "-noF", "-noX"],
    }[compression.codec]
    return [
        *("-", out, "-tar", "-noappend", "-no-progress", "-quiet", "-exit-on-error"),
        # mksquashfs ignores the tar's entry of the root directory.
        *("-root-mode", "0755", "-root-uid", "0", "-root-gid", "0"),
        *("-root-time", str(STANDARD_TIME), "-mkfs-time", str(STANDARD_TIME)),
        *("-processors", str(encoding.jobs), "-mem", "256M", *how),
        # It compares each file with all others of the same size.
        *(["-no-duplicates"] if tree.count > _MAX_COMPARED else []),
    ]


def _mkfs_erofs_arguments(encoding: EncodeOptions, tree: MergedTar, out: str) -> Sequence[str]:
    compression = encoding.compression
    identity = uuid.UUID(bytes=tree.identity[:16], version=5)
    # The deflate of erofs is newer than many kernels, so gzip gives lz4.
    how = {
        "gzip": ["-zlz4"],
        "zstd": [f"-zzstd,level={compression.level}"],
        "xz": [f"-zlzma,level={compression.level}"],
        "lz4": ["-zlz4" if compression.level == 1 else f"-zlz4hc,level={compression.level}"],
        "none": [],
    }[compression.codec]
    return [
        *("--tar=f", "--quiet", "-T", str(STANDARD_TIME), "--mkfs-time", "-U", str(identity)),
        # Its default is the size of a page of the host.
        *(f"-b{_PAGE_SIZE}", f"--workers={encoding.jobs}", *how, out),
    ]


_SQUASHFS = RootFilesystem(
    "squashfs",
    "mksquashfs",
    _mksquashfs_arguments,
    {
        "gzip": "CONFIG_SQUASHFS_ZLIB",
        "zstd": "CONFIG_SQUASHFS_ZSTD",
        "xz": "CONFIG_SQUASHFS_XZ",
        "lz4": "CONFIG_SQUASHFS_LZ4",
    },
)
_EROFS = RootFilesystem(
    "erofs",
    "mkfs.erofs",
    _mkfs_erofs_arguments,
    {
        "gzip": "CONFIG_EROFS_FS_ZIP",
        "lz4": "CONFIG_EROFS_FS_ZIP",
        "zstd": "CONFIG_EROFS_FS_ZIP_ZSTD",
        "xz": "CONFIG_EROFS_FS_ZIP_LZMA",
    },
)


def _filesystem_format(kind: RootFilesystem) -> Format:
    return Format(
        name=f"kernel+{kind.name}",
        write=kind.write,
        needs=Needs(tree=True, boot=True, programs=frozenset({kind.program})),
    )


SQUASHFS, EROFS = _filesystem_format(_SQUASHFS), _filesystem_format(_EROFS)
ROOT_FILESYSTEMS = {kind.name: kind for kind in (_SQUASHFS, _EROFS)}
