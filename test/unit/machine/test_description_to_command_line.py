"""A machine's description becomes QEMU's command line."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from assembler.errors import MachineError
from assembler.machine.description import (
    Bus,
    Disk,
    Firmware,
    FirmwareBoot,
    KernelBoot,
    Machine,
    Network,
    Port,
)
from assembler.machine.qemu import Qemu

PLAIN = Machine("amd64", KernelBoot(Path("/k"), Path("/i"), "console=ttyS0 quiet"))


def words(machine: Machine) -> list[str]:
    command = Qemu(Path("/bin/qemu")).command(machine)
    assert command.argv[0] == "/bin/qemu"
    return list(command.arguments)


def after(option: str, arguments: list[str]) -> list[str]:
    return [b for a, b in itertools.pairwise(arguments) if a == option]


def test_a_kernel_is_started_with_its_initrd_and_command_line() -> None:
    given = words(PLAIN)
    assert after("-kernel", given) == ["/k"]
    assert after("-initrd", given) == ["/i"]
    assert after("-append", given) == ["console=ttyS0 quiet"]
    assert after("-m", given) == ["1024M"]
    assert after("-display", given) == ["none"]


def test_emulation_turns_off_cx16() -> None:
    assert after("-cpu", words(PLAIN)) == ["max,cx16=off"]
    assert after("-cpu", words(replace(PLAIN, accelerator="kvm"))) == ["host"]
    assert after("-cpu", words(replace(PLAIN, architecture="arm64"))) == ["max"]


@pytest.mark.parametrize(
    ("bus", "device"),
    [
        (Bus.SCSI, "scsi-hd,drive=disk0,bootindex=0"),
        (Bus.VIRTIO, "virtio-blk-pci,drive=disk0,bootindex=0"),
        (Bus.SATA, "ide-hd,drive=disk0,bus=ide.0,bootindex=0"),
        (Bus.NVME, "nvme,drive=disk0,serial=disk0,bootindex=0"),
    ],
)
def test_disks_use_the_requested_bus(bus: Bus, device: str) -> None:
    disk = Disk(Path("/a,b.img"), "qcow2", bus, read_only=True, snapshot=True)
    given = words(replace(PLAIN, boot=FirmwareBoot(), disks=(disk,)))
    assert device in after("-device", given)
    (drive,) = after("-drive", given)
    assert "format=qcow2" in drive
    assert "readonly=on" in drive
    assert "snapshot=on" in drive
    assert drive.endswith("file=/a,,b.img")


def test_a_cd_that_is_booted_comes_before_disks() -> None:
    machine = replace(
        PLAIN, boot=FirmwareBoot(from_cd=True), cds=(Path("/x.iso"),), disks=(Disk(Path("/d")),)
    )
    devices = after("-device", words(machine))
    assert "scsi-cd,drive=cd0,bootindex=0" in devices
    assert "scsi-hd,drive=disk0,bootindex=1" in devices


def test_metadata_is_not_booted_before_disks() -> None:
    machine = replace(PLAIN, boot=FirmwareBoot(), cds=(Path("/m.iso"),), disks=(Disk(Path("/d")),))
    assert "scsi-cd,drive=cd0,bootindex=1" in after("-device", words(machine))


def test_a_direct_kernel_boot_has_no_boot_order() -> None:
    given = words(replace(PLAIN, disks=(Disk(Path("/d")),), cds=(Path("/m.iso"),)))
    assert "bootindex" not in " ".join(given)


def test_ports_are_forwarded_from_this_host_only() -> None:
    network = Network(ports=(Port(8080, 80), Port(53, 5353, "udp", "10.0.0.1")))
    (netdev,) = after("-netdev", words(replace(PLAIN, network=network)))
    assert netdev == ("user,id=net0,hostfwd=tcp:127.0.0.1:8080-:80,hostfwd=udp:10.0.0.1:53-:5353")


def test_no_network() -> None:
    given = words(replace(PLAIN, network=Network("none")))
    assert after("-nic", given) == ["none"]
    assert not after("-netdev", given)


@pytest.mark.parametrize(
    ("mode", "netdev"),
    [
        ("tap", "tap,id=net0,ifname=dev0,script=no,downscript=no"),
        ("bridge", "bridge,id=net0,br=dev0"),
    ],
)
def test_tap_and_bridge_devices(mode: str, netdev: str) -> None:
    given = words(replace(PLAIN, network=Network(mode, "dev0")))
    assert after("-netdev", given) == [netdev]
    assert ",mac=52:54:00:" in " ".join(after("-device", given))


def test_a_segment_has_its_own_multicast_group() -> None:
    def group(uuid: str, *names: str) -> tuple[list[str], list[str]]:
        given = words(replace(PLAIN, uuid=uuid, network=Network("none", segments=names)))
        cards = [d for d in after("-device", given) if d.startswith("virtio-net")]
        return [n.partition(",mcast=")[2] for n in after("-netdev", given)], cards

    first, second, other = group("1", "a"), group("2", "a"), group("2", "b")
    assert first[0] == second[0] != other[0]
    assert first[1] != second[1]
    assert len(set(group("1", "a", "b")[1])) == 2


def test_firmware_is_read_only_and_its_variables_are_a_copy() -> None:
    firmware = Firmware(Path("/CODE.fd"), Path("/VARS.fd"))
    code, variables = after("-drive", words(replace(PLAIN, firmware=firmware)))
    assert code == "if=pflash,unit=0,format=raw,readonly=on,file=/CODE.fd"
    assert variables == "if=pflash,unit=1,format=raw,file=uefi-variables"


def test_gui_usb_and_additional_devices() -> None:
    given = words(replace(PLAIN, gui=True, usb=True, devices=("edu,id=x",)))
    devices = after("-device", given)
    assert {"VGA", "qemu-xhci", "edu,id=x"} <= set(devices)
    assert not after("-display", given)


def test_an_unsupported_architecture_is_refused() -> None:
    with pytest.raises(MachineError, match="ppc64le is not supported"):
        Qemu().command(replace(PLAIN, architecture="ppc64le"))


def test_s390x_has_virtio_devices_on_its_own_bus() -> None:
    disk = Disk(Path("/d"), "raw", Bus.VIRTIO)
    network = Network(segments=("a",))
    given = words(replace(PLAIN, architecture="s390x", disks=(disk,), network=network))
    assert after("-machine", given) == ["s390-ccw-virtio"]
    devices = after("-device", given)
    assert "virtio-net-ccw,netdev=net0" in devices
    assert "virtio-blk-ccw,drive=disk0" in devices
    assert not [device for device in devices if "pci" in device or "romfile" in device]


def test_the_agent_has_ports() -> None:
    given = words(PLAIN)
    assert "virtio-serial-pci,max_ports=5" in after("-device", given)
    for number in range(4):
        device = f"virtserialport,chardev=agent{number},name=org.dolmen.agent.{number}"
        assert device in after("-device", given)
