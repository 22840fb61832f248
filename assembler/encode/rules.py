"""What Dolmen changes in an image's tree on its way into the system: the rules in figures.

dropped     what container tools leave behind, and what is made at boot
replaced    etc/hosts and etc/resolv.conf: standard ones, whatever the image has
added       dev, etc and what is in them, where the image has none
settled     proc and sys are mount points: always directories with mode 0755
"""

from __future__ import annotations

from assembler.oci import ExcludedPaths, FlattenedTree
from assembler.rootfs.plan import Entry, Kind, Rules

# Counted up whenever the same image gives another tree.
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


def _directory(path: str) -> Entry:
    return Entry(path, Kind.DIRECTORY, 0o755)


def exceptions(rules: Rules) -> ExcludedPaths:
    """Return what of an image is not laid out as it is."""
    hosts, resolver = b"etc/hosts", b"etc/resolv.conf"
    only_files = {hosts: _HINT.format(path="/etc/hosts")}
    dropped = set(_DROPPED)
    if rules is Rules.CONTAINER:
        only_files[resolver] = _HINT.format(path="/etc/resolv.conf")
    else:
        dropped.add(resolver)
    return ExcludedPaths(frozenset(dropped), only_files)


def additions(rules: Rules, tree: FlattenedTree) -> list[tuple[Entry, bytes]]:
    """Return what is laid out after the image's own tree, with contents."""
    if rules is Rules.CONTAINER:
        resolver = (Entry("etc/resolv.conf", Kind.FILE, 0o644), _NO_RESOLVER)
    else:
        link = Entry("etc/resolv.conf", Kind.SYMLINK, 0o777, target=_RESOLVER_AT_BOOT)
        resolver = (link, b"")
    added: list[tuple[Entry, bytes]] = []
    for directory, contents in (
        (
            "dev",
            ((_directory("dev/pts"), b""), (_directory("dev/shm"), b"")),
        ),
        (
            "etc",
            (
                (Entry("etc/hosts", Kind.FILE, 0o644), _HOSTS),
                (Entry("etc/mtab", Kind.SYMLINK, 0o777, target="/proc/mounts"), b""),
                resolver,
            ),
        ),
    ):
        path = directory.encode()
        if not tree.has(path):
            added.append((_directory(directory), b""))
        elif not tree.is_directory(path):
            continue  # a link: what it leads to is the image's own business
        added += [c for c in contents if c[0].path != "etc/mtab" or not tree.has(b"etc/mtab")]
    added += [(_directory("proc"), b""), (_directory("sys"), b"")]
    return added
