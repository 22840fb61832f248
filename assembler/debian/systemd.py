"""Generate what the maintainer scripts of a system with systemd make: /init, units, PAM, accounts.

Units are enabled as presets say, else as Debian does: those with an Install section, except a
socket beside a service of the same name. The system starts as on its first boot, so that
systemd makes its machine ID and packages make their keys; it asks no questions on the console.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

_UNITS = "usr/lib/systemd/system/"
_ADMIN_UNITS = "etc/systemd/system/"
_PRESETS = re.compile(r"(?:etc|usr/lib)/systemd/system-preset/[^/]+\.preset")
_SYSTEM_USERS = re.compile(r"usr/lib/sysusers\.d/[^/]+\.conf")
_UNIT_NAME = re.compile(r"[\w@:.\\-]+\.[a-z]+")
_SYSTEMD = "usr/lib/systemd/systemd"
_FIRST_DYNAMIC_ID = 999
# What maintainer scripts copy.
_COPIES = {
    "etc/nsswitch.conf": "usr/share/base-files/nsswitch.conf",
    "etc/ssh/sshd_config": "usr/share/openssh/sshd_config",
}
_PAM_TEMPLATE = "usr/share/pam/common-session"
_PAM_SYSTEMD = re.compile(r"usr/share/pam-configs/systemd")
_RESOLV_CONF = b"L+ /run/resolvconf/resolv.conf - - - - /run/systemd/resolve/stub-resolv.conf\n"
_INSTALL_KEYS = {"WantedBy": ".wants", "RequiredBy": ".requires", "UpheldBy": ".upholds"}


@dataclass(frozen=True, slots=True)
class SystemdFiles:
    """Files and symbolic links by their paths in the image."""

    files: Mapping[str, bytes]
    links: Mapping[str, str]


@dataclass(slots=True)
class _Unit:
    """The Install section of a unit file."""

    name: str
    links: list[tuple[str, str]] = field(default_factory=list)
    default_instance: str = ""

    @property
    def stem(self) -> str:
        return self.name.rpartition(".")[0]

    @property
    def enabled_name(self) -> str:
        """The name that links have: that of the default instance for a template."""
        if not self.stem.endswith("@"):
            return self.name
        return f"{self.stem}{self.default_instance}{self.name.removeprefix(self.stem)}"


def is_systemd_input(path: str) -> bool:
    """Tell whether generated files depend on the content of a file."""
    in_units = path.startswith(_UNITS) and _UNIT_NAME.fullmatch(path.removeprefix(_UNITS))
    patterns = (_PRESETS, _SYSTEM_USERS, _PAM_SYSTEMD)
    return (
        bool(in_units)
        or path in (*_COPIES.values(), _PAM_TEMPLATE)
        or any(pattern.fullmatch(path) for pattern in patterns)
    )


def systemd_files(contents: Mapping[str, bytes], paths: Container[str]) -> SystemdFiles:
    """Return the generated files and links of a system, from its contents and all its paths."""
    files = {path: contents[source] for path, source in _COPIES.items() if source in contents}
    files["etc/machine-id"] = b"uninitialized\n"
    files["usr/lib/dolmen/early-modules"] = b"# The list of Dolmen's init counts.\n"
    if _PAM_TEMPLATE in contents:
        files |= _pam_files(with_systemd=any(_PAM_SYSTEMD.fullmatch(path) for path in contents))
    links = {"init": _SYSTEMD, f"{_ADMIN_UNITS}systemd-firstboot.service": "/dev/null"}
    if "usr/sbin/ldconfig" not in paths:
        # The loader knows the directories of libraries without a cache.
        links[f"{_ADMIN_UNITS}ldconfig.service"] = "/dev/null"
    if f"{_UNITS}systemd-resolved.service" in contents:
        # Where /etc/resolv.conf leads in every system.
        files["usr/lib/tmpfiles.d/image-resolv.conf"] = _RESOLV_CONF
    presets = [*_preset_rules(contents)]
    units = {unit.name: unit for unit in _units(contents)}
    disabled = []
    for name, unit in sorted(units.items()):
        is_spare = name == f"{unit.stem}.socket" and f"{unit.stem}.service" in units
        if _choice(name, presets, default=not is_spare):
            links |= dict(_enabling_links(unit))
        elif is_spare:
            disabled.append(name)
    if disabled:
        lines = "".join(f"disable {name}\n" for name in disabled)
        files["etc/systemd/system-preset/95-image.preset"] = lines.encode()
    return SystemdFiles(files, links)


def _units(contents: Mapping[str, bytes]) -> Iterator[_Unit]:
    for path, content in contents.items():
        name = path.removeprefix(_UNITS)
        if path.startswith(_UNITS) and _UNIT_NAME.fullmatch(name):
            unit = _install_section(name, content)
            if unit.links:
                yield unit


def _install_section(name: str, content: bytes) -> _Unit:
    unit = _Unit(name)
    section = ""
    for line in content.decode("utf-8", "replace").replace("\\\n", " ").splitlines():
        text = line.strip()
        if text.startswith("["):
            section = text
        key, equals, value = text.partition("=")
        if section != "[Install]" or not equals or text.startswith(("#", ";")):
            continue
        key = key.strip()
        if key == "DefaultInstance" and re.fullmatch(r"[\w.-]+", value.strip()):
            unit.default_instance = value.strip()
        elif key in _INSTALL_KEYS or key == "Alias":
            words = (word for word in value.split() if _UNIT_NAME.fullmatch(word))
            unit.links += [(key, word) for word in words]
    return unit


def _enabling_links(unit: _Unit) -> Iterator[tuple[str, str]]:
    if unit.stem.endswith("@") and not unit.default_instance:
        return
    for key, other in unit.links:
        directory = "" if key == "Alias" else f"{other}{_INSTALL_KEYS[key]}/"
        name = other if key == "Alias" else unit.enabled_name
        yield f"{_ADMIN_UNITS}{directory}{name}", f"/{_UNITS}{unit.name}"


def _preset_rules(contents: Mapping[str, bytes]) -> Iterator[tuple[str, bool]]:
    """Yield the patterns of all presets in their order; the first that matches counts."""
    paths = [path for path in contents if _PRESETS.fullmatch(path)]
    for path in sorted(paths, key=lambda p: (p.rpartition("/")[2], p)):
        for line in contents[path].decode("utf-8", "replace").splitlines():
            words = line.split()
            if len(words) >= 2 and words[0] in ("enable", "disable"):
                yield words[1], words[0] == "enable"


def _choice(name: str, rules: Iterable[tuple[str, bool]], *, default: bool) -> bool:
    return next((chosen for pattern, chosen in rules if fnmatchcase(name, pattern)), default)


def _pam_files(*, with_systemd: bool) -> dict[str, bytes]:
    """Return the files that pam-auth-update writes: passwords of Unix, sessions of systemd."""
    one_of = "requisite pam_deny.so", "required pam_permit.so"
    stacks = {
        "auth": ["[success=1 default=ignore] pam_unix.so nullok", *one_of],
        "account": ["[success=1 new_authtok_reqd=done default=ignore] pam_unix.so", *one_of],
        "password": ["[success=1 default=ignore] pam_unix.so obscure yescrypt", *one_of],
        "session": ["required pam_permit.so", "required pam_unix.so"],
    }
    texts = {
        f"etc/pam.d/common-{kind}": [f"{kind} {rule}" for rule in rules]
        for kind, rules in stacks.items()
    }
    texts["etc/pam.d/common-session-noninteractive"] = [*texts["etc/pam.d/common-session"]]
    if with_systemd:
        texts["etc/pam.d/common-session"].append("session optional pam_systemd.so")
    return {path: "".join(f"{line}\n" for line in lines).encode() for path, lines in texts.items()}


@dataclass(slots=True)
class SystemAccounts:
    """The users and groups of sysusers.d: lines of passwd and group by their names."""

    users: dict[str, str] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)


def system_accounts(
    contents: Mapping[str, bytes], users: Mapping[str, str], groups: Mapping[str, str]
) -> SystemAccounts:
    """Return the accounts that sysusers.d adds to those that exist.

    Without a number they have the next below 1000, in the order of the files, so that the same
    packages have the same numbers.
    """
    made = SystemAccounts()
    taken = {int(line.split(":")[2]) for line in (*users.values(), *groups.values())}
    lines = [*_account_lines(contents)]
    taken |= {int(n) for _, _, n, *_ in lines if n.isdigit()}
    free = (number for number in range(_FIRST_DYNAMIC_ID, 100, -1) if number not in taken)
    for kind, name, number, group, comment, home, shell in lines:
        if name in (groups if kind == "g" else users) or name in (
            made.groups if kind == "g" else made.users
        ):
            continue
        known = {**groups, **made.groups}
        chosen = int(number) if number.isdigit() else None
        if chosen is None:
            chosen = int(known[name].split(":")[2]) if name in known else next(free)
        if kind == "g":
            made.groups[name] = f"{name}:*:{chosen}:"
            continue
        if group.isdigit():
            gid = int(group)
        elif group in known:
            gid = int(known[group].split(":")[2])
        else:
            gid = chosen
            if name not in known:
                made.groups[name] = f"{name}:*:{gid}:"
        made.users[name] = f"{name}:*:{chosen}:{gid}:{comment}:{home}:{shell}"
    return made


def _account_lines(contents: Mapping[str, bytes]) -> Iterator[tuple[str, ...]]:
    """Yield kind, name, number, group, comment, home and shell of each line."""
    for path in sorted(path for path in contents if _SYSTEM_USERS.fullmatch(path)):
        for line in contents[path].decode("utf-8", "replace").splitlines():
            try:
                words = shlex.split(line, comments=True)
            except ValueError:
                continue
            words += ["-"] * (6 - len(words))
            kind, name, ids, comment, home, shell = (
                "" if word == "-" and at > 1 else word for at, word in enumerate(words[:6])
            )
            kind = kind.rstrip("!")
            if kind not in ("u", "g") or not re.fullmatch(r"[a-z_][\w-]*", name):
                continue
            if any(c in word for word in (comment, home, shell) for c in ":\n"):
                continue
            number, _, group = ids.partition(":")
            yield (
                kind,
                name,
                "" if number == "-" else number,
                group,
                comment,
                home or "/",
                shell or "/usr/sbin/nologin",
            )
