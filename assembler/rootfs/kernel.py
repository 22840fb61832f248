"""The kernel: files of its image below boot/, and the tar of its modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.codes import rootfs
from assembler.errors import PlanError
from assembler.oci import Reference
from assembler.rootfs.plan import (
    ArchiveTree,
    BootSpec,
    EntryKind,
    GeneratedEntry,
    GeneratedPart,
    ImageMember,
    Origin,
    Part,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.config import Config, Kernel
    from assembler.rootfs.diagnostic_collector import DiagnosticCollector
    from assembler.rootfs.plan_options import PlanOptions, ResolvedImages

DEFAULT_BINARY = "kernel"
DEFAULT_TAR = "kernel.tar"
_LOCATION = "kernel"


def boot(
    config: Config, resolved: ResolvedImages, options: PlanOptions, findings: DiagnosticCollector
) -> BootSpec | None:
    """Return the kernel, command line and microcode, or None without a kernel."""
    kernel = config.kernel
    if kernel is None:
        return None
    if not kernel.image:
        return None
    member = _member(kernel, "binary", DEFAULT_BINARY, "kernel", resolved, findings)
    return BootSpec(
        ImageMember(
            member.image, member.name, options.decompress_kernel, member.purpose, member.place
        ),
        kernel.cmdline or "",
        _member(kernel, "ucode", "", "microcode", resolved, findings) if kernel.ucode else None,
    )


def kernel_parts(config: Config, what: BootSpec, findings: DiagnosticCollector) -> Iterator[Part]:
    """Yield the files below boot/ and the modules."""
    kernel = config.kernel
    assert kernel is not None  # noqa: S101 - a BootSpec needs a kernel
    source = str(what.kernel.image.reference)
    boot_origin = Origin(source, _LOCATION, what.kernel.place)
    entries = [
        GeneratedEntry("boot", EntryKind.DIRECTORY, 0o755),
        GeneratedEntry("boot/cmdline", EntryKind.FILE, 0o644, what.cmdline.encode()),
        GeneratedEntry("boot/kernel", EntryKind.FILE, 0o644, what.kernel),
    ]
    if what.ucode is not None:
        entries.append(GeneratedEntry("boot/ucode.cpio", EntryKind.FILE, 0o644, what.ucode))
    yield GeneratedPart(boot_origin, tuple(entries))
    tar = DEFAULT_TAR if kernel.tar is None else kernel.tar
    if tar not in ("", "none"):
        with findings.collect(kernel.positions.place_of("tar")):
            name = _root_name(tar)
            place = kernel.positions.place_of("tar") or kernel.positions.place_of("image")
            yield ArchiveTree(Origin(source, _LOCATION, place), what.kernel.image, name)


def _member(
    kernel: Kernel,
    key: str,
    default: str,
    purpose: str,
    resolved: ResolvedImages,
    findings: DiagnosticCollector,
) -> ImageMember:
    assert kernel.image  # noqa: S101 - checked before
    image = resolved.images[Reference.parse(kernel.image)]
    name = getattr(kernel, key) or default
    place = kernel.positions.place_of(key if getattr(kernel, key) else "image")
    with findings.collect(place):
        name = _root_name(name)
    return ImageMember(image, name, purpose=purpose, place=place)


def _root_name(name: str) -> str:
    """Return the name of a file in the root of an image."""
    plain = name.removeprefix("./").removeprefix("/")
    if "/" in plain or plain in ("", ".", ".."):
        raise PlanError.of(
            rootfs.KERNEL_FILE_MISSING,
            f"{name!r} is not the name of a file in the root of the kernel image",
            "the kernel, its tar and microcode must be in the image's root",
        )
    return plain
