"""The kernel that is compiled from source: its options, and a boot of the one that is kept."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from assembler.oci.platform import Platform
from assembler.oci.reference import Reference
from assembler.oci.store import Store, find_image
from support.cli import Dolmen
from support.guests import HOME, REPOSITORY, assemble, boot_and, needs_qemu

if TYPE_CHECKING:
    from pathlib import Path

    from support.guest import Files, Guest

pytestmark = [pytest.mark.slow, pytest.mark.boot, pytest.mark.whole, needs_qemu]

# On amd64; a larger one has options that were not meant.
LARGEST = 5_500_000
KERNEL = REPOSITORY / "kernel/6.12"
STORE = HOME / ".cache/dolmen"
HOW = f"the kernel is not kept; compile it: dolmen pkg build --cache {STORE} {KERNEL}"
SYSTEM = f"""
kernel: {{image: "@pkg:{KERNEL}", cmdline: "console=ttyS0 dolmen.output"}}
init: ["@pkg:{REPOSITORY}/pkg/init", "@pkg:{REPOSITORY}/pkg/crun"]
onboot:
  - name: dhcp
    image: "@pkg:{REPOSITORY}/pkg/dhcp"
services:
  - name: kernel
    image: "@pkg:{REPOSITORY}/pkg/dummy"
    command:
      - /usr/bin/sh
      - -c
      - uname -r; cat /proc/filesystems; cat /sys/kernel/security/lsm; echo all is said; sleep 1000
    binds: ["/sys/kernel/security:/sys/kernel/security"]
"""
MODULE = """
#include <linux/module.h>
static int __init hello_init(void) { pr_info("hello from a module of our own\\n"); return 0; }
static void __exit hello_exit(void) { }
module_init(hello_init);
module_exit(hello_exit);
MODULE_DESCRIPTION("An example");
MODULE_LICENSE("GPL");
"""
DOCKERFILE = """
ARG BUILDER
FROM ${BUILDER} AS build
COPY hello.c Makefile /src/
RUN make -C /lib/modules/*/build M=/src modules && mkdir /out && cp /src/*.ko /out
FROM scratch
COPY --from=build /out /usr/lib/modules/extra
"""
PACKAGE = """
image: hello
org: example
arches: [amd64]
buildArgs: ["BUILDER=@dolmen:kernel-6.12-builder"]
"""


@pytest.fixture
def kept(tmp_path: Path) -> Files:
    """Give a system with the kernel, which takes too long to compile here."""
    HOME.mkdir(parents=True, exist_ok=True)
    words = ("pkg", "build", "--dry-run", "--platforms", "linux/amd64", KERNEL)
    planned = Dolmen(HOME).run(*words)
    assert planned.returncode == 0, planned.stderr
    lines = (planned.stdout + planned.stderr).splitlines()
    (own,) = (line for line in lines if "/kernel-6.12:" in line)
    if "up to date" not in own:
        pytest.skip(HOW)
    yaml = tmp_path / "system.yml"
    yaml.write_text(SYSTEM)
    return assemble(yaml, tmp_path)


# Each source is unpacked once: 1.6 GB each.
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not shutil.which("unshare"), reason="unshare is not installed")
def test_every_option_is_as_the_fragments_ask() -> None:
    HOME.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "DOLMEN_CACHE": str(STORE)}
    command = ["make", "-C", str(REPOSITORY / "kernel"), "check", "ARCH="]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("6.12", "6.12-dbg", "6.12-rt"):
        for architecture in ("amd64", "arm64", "riscv64"):
            assert f"{name} for {architecture}: all options are met" in done.stdout


def test_the_kept_kernel_boots(kept: Files) -> None:
    def check(guest: Guest) -> None:
        guest.wait_for(r"init: started in")
        guest.wait_for(r"all is said")
        text = guest.text()
        assert "-dolmen" in text
        for name in ("squashfs", "erofs", "overlay", "virtiofs", "9p", "ext4"):
            assert f"\t{name}" in text
        for name in ("landlock", "yama", "apparmor"):
            assert name in text
        assert "failed" not in text

    boot_and(kept, check)


def test_a_module_of_our_own_is_loaded(kept: Files) -> None:
    package = kept.directory / "hello"
    package.mkdir()
    for name, text in (
        ("hello.c", MODULE),
        ("Makefile", "obj-m := hello.o\n"),
        ("Dockerfile", DOCKERFILE),
        ("build.yml", PACKAGE),
    ):
        (package / name).write_text(text)
    with_module = SYSTEM.replace('/pkg/crun"]', f'/pkg/crun", "@pkg:{package}"]')
    with_module += """    capabilities: [CAP_SYS_MODULE]
"""
    with_module = with_module.replace(
        "uname -r; cat", "insmod /usr/lib/modules/extra/hello.ko; cat /proc/modules; cat"
    ).replace('binds: ["', 'binds: ["/usr/lib/modules:/usr/lib/modules", "')
    yaml = kept.directory / "module.yml"
    yaml.write_text(with_module)

    def check(guest: Guest) -> None:
        guest.wait_for(r"all is said")
        assert re.search(r"hello \d+ 0 - Live", guest.text())

    boot_and(assemble(yaml, kept.directory), check)


def test_the_kept_kernel_is_small(kept: Files) -> None:  # noqa: ARG001 - it has to be kept
    name = Dolmen(HOME).run("pkg", "show-tag", KERNEL).stdout.strip()
    store = Store(STORE)
    image = find_image(store, Reference.parse(name), Platform("linux", "amd64"))
    with tarfile.open(store.path(image.manifest.layers[0].digest)) as layer:
        assert layer.getmember("kernel").size <= LARGEST
