"""The changes that the rules make to an image's tree on its way into the system.

dropped     leftovers of container tools, and files that are made at boot
replaced    etc/hosts and etc/resolv.conf: always standard ones
added       dev, etc and their content, where the image has none
fixed       proc and sys are mount points: always directories with mode 0755
"""

from __future__ import annotations

from assembler.oci import ExcludedPaths, FlattenedTree
from assembler.rootfs import EntryKind, GeneratedEntry, TreeRules

# Increase it when the tree for the same image changes.
VERSION = 1

_HOSTS = b"""\
127.0.0.1       localhost
::1     localhost ip6-localhost ip6-loopback
fe00::0 ip6-localnet
ff00::0 ip6-mcastprefix
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters
"""
_NO_RESOLVER = b"\n# no resolv.conf configured\n"
_RESOLVER_AT_BOOT = "/run/resolvconf/resolv.conf"

_DROPPED = (
    b".dockerenv",
    b"Dockerfile",
    b"dev/console",
    b"dev/pts",
    b"dev/shm",
    b"etc/hostname",
    b"proc",
    b"sys",
)
_HINT = (
    "Dolmen puts its own file there, and needs a regular file or nothing in the image: "
    "remove {path} in the image's build"
)


def _directory(path: str) -> GeneratedEntry:
    return GeneratedEntry(path, EntryKind.DIRECTORY, 0o755)


def excluded_paths(rules: TreeRules) -> ExcludedPaths:
    """Return the paths of an image that are dropped or replaced."""
    hosts, resolver = b"etc/hosts", b"etc/resolv.conf"
    only_files = {hosts: _HINT.format(path="/etc/hosts")}
    dropped = set(_DROPPED)
    if rules is TreeRules.CONTAINER:
        only_files[resolver] = _HINT.format(path="/etc/resolv.conf")
    else:
        dropped.add(resolver)
    return ExcludedPaths(frozenset(dropped), only_files)


def added_entries(rules: TreeRules, tree: FlattenedTree) -> list[tuple[GeneratedEntry, bytes]]:
    """Return the entries after the image's tree, with contents."""
    if rules is TreeRules.CONTAINER:
        resolver = (GeneratedEntry("etc/resolv.conf", EntryKind.FILE, 0o644), _NO_RESOLVER)
    else:
        link = GeneratedEntry("etc/resolv.conf", EntryKind.SYMLINK, 0o777, target=_RESOLVER_AT_BOOT)
        resolver = (link, b"")
    added: list[tuple[GeneratedEntry, bytes]] = []
    for directory, contents in (
        (
            "dev",
            ((_directory("dev/pts"), b""), (_directory("dev/shm"), b"")),
        ),
        (
            "etc",
            (
                (GeneratedEntry("etc/hosts", EntryKind.FILE, 0o644), _HOSTS),
                (GeneratedEntry("etc/mtab", EntryKind.SYMLINK, 0o777, target="/proc/mounts"), b""),
                resolver,
            ),
        ),
    ):
        path = directory.encode()
        if not tree.has(path):
            added.append((_directory(directory), b""))
        elif not tree.is_directory(path):
            continue  # a link: its target belongs to the image
        added += [c for c in contents if c[0].path != "etc/mtab" or not tree.has(b"etc/mtab")]
    added += [(_directory("proc"), b""), (_directory("sys"), b"")]
    return added
