"""The checks of the options of binds, tmpfs and mounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.codes import config as codes
from assembler.config.diagnostics import warning
from assembler.config.messages import shorten
from assembler.spelling import nearest_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from assembler.diagnostics import Diagnostic, Place

_PROPAGATION = ("private", "shared", "slave", "unbindable")
_RECURSIVE = ("ro", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec", "atime", "noatime")
# Options of every mount, in the order of suggestions: of mount(8), runc and crun.
_OPTIONS = (
    *("rw", "ro", "bind", "rbind", "nosuid", "nodev", "noexec", "suid", "dev", "exec"),
    *_PROPAGATION,
    *(f"r{name}" for name in _PROPAGATION),
    *("noatime", "relatime", "strictatime", "lazytime", "nodiratime", "atime", "diratime"),
    *("norelatime", "nostrictatime", "nolazytime", "sync", "async", "dirsync", "mand", "nomand"),
    *("remount", "move", "silent", "loud", "iversion", "noiversion", "defaults", "acl", "noacl"),
    *("symfollow", "nosymfollow", "rsymfollow", "rnosymfollow", "tmpcopyup", "idmap", "ridmap"),
    *("copy-symlink", "src-nofollow", "dest-nofollow"),
    *(f"r{name}" for name in (*_RECURSIVE, "diratime", "nodiratime", "relatime", "strictatime")),
)
_TMPFS_OPTIONS = (
    *("size", "mode", "uid", "gid", "nr_blocks", "nr_inodes", "huge", "mpol", "noswap"),
    *("inode32", "inode64", "quota", "usrquota", "grpquota"),
)
# Options of filesystems that look like one of every mount.
_OTHER_FLAGS = ("discard", "nodiscard", "noquota", "quota", "nouuid", "noload", "nouser", "user")
_SWAPPED = {"wr": "rw", "or": "ro", "readonly": "ro", "read-only": "ro", "readwrite": "rw"}


def check_mount_options(
    mount_type: str, options: Iterable[tuple[str, Place | None]]
) -> Iterator[Diagnostic]:
    """Check options, each with its place; filesystems have more, so only typing errors are found.

    A bind has no filesystem, so all its options are known.
    """
    known = (*_OPTIONS, *(_TMPFS_OPTIONS if mount_type == "tmpfs" else ()))
    for option, place in options:
        name, equals, value = option.partition("=")
        if name in known or not name or name in _OTHER_FLAGS:
            continue
        meant = _SWAPPED.get(name.lower()) or next(iter(nearest_words(name, known, 1)), "")
        if mount_type not in ("bind", "tmpfs") and equals:
            continue
        if mount_type != "bind" and not meant:
            continue
        message = f"{shorten(option)!r} is not a mount option"
        meant = meant and f"did you mean {meant}{equals}{value}?"
        hint = meant or "options are such as ro, nosuid, noexec, rshared"
        yield warning(codes.SUSPICIOUS_VALUE, message, place, hint)
