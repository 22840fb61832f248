"""External programs: the one place that knows their names, finds them and says how to get them."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from assembler.codes import host
from assembler.errors import HostError


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that some work is left to."""

    program: str
    package: str
    purpose: str
    variable: str = ""

    @property
    def install(self) -> str:
        """Return the line that installs it on Debian and its relatives."""
        return f"sudo apt-get install {self.package}"


TOOLS: dict[str, Tool] = {
    t.program: t
    for t in (
        Tool("git", "git", "tags of packages: the tree hash and what is not committed"),
        Tool("qemu-system-x86_64", "qemu-system-x86", "run amd64 images (dolmen run qemu)"),
        Tool("qemu-system-aarch64", "qemu-system-arm", "run arm64 images (dolmen run qemu)"),
        Tool("qemu-system-riscv64", "qemu-system-misc", "run riscv64 images (dolmen run qemu)"),
        Tool("qemu-img", "qemu-utils", "disks for machines in formats but raw and qcow2"),
        Tool("mksquashfs", "squashfs-tools", "squashfs outputs (4.6 or newer)"),
        Tool("mkfs.erofs", "erofs-utils", "erofs outputs (1.8 or newer)"),
        Tool("buildah", "buildah", "packages with a Dockerfile that has RUN lines"),
        Tool(
            "docker",
            "docker.io",
            "packages built by BuildKit or its daemon; images of the local daemon",
        ),
        Tool("apt-get", "apt", "Debian packages as apt chooses them; without it, done in Python"),
        Tool("gpgv", "gpgv", "signatures of archives, where pysequoia is not to be had"),
        Tool("swtpm", "swtpm", "a TPM for machines run in QEMU"),
        Tool("dnsmasq", "dnsmasq-base", "addresses for machines (--networking bridge,br0,nat)"),
        Tool("ssh", "openssh-client", "a shell in machines (dolmen run qemu --ssh, dolmen ssh)"),
        Tool("ssh-keygen", "openssh-client", "keys for machines (dolmen run qemu --ssh)"),
    )
}


def find(program: str) -> Path | None:
    """Return the program's path, or nothing if this machine lacks it."""
    tool = TOOLS[program]
    chosen = os.environ.get(tool.variable) if tool.variable else None
    path = shutil.which(chosen or program)
    return Path(path) if path else None


def need(program: str) -> Path:
    """Return the program's path, or raise an error that says how to install it."""
    path = find(program)
    if path is None:
        tool = TOOLS[program]
        raise HostError.of(
            host.TOOL_MISSING,
            f"{program} is not installed; it is needed for {tool.purpose}",
            tool.install,
        )
    return path
