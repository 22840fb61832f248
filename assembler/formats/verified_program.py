"""The unified kernel image of a verified system: the root hash is in its command line."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from assembler.codes import output as codes
from assembler.encode import ROOT_SIGNATURE, Assembly, plan_early_initrd
from assembler.errors import OutputError
from assembler.formats import efi
from assembler.formats.systems import EFI_NAMES
from assembler.media import ExtentImage, add_pe_sections, detached_signature, sign_program
from assembler.rootfs import EntryKind, GeneratedEntry, GeneratedPart, Origin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.content import Content
    from assembler.encode import EarlyInitrd
    from assembler.formats.protocol import FormatOptions
    from assembler.formats.update_set import SystemRelease
    from assembler.media import ReleaseKeys
    from assembler.rootfs import VerifiedSystem


def require_verity(
    assembly: Assembly, system: VerifiedSystem, options: FormatOptions
) -> EarlyInitrd:
    """Return the early initrd; a system that cannot open the root filesystem is refused."""
    found = plan_early_initrd(
        assembly, [system.filesystem], lambda: options.early_init, verified=True
    )
    boot = assembly.plan.boot
    if found is None:
        raise OutputError.of(
            codes.NO_VERITY,
            "the init system has no program that opens a verified root filesystem",
            "take the package init of Dolmen: init: ['@dolmen:init', …]",
            place=assembly.plan.init_place,
        )
    if found.missing_filesystems:
        raise OutputError.of(
            codes.NO_VERITY,
            f"the kernel has no {' and no '.join(found.missing_filesystems)}, neither built in "
            "nor as a module",
            "take a kernel with CONFIG_DM_VERITY, CONFIG_SQUASHFS and CONFIG_EROFS_FS",
            place=boot.kernel.place if boot else None,
        )
    return found


def verified_cmdline(assembly: Assembly, system: VerifiedSystem, root_hash: bytes) -> str:
    """Return the command line: that of the YAML, and what init needs to know."""
    words = [
        assembly.cmdline.strip(),
        f"roothash={root_hash.hex()}",
        f"dolmen.verity={system.on_corruption}",
        *system.healthy,
    ]
    return " ".join(word for word in words if word)


@contextmanager
def verified_program(
    assembly: Assembly,
    early: EarlyInitrd,
    release: SystemRelease,
    root_hash: bytes,
    options: FormatOptions,
    keys: ReleaseKeys,
    cmdline: str,
) -> Iterator[ExtentImage]:
    """Yield the signed program; it refers to files that are open until the block ends."""
    signature = detached_signature(root_hash.hex().encode(), keys.root_hash)
    entries = (
        GeneratedEntry("verity", EntryKind.DIRECTORY, 0o755),
        GeneratedEntry(ROOT_SIGNATURE, EntryKind.FILE, 0o644, signature),
    )
    part = GeneratedPart(Origin("dolmen.verity", "early"), entries)
    plan = replace(early.plan, parts=(*early.plan.parts, part))
    architecture = assembly.plan.architecture
    kernel = efi.required_kernel(assembly)
    stub = options.boot_files.read(f"systemd/linux{EFI_NAMES[architecture]}.efi.stub")
    with Assembly(plan, assembly.store, assembly.options) as initrd:
        sections: list[tuple[str, Content]] = [
            (".osrel", _os_release(release)),
            (".cmdline", cmdline.encode()),
            (".uname", efi.kernel_version(kernel).encode()),
            (".initrd", initrd.initrd()),
            (".linux", kernel),
        ]
        if options.pcr_signer is not None:
            sections = efi.with_policy(stub, sections, options.pcr_signer)
        program = add_pe_sections(stub, sections)
        yield sign_program(program, keys.programs)


def _os_release(release: SystemRelease) -> bytes:
    lines = (
        "ID=linux",
        f"NAME={release.product}",
        f'PRETTY_NAME="{release.product} {release.version}"',
        f"VERSION_ID={release.version}",
        f"IMAGE_ID={release.product}",
        f"IMAGE_VERSION={release.version}",
    )
    return "".join(f"{line}\n" for line in lines).encode()
