"""The kernel: its image's members below boot/, and the modules it brings as a tar."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from assembler.codes import rootfs
from assembler.errors import PlanError
from assembler.oci import Reference
from assembler.rootfs.plan import Boot, Entry, Kind, Made, Member, MemberTree, Origin, Part

if TYPE_CHECKING:
    from assembler.config.model import Config, Kernel
    from assembler.rootfs.diagnostic_collector import DiagnosticCollector
    from assembler.rootfs.options import PlanOptions, Resolved

DEFAULT_BINARY = "kernel"
DEFAULT_TAR = "kernel.tar"
_LOCATION = "kernel"


def boot(
    config: Config, resolved: Resolved, options: PlanOptions, findings: DiagnosticCollector
) -> Boot | None:
    """Return what a boot loader is given, if there is a kernel."""
    kernel = config.kernel
    if kernel is None:
        return None
    if not kernel.image:
        return None
    member = _member(kernel, "binary", DEFAULT_BINARY, "kernel", resolved, findings)
    return Boot(
        Member(member.image, member.name, options.decompress_kernel, member.purpose, member.place),
        kernel.cmdline or "",
        _member(kernel, "ucode", "", "microcode", resolved, findings) if kernel.ucode else None,
    )


def kernel_parts(config: Config, what: Boot, findings: DiagnosticCollector) -> Iterator[Part]:
    """Yield the files below boot/ and the modules."""
    kernel = config.kernel
    assert kernel is not None  # noqa: S101 - or there would be no Boot
    source = str(what.kernel.image.reference)
    boot_origin = Origin(source, _LOCATION, what.kernel.place)
    entries = [
        Entry("boot", Kind.DIRECTORY, 0o755),
        Entry("boot/cmdline", Kind.FILE, 0o644, what.cmdline.encode()),
        Entry("boot/kernel", Kind.FILE, 0o644, what.kernel),
    ]
    if what.ucode is not None:
        entries.append(Entry("boot/ucode.cpio", Kind.FILE, 0o644, what.ucode))
    yield Made(boot_origin, tuple(entries))
    tar = DEFAULT_TAR if kernel.tar is None else kernel.tar
    if tar not in ("", "none"):
        with findings.caught(kernel.positions.place_of("tar")):
            name = _root_name(tar)
            place = kernel.positions.place_of("tar") or kernel.positions.place_of("image")
            yield MemberTree(Origin(source, _LOCATION, place), what.kernel.image, name)


def _member(
    kernel: Kernel,
    key: str,
    default: str,
    purpose: str,
    resolved: Resolved,
    findings: DiagnosticCollector,
) -> Member:
    assert kernel.image  # noqa: S101 - looked at before
    image = resolved.images[Reference.parse(kernel.image)]
    name = getattr(kernel, key) or default
    place = kernel.positions.place_of(key if getattr(kernel, key) else "image")
    with findings.caught(place):
        name = _root_name(name)
    return Member(image, name, purpose=purpose, place=place)


def _root_name(name: str) -> str:
    """Return the name of a file in the root of an image."""
    plain = name.removeprefix("./").removeprefix("/")
    if "/" in plain or plain in ("", ".", ".."):
        raise PlanError.of(
            rootfs.KERNEL_FILE_MISSING,
            f"{name!r} is not the name of a file in the root of the kernel image",
            "the kernel, its tar and microcode are looked for in the image's root only",
        )
    return plain
