"""The catalog of external programs: names, packages, purposes, minimum versions, installation."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from assembler.codes import host
from assembler.errors import HostError
from assembler.tools.distribution import install_command

_VERSION = re.compile(r"\d+(?:\.\d+)+")
_VERSION_TIMEOUT = 10


@dataclass(frozen=True, slots=True)
class Tool:
    """An external program, the Debian package that has it, and its use in Dolmen."""

    program: str
    package: str
    use: str
    # The oldest version that works, where old ones are known not to.
    minimum_version: tuple[int, int] | None = None
    # The option that prints the version.
    version_option: str = "--version"

    @property
    def install(self) -> str:
        """Return the command that installs the program on this host."""
        return install_command(*self.package.split())

    @property
    def minimum_text(self) -> str:
        """Return the minimum version as text, such as `4.6`; an empty text if there is none."""
        return ".".join(map(str, self.minimum_version)) if self.minimum_version else ""

    @property
    def purpose(self) -> str:
        """Return the use of the program, with its minimum version."""
        return f"{self.use} ({self.minimum_text} or newer)" if self.minimum_version else self.use

    def accepts(self, version: str) -> bool:
        """Tell whether a version, such as `4.6.1`, is new enough."""
        numbers = tuple(map(int, version.split(".")[:2]))
        return self.minimum_version is None or numbers >= self.minimum_version


TOOLS: dict[str, Tool] = {
    t.program: t
    for t in (
        Tool("git", "git", "tags of packages, and packages of git repositories (@git:)"),
        Tool("qemu-system-x86_64", "qemu-system-x86", "run amd64 images (dolmen run qemu)"),
        Tool("qemu-system-aarch64", "qemu-system-arm", "run arm64 images (dolmen run qemu)"),
        Tool("qemu-system-riscv64", "qemu-system-misc", "run riscv64 images (dolmen run qemu)"),
        Tool("qemu-system-s390x", "qemu-system-misc", "run s390x images (dolmen run qemu)"),
        Tool("qemu-img", "qemu-utils", "disks of machines in formats other than raw and qcow2"),
        Tool("mksquashfs", "squashfs-tools", "squashfs outputs", (4, 6), "-version"),
        Tool("mkfs.erofs", "erofs-utils", "erofs outputs", (1, 8)),
        Tool("mkfs.xfs", "xfsprogs", "xfs partitions of verified systems", version_option="-V"),
        Tool("buildah", "buildah", "packages whose Dockerfile has RUN lines"),
        Tool(
            "docker",
            "docker.io",
            "packages built by BuildKit or the Docker daemon; images of the local daemon",
        ),
        Tool("apt-get", "apt", "Debian packages resolved by apt; else they are resolved in Python"),
        Tool("gpgv", "gpgv", "signatures of archives, if pysequoia is not installed"),
        Tool("swtpm", "swtpm", "a TPM for machines in QEMU"),
        Tool("dnsmasq", "dnsmasq-base", "addresses for machines (--networking bridge,br0,nat)"),
        Tool(
            "ssh",
            "openssh-client",
            "a shell in machines (dolmen run qemu --ssh, dolmen ssh)",
            version_option="-V",
        ),
        Tool("ssh-keygen", "openssh-client", "keys for machines (dolmen run qemu --ssh)"),
    )
}


def find_program(program: str) -> Path | None:
    """Return the path of a program in TOOLS, or None if it is not installed."""
    path = shutil.which(TOOLS[program].program)
    return Path(path) if path else None


def require_program(program: str) -> Path:
    """Return the path of a program in TOOLS, or raise an error with the command to install it."""
    path = find_program(program)
    if path is None:
        tool = TOOLS[program]
        raise HostError.of(
            host.TOOL_MISSING,
            f"{program} is not installed; it is needed for {tool.purpose}",
            tool.install,
        )
    return path


def program_version(program: str, path: Path, timeout: float = _VERSION_TIMEOUT) -> str:
    """Return the version that the program at `path` prints, or an empty text."""
    try:
        process = subprocess.run(
            [path, TOOLS[program].version_option],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = _VERSION.search(process.stdout + process.stderr)
    return match.group() if match else ""
