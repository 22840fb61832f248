"""Files for monitors of small machines: a kernel that these take, and descriptions for them."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from assembler.errors import OutputError
from support.archives import E, image
from support.formats import CMDLINE, YAML, SmallSystem
from support.kernels import PACKERS, arm64_image, bzimage, vmlinux, zboot
from support.monitor_schemas import CLOUD_HYPERVISOR, FIRECRACKER

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = (
    *("-kernel", "-initrd.img", "-cmdline", "-vmlinux"),
    *("-firecracker.json", "-cloud-hypervisor.json"),
)


def with_kernel(system: SmallSystem, content: bytes) -> str:
    """Return the YAML of a system with a kernel."""
    image(system.store, "made/small:1", (E("kernel", content),), architecture=system.architecture)
    return YAML.replace("made/bootable:1", "made/small:1")


def document(folder: Path, monitor: str) -> Any:
    """Read a description."""
    return json.loads((folder / f"os-{monitor}.json").read_text())


@pytest.mark.parametrize("packer", PACKERS)
def test_the_kernel_is_unpacked(packer: str, system: SmallSystem, tmp_path: Path) -> None:
    packed = bzimage(PACKERS[packer](vmlinux()))
    outputs = system.write(tmp_path, "microvm", yaml=with_kernel(system, packed))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f"os{s}" for s in SUFFIXES)
    for output in outputs:
        assert output.path is not None
        assert output.size == output.path.stat().st_size
    assert (tmp_path / "os-vmlinux").read_bytes() == vmlinux()
    assert (tmp_path / "os-kernel").read_bytes() == packed
    assert (tmp_path / "os-cmdline").read_text() == CMDLINE


def test_a_plain_kernel_stays_as_it_is(system: SmallSystem, tmp_path: Path) -> None:
    system.write(tmp_path, "microvm", yaml=with_kernel(system, vmlinux()))
    for suffix in ("-kernel", "-vmlinux"):
        assert (tmp_path / f"os{suffix}").read_bytes() == vmlinux()


@pytest.mark.parametrize(
    "content",
    [
        arm64_image(),
        PACKERS["gzip"](arm64_image()),
        zboot(PACKERS["gzip"](arm64_image())),
        zboot(PACKERS["zstd"](arm64_image())),
    ],
    ids=["plain", "gzip", "zboot", "zboot with zstd"],
)
def test_a_kernel_for_arm64_is_an_image(
    content: bytes, arm_system: SmallSystem, tmp_path: Path
) -> None:
    arm_system.write(tmp_path, "microvm", yaml=with_kernel(arm_system, content))
    assert (tmp_path / "os-vmlinux").read_bytes() == arm64_image()
    assert document(tmp_path, "firecracker")["boot-source"]["boot_args"] == CMDLINE


def test_descriptions_are_what_the_monitors_read(system: SmallSystem, tmp_path: Path) -> None:
    yaml = with_kernel(system, bzimage(PACKERS["gzip"](vmlinux())))
    system.write(tmp_path, "microvm", yaml=yaml)
    firecracker, cloud_hypervisor = (
        document(tmp_path, name) for name in ("firecracker", "cloud-hypervisor")
    )
    jsonschema.validate(firecracker, FIRECRACKER)
    jsonschema.validate(cloud_hypervisor, CLOUD_HYPERVISOR)
    boot, payload = firecracker["boot-source"], cloud_hypervisor["payload"]
    assert boot["boot_args"] == f"{CMDLINE} reboot=k"
    assert payload["cmdline"] == CMDLINE
    # They are started in the directory of the files.
    for name in ("kernel_image_path", "initrd_path"):
        assert (tmp_path / boot[name]).is_file()
    for name in ("kernel", "initramfs"):
        assert (tmp_path / payload[name]).is_file()
    assert firecracker["machine-config"]["mem_size_mib"] == 512
    assert cloud_hypervisor["memory"]["size"] == 512 << 20


def test_a_large_initrd_gets_more_memory(system: SmallSystem, tmp_path: Path) -> None:
    noise = random.Random(1).randbytes(64 << 20)
    image(system.store, "made/noise:1", (E("noise", noise),))
    yaml = with_kernel(system, vmlinux()).replace('init: ["', 'init: ["made/noise:1", "')
    system.write(tmp_path, "microvm", yaml=yaml)
    assert document(tmp_path, "firecracker")["machine-config"]["mem_size_mib"] == 640
    assert document(tmp_path, "cloud-hypervisor")["memory"]["size"] == 640 << 20


def test_words_of_the_command_line_for_resets_are_kept(system: SmallSystem, tmp_path: Path) -> None:
    yaml = with_kernel(system, vmlinux()).replace(CMDLINE, "reboot=t quiet")
    system.write(tmp_path, "microvm", yaml=yaml)
    assert document(tmp_path, "firecracker")["boot-source"]["boot_args"] == "reboot=t quiet"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (bzimage(b"plain" * 100), "the kernel is not compressed in a known way"),
        (bzimage(PACKERS["gzip"](b"no ELF" * 100)), "the kernel has no vmlinux"),
        (bzimage(PACKERS["gzip"](vmlinux(machine=183))), "the kernel has no vmlinux"),
        (bzimage(PACKERS["gzip"](vmlinux())[:-90]), "the kernel is not whole"),
        (bzimage(PACKERS["gzip"](vmlinux(pvh=False))), "it has no entry point for PVH"),
        (bzimage(b""), "the kernel is not compressed in a known way"),
        (b"", "the kernel is not compressed in a known way"),
        (vmlinux()[:40], "the kernel is not compressed in a known way"),
        (vmlinux()[:64], "it has no entry point for PVH"),
    ],
    ids=[
        *("no payload", "other payload", "other machine", "cut short", "no PVH"),
        *("empty payload", "empty", "half a header", "a header alone"),
    ],
)
def test_a_kernel_that_is_of_no_use_is_refused(
    content: bytes, message: str, system: SmallSystem, tmp_path: Path
) -> None:
    yaml = with_kernel(system, content)
    with pytest.raises(OutputError, match=f"DM0624.*{message}"):
        system.write(tmp_path / "out", "tar,microvm", yaml=yaml)
    assert not list((tmp_path / "out").iterdir())


def test_kernel_and_initrd_are_shared_with_other_formats(
    system: SmallSystem, tmp_path: Path
) -> None:
    system.write(tmp_path, "microvm,kernel+initrd", yaml=with_kernel(system, vmlinux()))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f"os{s}" for s in SUFFIXES)
