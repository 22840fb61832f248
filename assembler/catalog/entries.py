"""The entries of the catalogue: what each package is for, where it goes, and an example.

They are not in the packages' directories, since every file there counts for the tag.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent
from typing import Any


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A package of the catalogue."""

    name: str
    # One line, without a full stop.
    purpose: str
    # The sections of image.yml that it goes into; empty for a package of the other uses.
    sections: tuple[str, ...] = ()
    # What it is for if it goes into no image: Dockerfiles, Go programs, formats.
    use: str = ""
    # The package of LinuxKit whose commands, options and paths it accepts.
    replaces: str = ""
    # YAML, or a command.
    example: str = ""

    @property
    def place(self) -> str:
        """Return where the package is used, for people."""
        return ", ".join(self.sections) or self.use

    def as_json(self) -> dict[str, Any]:
        """Return the entry for scripts."""
        return {
            "name": self.name,
            "purpose": self.purpose,
            "sections": list(self.sections),
            "use": self.use,
            "replaces": self.replaces,
            "example": self.example,
        }


def catalog_entries() -> tuple[CatalogEntry, ...]:
    """Return all entries, in the order of their use."""
    return _ENTRIES


def catalog_entry(name: str) -> CatalogEntry:
    """Return the entry of a package that exists."""
    return next(entry for entry in _ENTRIES if entry.name == name)


def _kernel(name: str, purpose: str) -> CatalogEntry:
    example = f'kernel:\n  image: "@dolmen:{name}"\n  cmdline: "console=tty0 console=ttyS0"\n'
    return CatalogEntry(name, purpose, ("kernel",), replaces="kernel", example=example)


def _init(name: str, purpose: str, replaces: str, *before: str) -> CatalogEntry:
    lines = "".join(f'  - "@dolmen:{package}"\n' for package in (*before, name))
    return CatalogEntry(name, purpose, ("init",), replaces=replaces, example=f"init:\n{lines}")


def _container(
    sections: str, name: str, purpose: str, replaces: str = "", rest: str = ""
) -> CatalogEntry:
    """Return the entry of a container; `rest` follows the image in the example."""
    names = tuple(sections.split())
    lines = "".join(f"    {line}\n" if line else "\n" for line in dedent(rest).splitlines())
    example = f'{names[0]}:\n  - name: {name}\n    image: "@dolmen:{name}"\n{lines}'
    return CatalogEntry(name, purpose, names, replaces=replaces, example=example)


def _other(name: str, purpose: str, use: str, example: str, replaces: str = "") -> CatalogEntry:
    return CatalogEntry(name, purpose, use=use, replaces=replaces, example=example)


_BUILD_ARGUMENT = 'image: app\nbuildArgs: ["{}=@dolmen:{}"]\n'

_ENTRIES = (
    _kernel("kernel-virtual", "Debian's kernel, with the drivers of virtual machines"),
    _kernel("kernel-kvm", "Debian's kernel, with the drivers of QEMU and KVM alone"),
    _kernel("kernel-full", "Debian's kernel with all modules"),
    _kernel("kernel-rt", "Debian's kernel for real time, with the drivers of virtual machines"),
    _kernel("kernel-6.12", "a small Linux 6.12 for virtual machines, compiled from source"),
    _kernel("kernel-6.12-kvm", "kernel-6.12 for QEMU and KVM alone, compiled from source"),
    _kernel("kernel-6.1", "a small Linux 6.1 for virtual machines, compiled from source"),
    _kernel("kernel-6.12-dbg", "kernel-6.12 with what finds mistakes, compiled from source"),
    _kernel("kernel-6.12-rt", "kernel-6.12 for real time, compiled from source"),
    _init("init", "the first process, and `service`", "init"),
    _init("crun", "a container runtime, the smaller one", "runc", "init"),
    _init("runc", "a container runtime", "runc", "init"),
    _init("containerd", "services in containerd", "containerd", "init", "crun"),
    _init("debian", "Debian with systemd, as the whole system", ""),
    _init("ca-certificates", "certificate authorities", "ca-certificates", "init", "crun"),
    _init("firmware", "firmware of network cards and disk controllers", "firmware", "init", "crun"),
    _init("firmware-all", "all firmware of Debian", "firmware-all", "init", "crun"),
    _init("memlogd", "logs in memory", "memlogd", "init", "crun"),
    _container("onboot", "sysctl", "kernel parameters", "sysctl"),
    _container("onboot", "sysfs", "settings in /sys", "sysfs"),
    _container(
        "onboot services",
        "rngd",
        "waiting for the kernel's entropy",
        "rngd",
        'command: [/sbin/rngd, "-1"]',
    ),
    _container(
        "onboot", "modprobe", "kernel modules", "modprobe", "command: [modprobe, wireguard]"
    ),
    _container(
        "onboot",
        "firewall",
        "a firewall for all ports that no service exposes",
        rest="# And at the top level, which makes the rules:\n# firewall: {}",
    ),
    _container(
        "onboot",
        "apparmor",
        "AppArmor profiles",
        rest="# And for a service: apparmor: container-default",
    ),
    _container(
        "onboot",
        "binfmt",
        "programs of other architectures",
        "binfmt",
        "command: [/usr/bin/binfmt, aarch64]",
    ),
    _container("onboot", "ip", "network interfaces and WireGuard", "ip"),
    _container("onboot services", "dhcp", "address, route and name servers", "dhcpcd"),
    _container(
        "onboot",
        "metadata",
        "metadata of the machine, from clouds, CDs and files: name, keys, user data",
        "metadata",
        "command: [/usr/bin/metadata, cdrom]",
    ),
    _container(
        "onboot",
        "format",
        "a filesystem on an empty disk",
        "format",
        "command: [/usr/bin/format, -label, DATA]",
    ),
    _container(
        "onboot",
        "mount",
        "mounting a disk",
        "mount",
        "command: [/usr/bin/mountie, -label, DATA, /var/lib/data]",
    ),
    _container(
        "onboot",
        "extend",
        "growing a partition and its filesystem with the disk",
        "extend",
        "command: [/usr/bin/extend, /dev/vda]",
    ),
    _container(
        "onboot",
        "dm-crypt",
        "an encrypted disk",
        "dm-crypt",
        "command: [/usr/bin/crypto, --luks, secret, /dev/vda]",
    ),
    _container(
        "onboot",
        "losetup",
        "a file as a disk",
        "losetup",
        "command: [/usr/bin/loopy, --create, /var/lib/data/disk.img]",
    ),
    _container(
        "onboot",
        "swap",
        "a swap file, optionally encrypted",
        "swap",
        "command: [/swap.sh, --path, /var/lib/data/swap, --size, 1G]",
    ),
    _container(
        "onboot",
        "mkimage",
        "installing an image on a disk",
        "mkimage",
        "command: [/usr/bin/mkimage, /var/lib/data/image.raw.zst, /dev/vda]",
    ),
    _container(
        "services",
        "update",
        "updates of a system with a verified root",
        rest='command: [/usr/bin/dolmen-update, service, --from, "https://updates.example.com/demo/"]',
    ),
    _container("services", "getty", "a shell on the console", "getty", "env:\n  - INSECURE=true"),
    _container("services", "sshd", "login with SSH", "sshd"),
    _container("services", "ntp", "time synchronization", "openntpd"),
    _container(
        "services onboot",
        "host-timesync-daemon",
        "the clock of the host",
        "host-timesync-daemon",
        "command: [/host-timesync-daemon, -interval, 1m]",
    ),
    _container(
        "services",
        "vsudd",
        "sockets for the host, by vsock or virtio-serial",
        "vsudd",
        "binds.add:\n  - /run/web:/run/web\n"
        'command: [/vsudd, -inport, "8080:unix:/run/web/web.sock"]',
    ),
    _container("services", "acpid", "nothing: init handles the power button", "acpid"),
    _container("services onboot", "tss", "programs for a TPM 2.0", "tss"),
    _container(
        "services onboot",
        "bpftrace",
        "questions about what the kernel does",
        "bpftrace",
        "command: [bpftrace, -e, 'tracepoint:sched:sched_process_exec { @[comm] = count(); }']",
    ),
    _container(
        "services onboot",
        "perf",
        "counts and profiles of the kernel and of programs",
        "perf",
        'command: [perf, stat, -a, sleep, "10"]',
    ),
    _container(
        "services",
        "logwrite",
        "logs in files, with rotation",
        "logwrite",
        'command: [/usr/bin/logwrite, -log-dir, /var/log, -max-log-files, "5"]',
    ),
    _container("services", "kmsg", "messages of the kernel in the logs", "kmsg"),
    _container("services", "auditd", "the kernel's audit", "auditd"),
    _container("services", "node_exporter", "metrics for Prometheus", "node_exporter"),
    _container("services", "cadvisor", "metrics of containers for Prometheus", "cadvisor"),
    _container("services", "qemu-ga", "the guest agent of QEMU", "qemu-ga"),
    _container("services", "open-vm-tools", "the guest agent of VMware", "open-vm-tools"),
    _container(
        "services",
        "trim-after-delete",
        "returning blocks of deleted files to the host",
        "trim-after-delete",
        "command: [/usr/bin/trim-after-delete, --, /sbin/fstrim, /var/lib/data]",
    ),
    _container(
        "services",
        "nginx",
        "a web server",
        rest="# Your pages: a directory that `files` or a disk has filled.\n"
        "binds.add:\n  - /etc/www:/srv/www:ro",
    ),
    _container(
        "services",
        "redis",
        "a key-value store",
        rest="binds.add:\n  - /var/lib/data/redis:/data",
    ),
    _container(
        "services",
        "influxdb",
        "a store of figures by time",
        rest="binds.add:\n  - /var/lib/data/influxdb:/data",
    ),
    _container("services", "podman", "containers that are pulled while the system runs"),
    _container(
        "services",
        "poweroff",
        "shutting the system down",
        "poweroff",
        'command: [/usr/sbin/later, "60"]',
    ),
    _container(
        "onboot services onshutdown",
        "dummy",
        "busybox, for short shell scripts",
        rest="command: [sh, -c, 'echo hello']",
    ),
    _other(
        "toolchain-go",
        "Go, for programs of every architecture",
        "Go programs, Dockerfiles",
        'image: app\ngo:\n  toolchain: "@dolmen:toolchain-go"\n  programs:\n    /usr/bin/app: .\n',
        "alpine",
    ),
    _other(
        "toolchain-c",
        "C compilers for three architectures",
        "Dockerfiles",
        _BUILD_ARGUMENT.format("TOOLCHAIN", "toolchain-c"),
        "alpine",
    ),
    _other(
        "toolchain-kernel",
        "what compiles kernels for three architectures",
        "kernels",
        'image: my-kernel\nlinux:\n  toolchain: "@dolmen:toolchain-kernel"\n  config: [my.config]\n'
        "debs: {suite: trixie, packages: [linux-source-6.12]}\n",
    ),
    _other(
        "kernel-6.12-builder",
        "compilers and headers, for modules of kernel-6.12",
        "Dockerfiles",
        _BUILD_ARGUMENT.format("BUILDER", "kernel-6.12-builder"),
    ),
    _other(
        "base",
        "a shell and coreutils",
        "Dockerfiles",
        _BUILD_ARGUMENT.format("BASE", "base"),
        "alpine",
    ),
    _other(
        "bootloaders",
        "boot loaders for UEFI and BIOS",
        "formats",
        "dolmen build --format raw-efi image.yml\n",
        "mkimage-…, grub",
    ),
    _other(
        "imagetools",
        "programs that make filesystems",
        "formats",
        "dolmen build --format kernel+squashfs image.yml\n",
        "mkimage-…",
    ),
)
