"""Entries of hostile layers, drawn at random."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

from support.archives import E, directory, hardlink, symlink

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

_ESCAPE = "\x1b]0;owned\x07\x1b[31m"
_NAMES = (
    *("../../etc/escaped", "/etc/absolute", "a/../../b", "./././x", "", ".", "..", "/", "a//b"),
    *(f"{_ESCAPE}name", "new\nline", "tab\there", "back\\slash", "\udcff\udcfe", "\u202egnp.exe"),
    *("n" * 255, "n" * 300, "d/" * 400 + "f", "d/" * 2100 + "f", "-rf", "*", "a b", "con", "\x01"),
    *("usr/bin/soft", "USR/BIN/soft", "u\u0308", "\u00fc", "etc/own", "dev/console", "boot/kernel"),
)
_WHITEOUTS = (
    *(".wh.usr", "usr/.wh..wh..opq", ".wh.", ".wh...", ".wh..", "usr/bin/.wh.soft", "x/.wh.y"),
    *(".wh..wh.plnk/1", ".wh..wh.aufs", "usr/.wh.../x"),
)
_TARGETS = (
    *("/etc/passwd", "../../../../etc/shadow", ".", "..", "/", "", "usr", "n" * 5000, "loop", "a"),
    *(_ESCAPE, "/proc/self/root/etc", "usr/bin/soft", "missing", "\udcff"),
)
_PAX = (
    {"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\xff\xff\xff\xff" + "\0" * 12},
    {"SCHILY.xattr.user.large": "x" * 200_000},
    {"SCHILY.xattr." + _ESCAPE: "x"},
    {"SCHILY.xattr.trusted.overlay.opaque": "y"},
    {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 50)},
    {"GNU.sparse.size": "9" * 30, "GNU.sparse.map": "0,1,5,1"},
    {"size": "18446744073709551616"},
    {"size": "-1"},
    {"path": "../../via-pax"},
    {"linkpath": "/etc/passwd"},
    {"mtime": "1e400"},
    {"mtime": "-99999999999999999999"},
    {"uid": "99999999999999999999"},
    {"uname": _ESCAPE},
    {"hdrcharset": "BINARY"},
    {_ESCAPE: _ESCAPE},
)


def drawn_entries(chance: random.Random) -> list[E]:
    """Draw the entries of a layer; the same name may come twice."""
    entries = [directory("usr"), E("usr/bin/soft", b"soft" * 50, mode=0o755)]
    for _ in range(chance.choice((1, 1, 2, 3))):
        entries += chance.choice(_KINDS)(chance)
    if chance.random() < 0.3:
        entries += chance.choices(entries, k=2)
    return entries


def _file(chance: random.Random) -> list[E]:
    mode = chance.choice((0o644, 0o4755, 0o2755, 0o7777, 0, 0o1777))
    data = chance.randbytes(chance.choice((0, 1, 511, 512, 513, 9000)))
    uid = chance.choice((0, 1, 2_000_000, 2_097_151, 2**31))
    return [E(chance.choice(_NAMES), data, mode=mode, uid=uid if uid < 2**21 else 0)]


def _large(chance: random.Random) -> list[E]:
    return [E("zeros", bytes(chance.choice((1 << 20, 40 << 20))))]


def _whiteout(chance: random.Random) -> list[E]:
    data = chance.choice((b"", b"not empty"))
    kind = chance.choice((tarfile.REGTYPE, tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE))
    return [E(chance.choice(_WHITEOUTS), b"" if kind != tarfile.REGTYPE else data, type=kind)]


def _link(chance: random.Random) -> list[E]:
    name = chance.choice(("loop", "etc", "usr", "lib", chance.choice(_NAMES)))
    return [symlink(name, chance.choice(_TARGETS)), E(f"{name}/through", b"through")]


def _hard_link(chance: random.Random) -> list[E]:
    return [hardlink(chance.choice(("hard", *_NAMES)), chance.choice(_TARGETS))]


def _device(chance: random.Random) -> list[E]:
    kind = chance.choice(
        (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z", b"x"[:0] or b"V")
    )
    number = chance.choice(((1, 3), (8, 0), (0, 0), (2**20, 2**20)))
    return [E(chance.choice(("dev/sda", "mem", "pipe")), type=kind, device=number, mode=0o666)]


def _pax(chance: random.Random) -> list[E]:
    return [E("pax", b"12345", pax=chance.choice(_PAX))]


def _parent_is_file(_chance: random.Random) -> list[E]:
    return [E("file", b"x"), E("file/below", b"y"), directory("file"), E("file", b"z")]


def _times(chance: random.Random) -> list[E]:
    return [E("time", b"t", mtime=chance.choice((0, -1, 2**33, 1.5)))]


_KINDS: tuple[Callable[[random.Random], list[E]], ...] = (
    *(_file, _file, _whiteout, _whiteout, _link, _hard_link, _device, _pax, _pax),
    *(_parent_is_file, _times, _large),
)
