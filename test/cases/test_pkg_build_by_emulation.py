"""A user builds a Dockerfile with RUN for another architecture, with emulation."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.oci.platform import Platform, host_platform
from support.dockerfiles import Kitchen
from support.from_debian import installed, skip_without_an_archive

if TYPE_CHECKING:
    from support.cli import Dolmen

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("buildah"), reason="buildah is not installed"),
    pytest.mark.skipif(not shutil.which("apt-get"), reason="apt-get is not installed"),
    pytest.mark.skipif(os.getuid() != 0, reason="a namespace for all users is made by root"),
    pytest.mark.skipif(host_platform().architecture != "amd64", reason="what is emulated is arm64"),
]
ARM64 = Platform("linux", "arm64")
HEAD = "image: {}\norg: example\narches: [arm64]\n"
SHELL = "debs: {suite: trixie, packages: [busybox-static], links: {/bin/sh: busybox}}\n"
# How the kernel tells programs for arm64: by the head of an ELF file, as far as the mask goes.
_MAGIC = r"\x7fELF\x02\x01\x01" + r"\x00" * 9 + r"\x02\x00\xb7\x00"
_MASK = r"\xff" * 7 + r"\x00" + r"\xff" * 8 + r"\xfe\xff\xff\xff"
# Its table of emulators is one of the namespace: this machine's is not touched.
REGISTER = r"""
read _
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc &&
printf %s "$1" > /proc/sys/fs/binfmt_misc/register || exit 99
shift
exec "$@"
"""


def emulating(emulator: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program in a namespace where programs for arm64 are emulated."""
    rule = f":qemu-aarch64:M::{_MAGIC}:{_MASK}:{emulator}:F"
    process = subprocess.Popen(
        ["unshare", "--user", "--mount", "sh", "-c", REGISTER, "sh", rule, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    own, end = Path("/proc/self/ns/user").readlink(), time.monotonic() + 30
    theirs = Path(f"/proc/{process.pid}/ns/user")
    while process.poll() is None and theirs.readlink() == own:
        assert time.monotonic() < end
        time.sleep(0.01)
    for name in ("uid_map", "gid_map") if process.poll() is None else ():
        Path(f"/proc/{process.pid}/{name}").write_text("0 0 65536")
    out, errors = process.communicate("\n", timeout=300)
    if process.returncode == 99:
        pytest.skip(f"this kernel has no emulators of a namespace's own: {errors}")
    return subprocess.CompletedProcess(words, process.returncode, out, errors)


def test_programs_of_another_architecture_are_run(
    dolmen: Dolmen,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> None:
    # No emulators but the one.
    dropped = 'drop: ["/usr/share/**", "/usr/bin/qemu-[!a]*", "/usr/bin/qemu-a[!a]*"]'
    work = tmp_path_factory.mktemp("install")
    root = installed(request.config, work, "qemu-user", "qemu-user", dropped)
    kitchen = Kitchen(tmp_path)
    kitchen.package("", None, HEAD.format("shell") + SHELL, "shell")
    app = kitchen.package(
        "ARG SHELL_\nFROM $SHELL_\nRUN busybox uname -m > /made\n",
        None,
        HEAD.format("app") + "buildArgs: ['SHELL_=@dolmen:pkg:../shell']\n",
    )
    git = ["git", "-c", "user.name=n", "-c", "user.email=e"]
    for words in (["init", "-q", "."], ["add", "app", "shell"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *words], cwd=tmp_path, check=True)
    # No registry answers there, and Debian's archive is needed.
    registry = ("--org", "localhost:1/example")
    command = ("pkg", "build", *registry, "--cache", kitchen.store.root, app)
    if not any(Path("/proc/sys/fs/binfmt_misc").glob("qemu-*")):
        done = dolmen.run(*command)
        skip_without_an_archive(done)
        assert (done.returncode, "this machine (amd64) cannot run" in done.stderr) == (1, True)
        assert "emulat" in done.stderr
    python = ["env", *(f"{k}={v}" for k, v in dolmen.environment().items()), sys.executable]
    done = emulating(root / "usr/bin/qemu-aarch64", *python, "-m", "dolmen", *command)
    assert done.returncode == 0, done.stderr
    assert kitchen.tree(done.stdout.strip(), ARM64)["made"][1] == b"aarch64\n"
