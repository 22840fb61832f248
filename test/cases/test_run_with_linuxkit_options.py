"""A user runs `dolmen run qemu` with LinuxKit's options and variables, and QEMU gets them."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen

pytestmark = pytest.mark.slow

# It writes down what it was started with, and runs nothing.
RECORDER = """#!/bin/sh
printf '%s\\n' "$@" > "$0.arguments"
exit 3
"""


@dataclass(frozen=True)
class Row:
    """Options of a command line, and the pairs that QEMU has to have among its own."""

    words: str
    pairs: tuple[tuple[str, str], ...] = ()
    path: str = "image"
    env: tuple[tuple[str, str], ...] = ()


ROWS = (
    Row("", (("-smp", "1"), ("-m", "1024M"), ("-kernel", ".*/image-kernel"))),
    Row("", (("-initrd", ".*/image-initrd.img"), ("-append", "console=ttyS0"))),
    Row("--cpus 2", (("-smp", "2"),)),
    Row("--mem 2048", (("-m", "2048M"),)),
    Row("--disk size=64M", (("-drive", ".*format=qcow2.*,file=.*/disk.img"),)),
    Row("--disk d.raw,size=8M,format=raw", (("-drive", ".*format=raw.*,file=.*/d.raw"),)),
    Row("--disk file=d.img,size=8M", (("-drive", ".*file=.*/d.img"), ("-device", "scsi-hd,.*"))),
    Row("--gui", (("-device", "VGA"),)),
    Row("--uefi --fw CODE.fd", (("-drive", "if=pflash.*readonly=on,file=.*/CODE.fd"),)),
    Row("--fw CODE.fd", (("-drive", "if=pflash,unit=1.*"),)),
    Row("--iso", (("-drive", ".*media=cdrom.*/anything"),), path="anything"),
    Row("--kernel", (("-kernel", ".*/image-kernel"),)),
    Row("--squashfs", (("-drive", ".*/image-squashfs.img"), ("-append", ".* root=/dev/sda ro"))),
    Row("--state STATE --disk size=8M", (("-drive", ".*,file=.*/STATE/disk.img"),)),
    Row("--data something", (("-drive", ".*media=cdrom.*/metadata.iso"),)),
    Row("--data-file anything", (("-drive", ".*media=cdrom.*/metadata.iso"),)),
    Row("--accel tcg", (("-accel", "tcg"), ("-cpu", "max,cx16=off"))),
    Row("", (("-accel", "tcg"),), env=(("LINUXKIT_QEMU_ACCEL", "tcg"),)),
    Row("", (("-accel", "tcg"),), env=(("DOLMEN_QEMU_ACCEL", "tcg"),)),
    Row("--arch x86_64", (("-machine", "q35,.*"),)),
    Row("--arch aarch64", (("-machine", "virt"), ("-cpu", "max")), path="arm"),
    Row("", (("-machine", "virt"),), path="arm"),
    Row("--detached", (("-kernel", ".*"),)),
    Row("--networking user", (("-netdev", "user,id=net0"),)),
    Row("--networking default", (("-netdev", "user,id=net0"),)),
    Row("--networking none", (("-nic", "none"),)),
    Row("--networking tap,lo", (("-netdev", "tap,id=net0,ifname=lo,script=no,downscript=no"),)),
    Row(
        "--publish 28080:80 --publish 25353:53/udp",
        (("-netdev", ".*hostfwd=tcp:127.0.0.1:28080-:80,hostfwd=udp:127.0.0.1:25353-:53"),),
    ),
    Row("--usb", (("-device", "qemu-xhci"), ("-device", "usb-tablet"))),
    Row("--device edu,id=x", (("-device", "edu,id=x"),)),
    Row(
        "--virtiofs pictures=. --virtiofsd virtiofsd",
        (
            ("-device", "vhost-user-fs-pci,chardev=share0,tag=pictures"),
            ("-object", "memory-backend-memfd,.*,share=on"),
        ),
    ),
    Row("--snapshot --disk d.raw,size=8M", (("-drive", ".*snapshot=on.*d.raw"),)),
    Row("--ephemeral --disk n.img,size=8M", (("-drive", ".*snapshot=on.*/disk.img"),)),
    Row("--network lan", (("-netdev", "socket,id=segment0,mcast=.*"),)),
)
# Only for what cannot be written down without a machine; each has tests that boot.
BOOTED = {"--qemu", "--tpm", "--secure-boot", "--secure-boot-keys", "--ssh", "--name"}
BOOTED |= {"--keys"}
WAITING = {"--wait-for", "--wait-port", "--timeout", "--once", "--stop-timeout"}
BUILDING = {"--offline", "--pull", "--docker", "--insecure", "--registry-creds", "--max-image-size"}
BUILDING |= {"--help"}
PRINTING = {"--json"}


@pytest.fixture
def images(dolmen: Dolmen) -> Path:
    """Give a directory with what looks like images, and with a program in place of QEMU."""
    home = dolmen.home
    amd64 = bytearray(2048)
    amd64[0x202:0x206] = b"HdrS"
    arm64 = bytearray(2048)
    arm64[56:60] = b"ARM\x64"
    for name, kernel in (("image", amd64), ("arm", arm64)):
        (home / f"{name}-kernel").write_bytes(kernel)
        (home / f"{name}-initrd.img").write_bytes(b"")
        (home / f"{name}-cmdline").write_text("console=ttyS0\n")
    (home / "image-squashfs.img").write_bytes(b"hsqs")
    for name in ("anything", "CODE.fd", "VARS.fd"):
        (home / name).write_bytes(bytes(4096))
    for name, script in (("qemu", RECORDER), ("virtiofsd", "#!/bin/sh\n")):
        (home / name).write_text(script)
        (home / name).chmod(0o755)
    return home


@pytest.mark.parametrize("row", ROWS, ids=lambda r: r.words or f"{r.path} {r.env}")
def test_an_option_reaches_qemu(dolmen: Dolmen, images: Path, row: Row) -> None:
    words = ("run", "qemu", "--qemu", images / "qemu", *row.words.split(), row.path)
    done = dolmen.run(*words, env=dict(row.env), cwd=images)
    # Nothing was run, and that is told.
    assert done.returncode == 1, done.stderr
    assert "qemu ended with code 3" in done.stderr
    arguments = (images / "qemu.arguments").read_text().splitlines()
    given = set(itertools.pairwise(arguments))
    for option, value in row.pairs:
        matching = [v for o, v in given if o == option and re.fullmatch(value, v)]
        assert matching, f"{option} {value} is not in {arguments}"
    if "--gui" in row.words:
        assert "-display" not in arguments
    assert not (images / ".local/state/dolmen/machines/image").exists()


def test_each_option_has_a_test(dolmen: Dolmen) -> None:
    shown = dolmen.run("run", "qemu", "--help").stdout
    options = set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", shown, re.MULTILINE))
    tested = {word for row in ROWS for word in row.words.split() if word.startswith("--")}
    assert tested <= options
    assert options - tested - BOOTED - WAITING - BUILDING - PRINTING == set()
    assert options >= BOOTED | WAITING


def test_an_option_overrides_the_variable(dolmen: Dolmen, images: Path) -> None:
    words = ("run", "qemu", "--qemu", images / "qemu", "--accel", "tcg", "image")
    done = dolmen.run(*words, env={"LINUXKIT_QEMU_ACCEL": "magic"}, cwd=images)
    assert "qemu ended with code 3" in done.stderr
    wrong = dolmen.run(*words[:4], "image", env={"LINUXKIT_QEMU_ACCEL": "magic"}, cwd=images)
    assert "unknown accelerator 'magic'" in wrong.stderr
