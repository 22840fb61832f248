"""Errors for files of a kernel image that are missing or not regular files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.codes import rootfs
from assembler.errors import PlanError
from assembler.rootfs.plan import ArchiveTree, ImageMember

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.diagnostics import Place

_MOST_NAMES = 12


def missing_member_error(
    member: ImageMember | ArchiveTree, root_files: Sequence[str] | None = None
) -> PlanError:
    """Return the error for a missing file; `root_files` are the regular files of the root."""
    name, purpose, place = _parts(member)
    have = sorted(set(root_files or ()))
    hints = []
    if have:
        more = f" and {len(have) - _MOST_NAMES} more" if len(have) > _MOST_NAMES else ""
        hints.append(f"the root of the image has {', '.join(have[:_MOST_NAMES])}{more}")
    elif root_files is not None:
        hints.append("the image has no regular file in its root")
    if purpose == "modules":
        hints.append("set `tar: none` in the section `kernel` if there are no modules")
    message = f"{member.image.reference} has no {purpose}: {name!r} is not in its root"
    return PlanError.of(rootfs.KERNEL_FILE_MISSING, message, *hints, place=place)


def irregular_member_error(member: ImageMember | ArchiveTree, what: str) -> PlanError:
    """Return the error for a file that is something else; `what` is "a directory", say."""
    name, purpose, place = _parts(member)
    message = f"{member.image.reference}: {name!r} should be the {purpose} and is {what}"
    return PlanError.of(rootfs.KERNEL_FILE_NOT_REGULAR, message, place=place)


def _parts(member: ImageMember | ArchiveTree) -> tuple[str, str, Place | None]:
    if isinstance(member, ArchiveTree):
        return member.member, "modules", member.origin.place
    return member.name, member.purpose or "such file", member.place
