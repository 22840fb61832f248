"""A user compiles a kernel from the Debian package of a source: here one that takes no time."""

from __future__ import annotations

import lzma
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.oci.platform import host_platform
from support.debian import Deb, File, make_archive, tar
from support.nobody import LAUNCHER, home_of_nobody, why_not
from support.recipes import Packages, commit, git

if TYPE_CHECKING:
    from support.cli import Dolmen

HERE = host_platform().architecture
# What the compilation runs, from this machine.
PROGRAMS = ("sh", "make", "tar", "xz", "mkdir", "cp", "grep")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(HERE != "amd64", reason="the kernel of this test is for amd64"),
    *(
        pytest.mark.skipif(not shutil.which(name), reason=f"{name} is not installed")
        for name in (*PROGRAMS, "ldd")
    ),
]
# It says by a number of chance whether it was compiled again.
MAKEFILE = """
boot = $(O)/arch/x86/boot
allnoconfig:
\tmkdir -p $(O)
\tgrep -v USB $(KCONFIG_ALLCONFIG) > $(O)/.config
bzImage:
\tmkdir -p $(boot) $(O)/include/config
\techo 6.12.0-test > $(O)/include/config/kernel.release
\techo "$(KBUILD_BUILD_TIMESTAMP) $(KBUILD_BUILD_USER) $$(cat /proc/sys/kernel/random/uuid)" \\
\t\t> $(boot)/bzImage
\techo compiling in $$PWD
modules:
\tgrep -c : /proc/net/dev
modules_install:
\tmkdir -p $(INSTALL_MOD_PATH)/lib/modules/6.12.0-test
\techo kernel/net/net.ko > $(INSTALL_MOD_PATH)/lib/modules/6.12.0-test/modules.builtin
"""
KCONFIG = """
config NET
\tbool "Network"
config USB
\tbool "USB"
\tdepends on PCI && NET
config PCI
\tbool "PCI"
"""
RECIPE = """
image: kernel
org: example
arches: [amd64]
linux:
  toolchain: "@dolmen:pkg:../toolchain"
  config: [base.config, "other.config [arm64]"]
debs:
  suite: trixie
  packages: [linux-source-6.12]
"""
TOOLCHAIN = """
image: toolchain
org: example
arches: [amd64]
debs: {suite: trixie, packages: [programs]}
"""


def programs() -> dict[str, File]:
    """Return programs of this machine with their libraries, by their paths in a package."""
    found = {}
    for name in (*PROGRAMS, "cat"):
        path = shutil.which(name)
        assert path is not None
        found[f"usr/bin/{name}"] = File(Path(path).read_bytes(), 0o755)
        listed = subprocess.run(["ldd", path], capture_output=True, text=True, check=True)
        for word in listed.stdout.split():
            if word.startswith("/"):
                library = "usr/" + word.removeprefix("/usr").lstrip("/")
                found[library] = File(Path(word).read_bytes(), 0o755)
    return found


def source(makefile: str = MAKEFILE) -> bytes:
    """Return the archive of a kernel's source."""
    # Names begin with `./`, which is the directory that is left out.
    files = {"Makefile": makefile.encode(), "Kconfig": KCONFIG.encode()}
    return lzma.compress(tar(files))


def prepare(base: Path, makefile: str = MAKEFILE) -> Path:
    """Write the packages of a kernel and its toolchain, and an archive; return the archive."""
    path = "usr/src/linux-source-6.12.tar.xz"
    for name, recipe in (("kernel", RECIPE), ("toolchain", TOOLCHAIN)):
        (base / "repository" / name).mkdir(parents=True)
        (base / "repository" / name / "build.yml").write_text(recipe)
    (base / "repository/kernel/base.config").write_text("CONFIG_NET=y\n")
    debs = [
        Deb("linux-source-6.12", "6.12.1-1", "all", {path: source(makefile)}),
        Deb("programs", files=programs()),
    ]
    return make_archive(base / "archive", debs)


@pytest.fixture
def packages(dolmen: Dolmen, tmp_path: Path) -> Packages:
    """Give a repository with a kernel and its toolchain, and an archive."""
    archive = prepare(tmp_path)
    git(tmp_path / "repository", "init", "-q", ".")
    commit(tmp_path / "repository")
    return Packages(dolmen, archive, tmp_path / "store")


def kernel(packages: Packages, name: str) -> str:
    """Return the kernel of an image."""
    file = packages.layer(name).extractfile("kernel")
    assert file is not None
    return file.read().decode()


def test_a_kernel_is_compiled_once(packages: Packages, tmp_path: Path) -> None:
    package = tmp_path / "repository/kernel"
    first = packages.build(package)
    layer = packages.layer(first)
    assert kernel(packages, first).startswith("2023-11-14 22:13:20 UTC dolmen ")
    config = layer.extractfile("kernel-config")
    assert config is not None
    assert config.read() == b"CONFIG_NET=y\n"
    modules = layer.extractfile("kernel.tar")
    assert modules is not None
    assert b"usr/lib/modules/6.12.0-test/modules.builtin" in modules.read()
    (package / "README.md").write_text("A kernel.\n")
    commit(package)
    second = packages.build(package)
    assert second != first
    assert kernel(packages, second) == kernel(packages, first)
    (package / "base.config").write_text("CONFIG_NET=y\nCONFIG_PCI=y\n")
    commit(package)
    third = packages.build(package)
    assert kernel(packages, third) != kernel(packages, first)


def test_a_strict_umask_keeps_no_compiler_out(packages: Packages, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        name = packages.build(tmp_path / "repository/kernel")
    finally:
        os.umask(before)
    assert kernel(packages, name).startswith("2023-11-14 22:13:20 UTC dolmen ")


def test_the_compiler_has_no_network_and_a_path_of_its_own(
    packages: Packages, tmp_path: Path
) -> None:
    packages.build(tmp_path / "repository/kernel")
    logs = "".join(p.read_text() for p in (packages.store / "logs").glob("example_kernel*"))
    lines = logs.splitlines()
    assert "compiling in /build/linux" in lines
    # The loopback device alone.
    assert "1" in lines


def test_an_option_that_is_dropped_is_an_error(packages: Packages, tmp_path: Path) -> None:
    package = tmp_path / "repository/kernel"
    (package / "base.config").write_text("CONFIG_NET=y\nCONFIG_USB=y\n")
    commit(package)
    done = packages.run("build", package)
    assert done.returncode == 1
    assert "DM0776" in done.stderr
    assert "CONFIG_USB=y is off in the kernel: it depends on PCI (off)" in done.stderr
    assert "base.config:2" in done.stderr


def test_a_compiler_that_fails_is_shown(dolmen: Dolmen, tmp_path: Path) -> None:
    makefile = MAKEFILE.replace("modules:\n", "modules:\n\techo main.c:1: error: no such type\n")
    archive = prepare(tmp_path, makefile.replace("\tgrep -c", "\tfalse\n\tgrep -c"))
    packages = Packages(dolmen, archive, tmp_path / "store")
    done = packages.run("build", tmp_path / "repository/kernel")
    assert done.returncode == 1
    assert "DM0775" in done.stderr
    assert "main.c:1: error: no such type" in done.stderr


@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_another_user_compiles_a_kernel() -> None:
    with home_of_nobody() as home:
        archive = prepare(home)
        done = subprocess.run(
            [*LAUNCHER, sys.executable, "-m", "dolmen", "pkg", "build", home / "repository/kernel"],
            cwd=home,
            env={
                "HOME": str(home),
                "PATH": os.environ["PATH"],
                "DOLMEN_DEBIAN_MIRROR": f"[trusted=yes] file:{archive}",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("example/kernel:")
