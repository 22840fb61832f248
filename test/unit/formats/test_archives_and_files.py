"""Formats whose outputs are plain files, archives or images: tarfile and the store read them."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from typing import TYPE_CHECKING

import pytest
import zstandard

from assembler.encode.compression import Compression
from assembler.errors import OutputError
from assembler.formats import Target, select_formats, write_formats
from assembler.oci import Platform, Reference, find_image
from support.archives import E, image
from support.cpio import archives_of
from support.formats import CMDLINE, FILES, LINKS, WITHOUT_KERNEL, SmallSystem
from support.programs import kernel

if TYPE_CHECKING:
    from pathlib import Path

BASIC = {"bin", "etc", "etc/issue", *FILES, *LINKS}


def members(path: Path) -> dict[str, tarfile.TarInfo]:
    """Return the members of a tar by their names."""
    with tarfile.open(path) as archive:
        return {member.name: member for member in archive}


def contents(path: Path) -> dict[str, bytes]:
    """Return the contents of the files in a tar."""
    with tarfile.open(path) as archive:
        return {
            member.name: file.read()
            for member in archive
            if not member.issym() and (file := archive.extractfile(member)) is not None
        }


def test_a_tar_has_the_root_filesystem(system: SmallSystem, tmp_path: Path) -> None:
    (output,) = system.write(tmp_path, "tar")
    assert output.path == tmp_path / "os.tar"
    assert output.size == output.path.stat().st_size
    found = members(output.path)
    assert set(found) >= BASIC
    assert {name: found[name].linkname for name in LINKS} == LINKS
    assert found["etc"].mode == 0o750
    assert found["bin/linked"].islnk()
    assert found["etc/issue"].mode == 0o640
    long_name = next(name for name in FILES if len(name) > 40)
    assert (found[long_name].uid, found[long_name].gid, found[long_name].mode) == (7, 8, 0o600)
    assert {k: v for k, v in contents(output.path).items() if k in FILES} == FILES


def test_a_tar_goes_to_a_stream(system: SmallSystem, tmp_path: Path) -> None:
    system.write(tmp_path, "tar")
    stream = io.BytesIO()
    with system.assembly() as assembly:
        formats = select_formats([], to_stream=True)
        target = Target(tmp_path / "unused", "os", stream)
        (output,) = write_formats(assembly, formats, target)
    assert output.path is None
    assert output.size == len(stream.getvalue())
    assert stream.getvalue() == (tmp_path / "os.tar").read_bytes()
    assert not (tmp_path / "unused").exists()


def test_an_input_of_docker_build_has_a_dockerfile(system: SmallSystem, tmp_path: Path) -> None:
    (output,) = system.write(tmp_path, "docker")
    assert output.path == tmp_path / "os.docker"
    found = contents(output.path)
    lines = found["Dockerfile"].decode().split("\n")
    assert [line for line in lines if line] == [
        "FROM scratch",
        "COPY . ./",
        'ENTRYPOINT ["/bin/rc.init"]',
    ]
    assert found["bin/init"] == FILES["bin/init"]


def test_kernel_initrd_and_command_line_are_three_files(
    system: SmallSystem, tmp_path: Path
) -> None:
    outputs = system.write(tmp_path, "kernel+initrd")
    assert [(o.role, o.path) for o in outputs] == [
        ("kernel", tmp_path / "os-kernel"),
        ("initrd", tmp_path / "os-initrd.img"),
        ("cmdline", tmp_path / "os-cmdline"),
    ]
    assert (tmp_path / "os-kernel").read_bytes() == kernel()
    assert (tmp_path / "os-cmdline").read_text() == CMDLINE
    entries = {e.name: e for a in archives_of((tmp_path / "os-initrd.img").read_bytes()) for e in a}
    assert set(entries) >= BASIC
    assert entries["bin/init"].data == FILES["bin/init"]


def test_without_a_kernel_there_is_an_initrd_alone(system: SmallSystem, tmp_path: Path) -> None:
    (output,) = system.write(tmp_path, "kernel+initrd", yaml=WITHOUT_KERNEL)
    assert output.role == "initrd"
    assert [p.name for p in tmp_path.iterdir()] == ["os-initrd.img"]


def test_a_tar_has_kernel_initrd_and_command_line(system: SmallSystem, tmp_path: Path) -> None:
    system.write(tmp_path, "kernel+initrd,tar-kernel-initrd")
    found = contents(tmp_path / "os-initrd.tar")
    assert found == {
        "kernel": kernel(),
        "initrd.img": (tmp_path / "os-initrd.img").read_bytes(),
        "cmdline": CMDLINE.encode(),
    }


@pytest.mark.parametrize(
    ("compression", "media_type"),
    [("gzip", "tar+gzip"), ("zstd:1", "tar+zstd"), ("none", "tar"), ("lz4", "tar+gzip")],
)
def test_an_image_of_the_store_has_the_tree_as_one_layer(
    compression: str, media_type: str, system: SmallSystem, tmp_path: Path
) -> None:
    system.write(tmp_path, "tar")
    with system.assembly() as assembly:
        assembly.options = type(assembly.options)(Compression.parse(compression), 1)
        name = f"written-{compression.replace(':', '-')}"
        target = Target(tmp_path, name)
        (output,) = write_formats(assembly, select_formats(["oci"]), target, system.options())
    assert output.reference == f"docker.io/library/{name}:latest"
    found = find_image(system.store, Reference.parse(name), Platform("linux", "amd64"))
    assert found.digest == output.digest
    (layer,) = found.manifest.layers
    assert layer.media_type == f"application/vnd.oci.image.layer.v1.{media_type}"
    assert layer.size == output.size
    data = system.store.read(layer)
    if media_type == "tar+gzip":
        data = gzip.decompress(data)
    elif media_type == "tar+zstd":
        data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    assert data == (tmp_path / "os.tar").read_bytes()
    config = json.loads(system.store.read(found.manifest.config))
    assert config["config"] == {"Entrypoint": ["/bin/rc.init"]}
    assert (config["architecture"], config["os"]) == ("amd64", "linux")


def test_the_card_of_a_raspberry_pi_has_firmware_kernel_and_initrd(
    arm_system: SmallSystem, tmp_path: Path
) -> None:
    data = bytes(56) + b"ARM\x64" + bytes(5000)
    image(arm_system.store, "test/pi:1", (E("kernel", data),), architecture="arm64")
    yaml = 'kernel: {image: "test/pi:1", tar: none, cmdline: "quiet"}\ninit: ["test/system:1"]\n'
    system_files = arm_system.write(tmp_path, "rpi3", yaml=yaml)
    assert [o.path for o in system_files] == [tmp_path / "os.tar"]
    found = contents(tmp_path / "os.tar")
    assert found["kernel8.img"] == data
    assert found["cmdline.txt"] == b"quiet\n"
    assert b"initramfs initrd.img followkernel" in found["config.txt"]
    assert {"bootcode.bin", "start.elf", "fixup.dat"} <= set(found)
    names = {e.name for archive in archives_of(found["initrd.img"]) for e in archive}
    assert set(FILES) <= names


def test_a_card_without_firmware_is_refused(arm_system: SmallSystem, tmp_path: Path) -> None:
    data = bytes(56) + b"ARM\x64" + bytes(50)
    image(arm_system.store, "test/pi:2", (E("kernel", data),), architecture="arm64")
    yaml = 'kernel: {image: "test/pi:2", tar: none}\ninit: ["test/system:1"]\n'
    image(arm_system.store, "test/card:2", (E("start.elf", b"x"),), architecture="arm64")
    for name, message in (
        ("test/card:2", r"test/card:2 has no bootcode\.bin and no fixup\.dat"),
        ("", "no image with it is named"),
    ):
        options = arm_system.options(firmware=name)
        with pytest.raises(OutputError, match=message):
            arm_system.write(tmp_path, "rpi3", yaml=yaml, options=options)
    assert not list(tmp_path.iterdir())


def test_a_kernel_that_a_raspberry_pi_cannot_start_is_refused(
    arm_system: SmallSystem, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match="neither an arm64 Image nor one compressed with gzip"):
        arm_system.write(tmp_path, "rpi3")
