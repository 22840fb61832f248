"""Generate /etc/passwd and /etc/group from base-passwd's master files and the recipe's users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.debian.systemd import system_accounts
from assembler.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# The users with static IDs (Debian policy 9.2): uid, gid, home, shell.
_STATIC_USERS: Mapping[str, tuple[int, int, str, str]] = {
    "root": (0, 0, "/root", "/bin/sh"),
    "daemon": (1, 1, "/usr/sbin", "/usr/sbin/nologin"),
    "bin": (2, 2, "/bin", "/usr/sbin/nologin"),
    "sys": (3, 3, "/dev", "/usr/sbin/nologin"),
    "games": (5, 60, "/usr/games", "/usr/sbin/nologin"),
    "man": (6, 12, "/var/cache/man", "/usr/sbin/nologin"),
    "lp": (7, 7, "/var/spool/lpd", "/usr/sbin/nologin"),
    "mail": (8, 8, "/var/mail", "/usr/sbin/nologin"),
    "news": (9, 9, "/var/spool/news", "/usr/sbin/nologin"),
    "uucp": (10, 10, "/var/spool/uucp", "/usr/sbin/nologin"),
    "proxy": (13, 13, "/bin", "/usr/sbin/nologin"),
    "www-data": (33, 33, "/var/www", "/usr/sbin/nologin"),
    "backup": (34, 34, "/var/backups", "/usr/sbin/nologin"),
    "list": (38, 38, "/var/list", "/usr/sbin/nologin"),
    "irc": (39, 39, "/run/ircd", "/usr/sbin/nologin"),
    "nobody": (65534, 65534, "/nonexistent", "/usr/sbin/nologin"),
}
_DEFAULT_USERS = ("root", "nobody")
_DEFAULT_GROUPS = {"root": 0, "tty": 5, "nogroup": 65534}
USERS_LIST = "usr/share/base-passwd/passwd.master"
GROUPS_LIST = "usr/share/base-passwd/group.master"


def account_files(
    users: Iterable[str], master_files: Mapping[str, bytes], *, with_system: bool = False
) -> dict[str, bytes]:
    """Return etc/passwd and etc/group, or nothing if no file needs them.

    `master_files` are those of base-passwd, if it is one of the packages. Without them the
    files have root, nobody and the users of the recipe.  # words: ok
    `with_system` adds the accounts of sysusers.d, which `master_files` have, too.
    """
    specs = list(users)
    if not specs and USERS_LIST not in master_files and not with_system:
        return {}
    passwd = _parse_accounts(master_files.get(USERS_LIST, b""))
    groups = _parse_accounts(master_files.get(GROUPS_LIST, b""))
    if not passwd:
        for name in _DEFAULT_USERS:
            passwd[name] = _passwd_line(name, *_STATIC_USERS[name])
    if not groups:
        groups |= {name: f"{name}:*:{gid}:" for name, gid in _DEFAULT_GROUPS.items()}
    for spec in specs:
        name, _, ids = spec.partition(":")
        uid, gid, home, shell = _user_ids(name, ids, passwd)
        passwd[name] = _passwd_line(name, uid, gid, home, shell)
        if not any(line.split(":")[2] == str(gid) for line in groups.values()):
            groups[name] = f"{name}:*:{gid}:"
    if with_system:
        made = system_accounts(master_files, passwd, groups)
        passwd |= made.users
        groups |= made.groups
    return {
        "etc/passwd": "".join(f"{line}\n" for line in passwd.values()).encode(),
        "etc/group": "".join(f"{line}\n" for line in groups.values()).encode(),
    }


def _user_ids(name: str, ids: str, passwd: Mapping[str, str]) -> tuple[int, int, str, str]:
    defaults = _STATIC_USERS.get(name)
    if name in passwd:
        _, _, uid, gid, _, home, shell = passwd[name].split(":", 6)
        defaults = int(uid), int(gid), home, shell
    if ids:
        uid, _, gid = ids.partition(":")
        home, shell = defaults[2:] if defaults else ("/nonexistent", "/usr/sbin/nologin")
        return int(uid), int(gid or uid), home, shell
    if defaults is None:
        raise PackageError.of(
            packages.BAD_RECIPE,
            f"the user {name} is not a static user of Debian, so it needs a UID",
            f"write it as {name}:UID or {name}:UID:GID, for example {name}:101",
        )
    return defaults


def _passwd_line(name: str, uid: int, gid: int, home: str, shell: str) -> str:
    return f"{name}:*:{uid}:{gid}:{name}:{home}:{shell}"


def _parse_accounts(data: bytes) -> dict[str, str]:
    text = data.decode("utf-8", "replace")
    return {line.split(":")[0]: line for line in text.splitlines() if line.count(":") >= 3}
