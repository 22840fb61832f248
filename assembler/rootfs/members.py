"""What is said when a kernel image lacks a file, or has something else in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.codes import rootfs
from assembler.errors import PlanError
from assembler.rootfs.plan import Member, MemberTree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.diagnostics import Place

_MOST_NAMES = 12


def missing(wanted: Member | MemberTree, root_files: Sequence[str] | None = None) -> PlanError:
    """Say that the image lacks the file; `root_files` are the regular files its root has."""
    name, purpose, place = _parts(wanted)
    have = sorted(set(root_files or ()))
    hints = []
    if have:
        more = f" and {len(have) - _MOST_NAMES} more" if len(have) > _MOST_NAMES else ""
        hints.append(f"the root of the image has {', '.join(have[:_MOST_NAMES])}{more}")
    elif root_files is not None:
        hints.append("the image has no regular file in its root")
    if purpose == "modules":
        hints.append("`tar: none` in the section `kernel` says that there are no modules")
    message = f"{wanted.image.reference} has no {purpose}: there is no file {name!r} in its root"
    return PlanError.of(rootfs.KERNEL_FILE_MISSING, message, *hints, place=place)


def not_a_file(wanted: Member | MemberTree, what: str) -> PlanError:
    """Say that the image has `what` ("a directory") where the file should be."""
    name, purpose, place = _parts(wanted)
    message = f"{wanted.image.reference}: {name!r} should be the {purpose} and is {what}"
    return PlanError.of(rootfs.KERNEL_FILE_NOT_REGULAR, message, place=place)


def _parts(wanted: Member | MemberTree) -> tuple[str, str, Place | None]:
    if isinstance(wanted, MemberTree):
        return wanted.member, "modules", wanted.origin.place
    return wanted.name, wanted.purpose or "such file", wanted.place
