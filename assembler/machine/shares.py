"""Directories of this machine that a guest sees: the programs that share them by virtiofs."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from assembler.codes import machine as codes
from assembler.errors import MachineError, UsageError
from assembler.machine.backend import SHARE_SOCKET, Command
from assembler.machine.companions import HANDLE, Companion
from assembler.machine.description import Share
from assembler.tools import install_command

# Where distributions put it: it is not for users to start, so it is not in the PATH.
_PLACES = (
    "/usr/libexec/virtiofsd",
    "/usr/lib/qemu/virtiofsd",
    "/usr/lib/virtiofsd",
    "/usr/libexec/qemu/virtiofsd",
)
_LONGEST_TAG = 36
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def parse_share(text: str, number: int) -> Share:
    """Read `NAME=DIR`, or `DIR`, which is called virtiofs0 and so on, as in LinuxKit."""
    tag, equals, path = text.partition("=")
    if not equals or "/" in tag:
        tag, path = f"virtiofs{number}", text
    if not _TAG.fullmatch(tag) or len(tag) > _LONGEST_TAG:
        raise UsageError.of(
            codes.BAD_SHARE,
            f"--virtiofs {text}: {tag!r} cannot be the name of a shared directory",
            f"letters, digits, '.', '_' and '-' can be in it, {_LONGEST_TAG} of them at most",
        )
    return Share(tag, Path(path).expanduser().absolute())


def parse_shares(texts: Sequence[str]) -> tuple[Share, ...]:
    """Read all of them; each has a name of its own, and its directory is there."""
    found = tuple(parse_share(text, number) for number, text in enumerate(texts))
    for number, share in enumerate(found):
        if share.tag in (other.tag for other in found[:number]):
            raise UsageError.of(codes.BAD_SHARE, f"--virtiofs: {share.tag} is there twice")
        if not share.folder.is_dir():
            raise MachineError.of(codes.BAD_SHARE, f"--virtiofs: there is no {share.folder}")
    return found


def find_virtiofsd(chosen: Path | None = None) -> Path | None:
    """Return the program that shares directories, if this machine has it."""
    if chosen is not None:
        return chosen if chosen.is_file() else None
    found = shutil.which("virtiofsd")
    places = (Path(p) for p in ((found,) if found else _PLACES))
    return next((p for p in places if p.is_file()), None)


def share_companions(shares: Sequence[Share], chosen: Path | None = None) -> Iterator[Companion]:
    """Return the programs for the directories."""
    if not shares:
        return
    program = find_virtiofsd(chosen)
    if program is None:
        raise MachineError.of(
            codes.BAD_SHARE,
            f"there is no {chosen}" if chosen else "there is no virtiofsd on this machine",
            f"{install_command('virtiofsd')} (in Debian 12 it is in qemu-system-common)",
            "or name the program: --virtiofsd FILE",
        )
    for number, share in enumerate(shares):
        # Commas would end the value.
        folder = str(share.folder).replace(",", "\\,")
        words: tuple[str, ...] = (str(program), f"--fd={HANDLE}", "-o", f"source={folder}")
        if os.geteuid() != 0:
            # Who is root in a namespace of users may lock the program up in the directory. What the
            # guest's root writes belongs to the user.
            words = ("unshare", "--map-root-user", *words)
        first = Path(shutil.which(words[0]) or words[0]).absolute()
        yield Companion(
            f"virtiofsd{number}", Command(first, words[1:]), SHARE_SOCKET.format(number)
        )
