"""Share directories of this host with a guest over virtiofs."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.codes import machine as codes
from assembler.errors import MachineError, UsageError
from assembler.machine.backend import SHARE_SOCKET, Command
from assembler.machine.description import Share
from assembler.machine.helper_processes import LISTEN_FD, HelperProcess
from assembler.tools import install_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Distributions install it outside of the PATH, as users do not start it.
_VIRTIOFSD_PATHS = (
    "/usr/libexec/virtiofsd",
    "/usr/lib/qemu/virtiofsd",
    "/usr/lib/virtiofsd",
    "/usr/libexec/qemu/virtiofsd",
)
_MAX_TAG = 36
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def parse_share(text: str, number: int) -> Share:
    """Parse `NAME=DIR`, or `DIR` with the tag virtiofs0, virtiofs1 and so on, as in LinuxKit."""
    tag, equals, path = text.partition("=")
    if not equals or "/" in tag:
        tag, path = f"virtiofs{number}", text
    if not _TAG.fullmatch(tag) or len(tag) > _MAX_TAG:
        raise UsageError.of(
            codes.BAD_SHARE,
            f"--virtiofs {text}: {tag!r} is not a valid name of a shared directory",
            f"at most {_MAX_TAG} letters, digits, '.', '_' and '-'",
        )
    return Share(tag, Path(path).expanduser().absolute())


def parse_shares(texts: Sequence[str]) -> tuple[Share, ...]:
    """Parse all shares; raise an error for a duplicate name or a missing directory."""
    found = tuple(parse_share(text, number) for number, text in enumerate(texts))
    for number, share in enumerate(found):
        if share.tag in (other.tag for other in found[:number]):
            raise UsageError.of(codes.BAD_SHARE, f"--virtiofs: duplicate name {share.tag}")
        if not share.folder.is_dir():
            raise MachineError.of(
                codes.BAD_SHARE, f"--virtiofs: directory {share.folder} not found"
            )
    return found


def find_virtiofsd(chosen: Path | None = None) -> Path | None:
    """Return the path of virtiofsd, if this host has it."""
    if chosen is not None:
        return chosen if chosen.is_file() else None
    found = shutil.which("virtiofsd")
    paths = (Path(p) for p in ((found,) if found else _VIRTIOFSD_PATHS))
    return next((p for p in paths if p.is_file()), None)


def virtiofsd_processes(
    shares: Sequence[Share], chosen: Path | None = None
) -> Iterator[HelperProcess]:
    """Yield a virtiofsd for each directory."""
    if not shares:
        return
    program = find_virtiofsd(chosen)
    if program is None:
        raise MachineError.of(
            codes.BAD_SHARE,
            f"{chosen} not found" if chosen else "virtiofsd not found",
            install_command("virtiofsd"),
            "or name the program: --virtiofsd FILE",
        )
    for number, share in enumerate(shares):
        # A comma would end the value.
        folder = str(share.folder).replace(",", "\\,")
        argv: tuple[str, ...] = (str(program), f"--fd={LISTEN_FD}", "-o", f"source={folder}")
        if os.geteuid() != 0:
            # As root of a user namespace, virtiofsd may chroot into the directory. Files of the
            # guest's root belong to the user.
            argv = ("unshare", "--map-root-user", *argv)
        program_path = Path(shutil.which(argv[0]) or argv[0]).absolute()
        yield HelperProcess(
            f"virtiofsd{number}", Command(program_path, argv[1:]), SHARE_SOCKET.format(number)
        )
