"""The distribution of this host, and the names of packages in it."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Distribution:
    """A family of distributions, and the release, as `("debian", "Debian", (12,))`."""

    family: str
    title: str
    # Empty for a rolling release, or one that is not known.
    release: tuple[int, ...] = ()

    @classmethod
    def of_host(cls) -> Distribution:
        """Return the distribution that this process runs on."""
        if platform.system() == "Darwin":
            return cls("macos", "macOS")
        try:
            return cls.parse(platform.freedesktop_os_release())
        except OSError:
            return cls("", "this system")

    @classmethod
    def parse(cls, os_release: dict[str, str]) -> Distribution:
        """Return the distribution that the members of /etc/os-release describe."""
        own = os_release.get("ID", "")
        words = (own, *os_release.get("ID_LIKE", "").split())
        family = next((_FAMILIES[w] for w in words if w in _FAMILIES), "")
        numbers = os_release.get("VERSION_ID", "").split(".")
        # Only of these are the releases known; derivatives count their own.
        known = own in ("debian", "ubuntu") and all(n.isdigit() for n in numbers)
        release = tuple(map(int, numbers)) if known else ()
        name = os_release.get("NAME", own).removesuffix(" GNU/Linux") or "this system"
        title = f"{name} {'.'.join(numbers)}" if known else name
        return cls("ubuntu" if own == "ubuntu" else family, title, release)


_FAMILIES = {
    "debian": "debian",
    "ubuntu": "debian",
    "fedora": "fedora",
    "rhel": "fedora",
    "arch": "arch",
    "alpine": "alpine",
    "suse": "suse",
    "opensuse": "suse",
}
_INSTALL = {
    "debian": "sudo apt-get install",
    "ubuntu": "sudo apt-get install",
    "fedora": "sudo dnf install",
    "arch": "sudo pacman -S",
    "alpine": "doas apk add",
    "suse": "sudo zypper install",
    "macos": "brew install",
}
# The names of Debian's packages elsewhere, by family; an empty text: the family has none.
_NAMES: dict[str, dict[str, str]] = {
    "git": {},
    "qemu-system-x86": {"alpine": "qemu-system-x86_64", "suse": "qemu-x86", "macos": "qemu"},
    "qemu-system-arm": {
        "fedora": "qemu-system-aarch64",
        "arch": "qemu-system-aarch64",
        "alpine": "qemu-system-aarch64",
        "suse": "qemu-arm",
        "macos": "qemu",
    },
    "qemu-system-misc": {
        "fedora": "qemu-system-riscv",
        "arch": "qemu-system-riscv",
        "alpine": "qemu-system-riscv64",
        "suse": "qemu-extra",
        "macos": "qemu",
    },
    "qemu-utils": {
        "fedora": "qemu-img",
        "arch": "qemu-img",
        "alpine": "qemu-img",
        "suse": "qemu-tools",
        "macos": "qemu",
    },
    "squashfs-tools": {"suse": "squashfs", "macos": "squashfs"},
    "erofs-utils": {},
    "buildah": {"macos": ""},
    "uidmap": {
        "fedora": "shadow-utils",
        "arch": "shadow",
        "alpine": "shadow-uidmap",
        "suse": "shadow",
        "macos": "",
    },
    "docker.io": {
        "fedora": "moby-engine",
        "arch": "docker",
        "alpine": "docker",
        "suse": "docker",
        "macos": "--cask docker",
    },
    "docker-buildx": {"alpine": "docker-cli-buildx", "macos": "docker-buildx"},
    "apt": {"fedora": "apt", "arch": "", "alpine": "", "suse": "", "macos": ""},
    "gpgv": {
        "fedora": "gnupg2",
        "arch": "gnupg",
        "suse": "gpg2",
        "macos": "gnupg",
    },
    "swtpm": {},
    "dnsmasq-base": dict.fromkeys(("fedora", "arch", "alpine", "suse", "macos"), "dnsmasq"),
    "openssh-client": {
        "fedora": "openssh-clients",
        "arch": "openssh",
        "alpine": "openssh-client-default openssh-keygen",
        "suse": "openssh-clients",
        "macos": "openssh",
    },
    "virtiofsd": {"macos": ""},
    "ovmf": {
        "fedora": "edk2-ovmf",
        "arch": "edk2-ovmf",
        "suse": "qemu-ovmf-x86_64",
        "macos": "qemu",
    },
    "qemu-efi-aarch64": {
        "fedora": "edk2-aarch64",
        "arch": "edk2-aarch64",
        "alpine": "aavmf",
        "suse": "qemu-uefi-aarch64",
        "macos": "qemu",
    },
    "qemu-efi-riscv64": {
        "fedora": "edk2-riscv64",
        "arch": "",
        "alpine": "",
        "suse": "",
        "macos": "",
    },
}
# The first releases that have a package; what earlier ones have instead, or nothing.
_SINCE: dict[str, tuple[dict[str, tuple[int, ...]], str]] = {
    "virtiofsd": ({"debian": (13,), "ubuntu": (23, 4)}, "qemu-system-common"),
    "docker-buildx": ({"debian": (13,), "ubuntu": (22, 4)}, ""),
    "qemu-efi-riscv64": ({"debian": (13,), "ubuntu": (24, 4)}, ""),
}
# The first releases whose package is new enough for Dolmen.
_NEW_ENOUGH: dict[str, dict[str, tuple[int, ...]]] = {
    "squashfs-tools": {"debian": (13,), "ubuntu": (24, 4)},
    "erofs-utils": {"debian": (13,), "ubuntu": (25, 4)},
}


@cache
def host_distribution() -> Distribution:
    """Return the distribution of this host; it is read once."""
    return Distribution.of_host()


def package_name(package: str, on: Distribution) -> str:
    """Return the name of one of Debian's packages on a distribution; empty if it has none."""
    if on.family in ("debian", "ubuntu"):
        since, before = _SINCE.get(package, ({}, ""))
        first = since.get(on.family, ())
        return before if on.release and on.release < first else package
    return _NAMES.get(package, {}).get(on.family, package)


def install_command(*packages: str, on: Distribution | None = None) -> str:
    """Return the command that installs packages of Debian, by their names on this host."""
    on = on or host_distribution()
    named = {package: package_name(package, on) for package in packages}
    if missing := [package for package, name in named.items() if not name]:
        return f"{on.title} has no package of {' and '.join(missing)}"
    command = _INSTALL.get(on.family, "")
    names = " ".join(dict.fromkeys(named.values()))
    return f"{command} {names}" if command else f"install {names}, as Debian calls it"


def has_new_enough(package: str, on: Distribution | None = None) -> bool:
    """Tell whether the distribution's package is new enough for Dolmen, as far as is known."""
    on = on or host_distribution()
    first = _NEW_ENOUGH.get(package, {}).get(on.family, ())
    return not on.release or on.release >= first
