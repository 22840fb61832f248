"""Disk, port and memory options are parsed; disks, metadata and firmware are created."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from assembler.errors import HostError, MachineError, UsageError
from assembler.machine import disks, firmware, initrd_memory
from assembler.machine.description import Bus, Port
from assembler.machine.disks import content_format, create_disk, prepare_disk
from assembler.machine.metadata_cd import write_cd
from assembler.machine.option_parsing import DiskOption, parse_disk, parse_port, parse_size


def test_disk_options_of_linuxkit_are_parsed() -> None:
    assert parse_disk("size=1G") == DiskOption(None, 1 << 30)
    assert parse_disk("/d.img,size=512M,format=raw") == DiskOption(Path("/d.img"), 512 << 20, "raw")
    assert parse_disk("size=10") == DiskOption(None, 10 << 30)
    assert parse_disk("file=/d,bus=virtio,readonly=on") == DiskOption(
        Path("/d"), bus=Bus.VIRTIO, read_only=True
    )


@pytest.mark.parametrize(
    "text",
    ["", "size=", "size=0", "file=", "x.img,format=floppy", "x,bus=ide", "x,y", "format=raw"],
)
def test_invalid_disk_options_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_disk(text)


def test_a_port_is_parsed() -> None:
    assert parse_port("8080:80") == Port(8080, 80)
    assert parse_port("10.0.0.1:53:53/UDP") == Port(53, 53, "udp", "10.0.0.1")
    assert str(parse_port("10.0.0.1:53:53/udp")) == "10.0.0.1:53:53/udp"


@pytest.mark.parametrize(
    "text", ["80", "0:80", "80:70000", "a:b", "80:80/sctp", "[::1]:80:80", "999.0.0.1:80:80", ""]
)
def test_invalid_ports_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_port(text)


def test_a_size_is_parsed() -> None:
    assert parse_size("2048", "--mem") == parse_size("2G", "--mem") == 2 << 30


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
@pytest.mark.parametrize("size", [1 << 20, (1 << 29) + 512, 3 << 40])
def test_a_new_disk_uses_no_space(tmp_path: Path, kind: str, size: int) -> None:
    path = tmp_path / "new" / "disk.img"
    disk = prepare_disk(DiskOption(path, size, kind), tmp_path / "unused")
    assert (disk.path, disk.format) == (path, kind)
    assert path.stat().st_blocks * 512 < 2 << 20
    if kind == "qcow2":
        head = path.read_bytes()[:32]
        assert int.from_bytes(head[24:32], "big") == size
    else:
        assert path.stat().st_size == size
    if shutil.which("qemu-img"):
        subprocess.run(["qemu-img", "check", "-q", path], check=kind == "qcow2")


def test_an_existing_disk_is_used_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "d"
    create_disk(path, "qcow2", 1 << 20)
    before = path.read_bytes()
    assert prepare_disk(DiskOption(path, 9 << 30), path).format == "qcow2"
    assert path.read_bytes() == before
    with pytest.raises(MachineError, match="qcow2, not vmdk"):
        prepare_disk(DiskOption(path, format="vmdk"), path)
    with pytest.raises(MachineError, match="not found"):
        prepare_disk(DiskOption(tmp_path / "other"), path)


def test_formats_of_disks_are_detected(tmp_path: Path) -> None:
    for content, name in (
        (b"KDMV", "vmdk"),
        (b"vhdxfile", "vhdx"),
        (b"\0" * 512 + b"conectix" + bytes(504), "vpc"),
        (b"", "raw"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        assert content_format(path) == name


def test_other_programs_read_a_metadata_cd(tmp_path: Path) -> None:
    path = tmp_path / "m.iso"
    content = os.urandom(5000)
    write_cd(path, {"config": content, "user-data": b"#!"}, "cidata")
    data = path.read_bytes()
    assert data[32808:32840].rstrip() == b"cidata"
    if shutil.which("bsdtar"):
        listed = subprocess.run(["bsdtar", "tf", path], check=True, capture_output=True, text=True)
        assert {"CONFIG", "USER-DATA"} <= set(listed.stdout.split())
        read = subprocess.run(["bsdtar", "xOf", path, "CONFIG"], check=True, capture_output=True)
        assert read.stdout == content
    write_cd(tmp_path / "again.iso", {"user-data": b"#!", "config": content}, "cidata")
    assert (tmp_path / "again.iso").read_bytes() == data


def test_memory_is_checked_against_the_unpacked_initrd(tmp_path: Path) -> None:
    path = tmp_path / "initrd"
    # Two members with padding between them, as an initrd of several parts has.
    path.write_bytes(gzip.compress(bytes(100 << 20), 1) + bytes(1000) + gzip.compress(b"x" * 10))
    assert initrd_memory.unpacked_initrd_size(path, 1 << 40) == (100 << 20) + 10
    # What compresses better than anything real is not looked into where there is room enough.
    initrd_memory.check_initrd_memory(path, 512)
    with path.open("ab") as file:
        file.write(os.urandom(16 << 20))
    initrd_memory.check_initrd_memory(path, 512)
    with pytest.raises(MachineError, match="128 MB of memory are too little") as caught:
        initrd_memory.check_initrd_memory(path, 128)
    assert "--mem 512" in str(caught.value)


def test_firmware_of_distributions_is_found(tmp_path: Path) -> None:
    assert firmware.find_firmware("amd64", tmp_path) is None
    listed = tmp_path / "usr/share/qemu/firmware/60-x.json"
    listed.parent.mkdir(parents=True)
    code, variables = tmp_path / "opt/CODE.qcow2", tmp_path / "opt/VARS.qcow2"
    code.parent.mkdir()
    code.touch()
    variables.touch()
    said = {
        "interface-types": ["uefi"],
        "mapping": {
            "device": "flash",
            "executable": {"filename": "/opt/CODE.qcow2", "format": "qcow2"},
            "nvram-template": {"filename": "/opt/VARS.qcow2", "format": "qcow2"},
        },
        "targets": [{"architecture": "x86_64", "machines": ["pc-q35-*"]}],
        "features": ["acpi-s3"],
    }
    listed.write_text(json.dumps(said))
    listed.with_name("50-broken.json").write_text("[]")
    special = {**said, "features": ["secure-boot"]}
    listed.with_name("10-special.json").write_text(json.dumps(special))
    found = firmware.find_firmware("amd64", tmp_path)
    assert found is not None
    assert (found.code, found.variables, found.code_format) == (code, variables, "qcow2")
    debian = tmp_path / "usr/share/OVMF/OVMF_CODE_4M.fd"
    debian.parent.mkdir(parents=True)
    debian.touch()
    debian.with_name("OVMF_VARS_4M.fd").touch()
    found = firmware.find_firmware("amd64", tmp_path)
    assert found is not None
    assert found.code == debian


def test_chosen_firmware_has_its_variables(tmp_path: Path) -> None:
    code = tmp_path / "OVMF_CODE_4M.fd"
    code.touch()
    assert firmware.require_firmware("amd64", code).variables is None
    (tmp_path / "OVMF_VARS_4M.fd").touch()
    assert firmware.require_firmware("amd64", code).variables == tmp_path / "OVMF_VARS_4M.fd"
    with pytest.raises(MachineError, match=r"other\.fd not found"):
        firmware.require_firmware("amd64", tmp_path / "other.fd")


def test_a_disk_of_a_killed_program_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "data.vmdk"
    program = tmp_path / "bin" / "qemu-img"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf half > "$5"\nkill -9 $$\n')
    program.chmod(0o755)
    monkeypatch.setattr(disks, "require_program", lambda _: program)
    with pytest.raises(HostError, match=f"cannot create {disk}"):
        create_disk(disk, "vmdk", 1 << 20)
    assert sorted(tmp_path.iterdir()) == [program.parent]


@pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img is not installed")
@pytest.mark.parametrize("kind", ["vmdk", "vhdx", "vpc"])
def test_disks_of_qemu_img(tmp_path: Path, kind: str) -> None:
    disk = tmp_path / f"data.{kind}"
    create_disk(disk, kind, 1 << 20)
    assert content_format(disk) == kind
    assert (disk.name.encode() in disk.read_bytes()) == (kind == "vmdk")
    assert [*tmp_path.iterdir()] == [disk]
