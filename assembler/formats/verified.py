"""A disk whose system is verified from the firmware to the last file, and its update set."""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, TYPE_CHECKING

from assembler.codes import measurement
from assembler.codes import output as codes
from assembler.content import FileRange, content_digest
from assembler.diagnostics import Diagnostic, Severity
from assembler.errors import OutputError, wrap_os_errors
from assembler.events import WarningEmitted, task
from assembler.formats import efi
from assembler.formats.data_partitions import data_image
from assembler.formats.filesystems import ROOT_FILESYSTEMS, check_kernel_support
from assembler.formats.merged_tar import MergedTar
from assembler.formats.outputs import output_file
from assembler.formats.protocol import Format, FormatOptions, Needs, Target
from assembler.formats.systems import EFI_NAMES
from assembler.formats.update_set import (
    CHECKSUMS,
    FOLDER,
    INDEX,
    RELEASE_PATH,
    UPDATE_KEY_PATH,
    SystemRelease,
    UpdateFile,
    checksums,
    signed_index,
)
from assembler.formats.verified_disk import (
    SlotContent,
    data_sizes,
    esp_files,
    plan_sizes,
    verified_disk,
)
from assembler.formats.verified_program import require_verity, verified_cmdline, verified_program
from assembler.formats.written_output import Output
from assembler.helper_images import BOOTLOADERS
from assembler.media import (
    VERITY_BLOCK,
    ExtentImage,
    VerityIdentity,
    VerityWriter,
    sign_program,
    write_image,
)
from assembler.rootfs import EntryKind, GeneratedEntry, GeneratedPart, Origin, VerifiedSystem
from assembler.suffixes import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.encode import Assembly
    from assembler.media import ReleaseKeys, SparseImage

_ROLES = ("root", "verity", "efi")


def _write(assembly: Assembly, target: Target, options: FormatOptions) -> list[Output]:
    system = _system_of(assembly)
    keys = _keys(options)
    release = SystemRelease(target.name, system.version, assembly.plan.architecture)
    release.check()
    early = require_verity(assembly, system, options)
    folder = target.path(FOLDER)
    paths = {role: folder / release.file_name(role) for role in _ROLES}
    others = {"index": folder / INDEX, "checksums": folder / CHECKSUMS}
    disk_path = target.path(SUFFIXES[FORMAT.name]["disk"])
    with ExitStack() as stack:
        stack.enter_context(_new_folder(folder))
        # The files get their names in the opposite order: the index last, when the others have.
        index = stack.enter_context(output_file(others["index"]))
        sums = stack.enter_context(output_file(others["checksums"]))
        disk_file = stack.enter_context(output_file(disk_path))
        files = {role: stack.enter_context(output_file(paths[role])) for role in _ROLES}
        seed = _fill_root(files["root"], paths["root"], assembly, system, release, keys, options)
        content, root_file, tree_file = _hash_root(files, release, seed, assembly)
        cmdline = verified_cmdline(assembly, system, content.root_hash)
        program = stack.enter_context(
            verified_program(assembly, early, release, content.root_hash, options, keys, cmdline)
        )
        volume = esp_files(release.architecture, _loader(release, options, keys), release, program)
        sizes = plan_sizes(system.disk, content, volume)
        size = options.disk_size or system.disk.size
        parts = [
            (spec, stack.enter_context(data_image(spec, one, release.product, assembly, options)))
            for spec, one in zip(
                system.disk.data, data_sizes(system.disk, sizes, size), strict=True
            )
        ]
        own = hashlib.sha256(f"{release.product}\0{release.version}\0".encode() + content.root_hash)
        disk = verified_disk(release, sizes, content, volume, parts, size, own.digest())
        with task(assembly.reporter, "writing the disk"):
            write_image(program, files["efi"])
            write_image(disk, disk_file)
        listed = {
            "root": root_file,
            "verity": tree_file,
            "efi": _update_file(release, "efi", files["efi"]),
        }
        index.write(signed_index(release, content.root_hash, listed, keys.index))
        sums.write(checksums(listed))
        index.flush()
        sums.flush()
        ends = {"index": index.tell(), "checksums": sums.tell()}
    return [
        Output(FORMAT.name, "disk", disk.size, disk_path),
        *(
            Output(FORMAT.name, role, file.size, paths[role], digest=f"sha256:{file.sha256}")
            for role, file in listed.items()
        ),
        *(Output(FORMAT.name, role, ends[role], path) for role, path in others.items()),
    ]


def _system_of(assembly: Assembly) -> VerifiedSystem:
    return assembly.plan.verified or VerifiedSystem()


def _keys(options: FormatOptions) -> ReleaseKeys:
    if options.release_keys is None:
        raise OutputError.of(
            codes.NO_RELEASE_KEYS,
            "a verified system is signed, and no keys are named",
            "--keys DIR names the directory with db.key, db.crt and update.key",
        )
    return options.release_keys


@contextmanager
def _new_folder(folder: Path) -> Iterator[None]:
    """Make a directory that does not stay empty if the block fails."""
    with wrap_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):
            folder.rmdir()
        raise


def _fill_root(
    file: IO[bytes],
    path: Path,
    assembly: Assembly,
    system: VerifiedSystem,
    release: SystemRelease,
    keys: ReleaseKeys,
    options: FormatOptions,
) -> bytes:
    """Write the root filesystem; return a seed for its hash tree."""
    directory = UPDATE_KEY_PATH.rpartition("/")[0]
    entries = (
        GeneratedEntry(directory, EntryKind.DIRECTORY, 0o755, implied=True),
        GeneratedEntry(UPDATE_KEY_PATH, EntryKind.FILE, 0o644, keys.index.public_key),
        GeneratedEntry(RELEASE_PATH, EntryKind.FILE, 0o644, release.document()),
    )
    part = GeneratedPart(Origin("dolmen.verified", "release"), entries)
    tree = MergedTar(lambda: assembly.tree([part]))
    ROOT_FILESYSTEMS[system.filesystem].fill(file, path, tree, assembly, options)
    size = os.fstat(file.fileno()).st_size
    padded = -(-size // VERITY_BLOCK) * VERITY_BLOCK
    os.ftruncate(file.fileno(), padded)
    compression = assembly.options.compression
    how = f"{system.filesystem}\0{compression.codec}:{compression.level}\0{padded}"
    return hashlib.sha256(tree.identity + how.encode()).digest()


def _hash_root(
    files: dict[str, IO[bytes]], release: SystemRelease, seed: bytes, assembly: Assembly
) -> tuple[SlotContent, UpdateFile, UpdateFile]:
    """Make the hash tree of the root filesystem, which is read once."""
    handle = files["root"].fileno()
    root = FileRange(handle, os.fstat(handle).st_size)
    tree = files["verity"].fileno()
    writer = VerityWriter(tree, root.size, VerityIdentity.of(seed))
    hasher = hashlib.sha256()
    with task(assembly.reporter, "hashing the root filesystem"):
        for chunk in root.chunks():
            hasher.update(chunk)
            writer.update(chunk)
        root_hash = writer.finish()
    content = SlotContent(root, FileRange(tree, os.fstat(tree).st_size), root_hash)
    name = release.file_name("root")
    return (
        content,
        UpdateFile(name, root.size, hasher.hexdigest()),
        _update_file(release, "verity", files["verity"]),
    )


def _update_file(release: SystemRelease, role: str, file: IO[bytes]) -> UpdateFile:
    handle = file.fileno()
    content = FileRange(handle, os.fstat(handle).st_size)
    return UpdateFile(release.file_name(role), content.size, content_digest(content).hex())


def _loader(release: SystemRelease, options: FormatOptions, keys: ReleaseKeys) -> SparseImage:
    """Return systemd's boot loader, signed."""
    name = f"systemd/systemd-boot{EFI_NAMES[release.architecture]}.efi"
    program = options.boot_files.read(name)
    return sign_program(ExtentImage.of([(0, program)]), keys.programs)


def _check(assembly: Assembly, options: FormatOptions) -> None:
    system = _system_of(assembly)
    _keys(options)
    efi.check_efi_kernel(efi.required_kernel(assembly), assembly.plan.architecture)
    check_kernel_support(ROOT_FILESYSTEMS[system.filesystem], assembly)
    require_verity(assembly, system, options)
    _warn_of_values(assembly, system, options)


def _warn_of_values(assembly: Assembly, system: VerifiedSystem, options: FormatOptions) -> None:
    """Warn of data that no later version could open."""
    if options.pcr_signer is not None:
        return
    for data in system.disk.data:
        if not data.filesystem:
            problem = Diagnostic(
                measurement.NO_SIGNED_POLICY,
                f"the partition {data.label} opens with this version only, not after an update",
                data.place,
                ("put pcr.key into the directory of the keys, or name it by --pcr-key",),
                severity=Severity.WARNING,
            )
            assembly.reporter.emit(WarningEmitted(problem))
            return


FORMAT = Format(
    name="verified",
    write=_write,
    needs=Needs(
        tree=True,
        boot=True,
        helpers=frozenset({BOOTLOADERS}),
        programs=frozenset(kind.program for kind in ROOT_FILESYSTEMS.values()),
    ),
    architectures=efi.ARCHITECTURES,
    signs_on=efi.ARCHITECTURES,
    needs_kernel=True,
    check=_check,
)
