"""A user runs an image that does not boot, and gets the cause."""

from __future__ import annotations

import lzma
import re
import shutil
import tarfile
from typing import TYPE_CHECKING

import pytest

from support.booting import LIMIT, System, archive, left_behind, machines_of, run_soundly
from support.cli import Dolmen
from support.guest import EMULATED
from support.guests import HOME, assemble, needs_qemu, system

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.boot,
    pytest.mark.timeout(int(3 * LIMIT)),
    pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed"),
]
PROGRAM = 0o100755
FILE = 0o100644
SHELL = b"#!/bin/busybox sh\n"
FOREIGN = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\0\xb7\0" + bytes(200)


def with_init(content: bytes, mode: int = PROGRAM) -> Callable[[System], bytes]:
    """Replace /init: later archives of an initrd win."""
    return lambda system: system.initrd + archive({"init": (mode, content)})


def with_foreign_module(system: System) -> bytes:
    """Add a module that says it is for another kernel."""
    # Without the end, which marks it as signed.
    content = module_of(system)[:-28].replace(b"mod_unload ", b"mod_unlock ", 1)
    script = SHELL + b"/bin/busybox insmod /foreign.ko\necho done\nexec /bin/busybox sleep 1000\n"
    return system.initrd + archive({"init": (PROGRAM, script), "foreign.ko": (FILE, content)})


def module_of(system: System) -> bytes:
    """Return a module of the system's kernel, unpacked."""
    folder = system.prefix.parent
    if not (folder / "image.tar").exists():
        Dolmen(folder / "home").run(
            *("--cache", system.store, "build", "--offline", "--format", "tar"),
            *("--dir", folder, system.yaml),
            check=True,
        )
    with tarfile.open(folder / "image.tar") as tar:
        for member in tar:
            if member.name.endswith("/isofs.ko.xz"):
                file = tar.extractfile(member)
                assert file is not None
                return lzma.decompress(file.read())
    raise AssertionError("there is no module")


@pytest.mark.parametrize(
    ("initrd", "code", "told"),
    [
        pytest.param(
            lambda s: s.initrd[: len(s.initrd) // 2], "DM1022", "unpacking failed", id="cut-off"
        ),
        pytest.param(lambda _: b"\x07x" * 9999, "DM1022", "invalid magic", id="garbage"),
        pytest.param(
            lambda _: archive({"etc": (0o40755, b"")}),
            "DM1024",
            "the initrd has no /init",
            id="no-init",
        ),
        pytest.param(with_init(FOREIGN), "DM1024", "this kernel cannot execute", id="foreign"),
        pytest.param(with_init(b"#!/bin/nothing\n"), "DM1024", "interpreter", id="no-interpreter"),
        pytest.param(with_init(SHELL, FILE), "DM1024", "is not executable", id="not-executable"),
        pytest.param(
            with_init(SHELL + b"exit 3\n"), "DM1025", "exitcode=0x00000300", id="init-ends"
        ),
        pytest.param(
            with_init(
                SHELL + b"/bin/busybox mount -t proc p /proc; echo c > /proc/sysrq-trigger\n"
            ),
            "DM1030",
            "sysrq triggered crash",
            id="panic",
        ),
        pytest.param(
            # The first process cannot be killed to have its memory.
            with_init(
                SHELL
                + b"exec /bin/busybox awk 'BEGIN { while (1) a[i++] = sprintf(\"%1000d\", i) }'\n"
            ),
            "DM1023",
            "not enough memory",
            id="memory",
        ),
    ],
)
def test_the_cause_of_a_panic_is_shown(
    dolmen: Dolmen,
    tiny_system: System,
    tmp_path: Path,
    initrd: Callable[[System], bytes],
    code: str,
    told: str,
) -> None:
    prefix = tiny_system.variant(tmp_path / "x", initrd=initrd(tiny_system))
    done = run_soundly(
        dolmen, "run", prefix, "--mem", "256", "--wait-for", "never seen", "--timeout", "110s"
    )
    assert done.returncode == 4, done.stderr
    assert code in done.stderr
    assert told in done.stderr
    assert "the console's last lines" in done.stderr
    assert "hint:" in done.stderr
    assert machines_of(dolmen.home) == []
    assert left_behind(dolmen.home) == []


def test_a_missing_console_is_diagnosed(
    dolmen: Dolmen, tiny_system: System, tmp_path: Path
) -> None:
    prefix = tiny_system.variant(tmp_path / "x", cmdline="quiet")
    done = dolmen.run("run", prefix, "--mem", "256", "--wait-for", "x is up", "--timeout", "4s")
    assert done.returncode == 3
    assert "DM1010" in done.stderr
    assert "DM1027" in done.stderr
    assert "has no console" in done.stderr
    assert "add console=ttyS0" in done.stderr


def test_the_place_in_the_yaml_is_shown(
    dolmen: Dolmen, tiny_system: System, tmp_path: Path
) -> None:
    yaml = tmp_path / "silent.yml"
    yaml.write_text(tiny_system.yaml.read_text().replace("console=ttyS0", "console=tty0"))
    done = dolmen.run(
        *("--cache", tiny_system.store, "run", "qemu", "--offline", yaml, "--mem", "256"),
        *("--wait-for", "x is up", "--timeout", "4s"),
    )
    assert done.returncode == 3, done.stderr
    assert "has only console=tty0" in done.stderr
    # The line and the column of the command line, and the line itself.
    assert f"{yaml}:2:48: error[DM1027]" in done.stderr
    assert "^" in done.stderr


CRASHING = """
services:
  - name: crashing
    image: SH "echo the disk is odd; exit 5"
  - name: end
    image: "@pkg:ROOT/pkg/poweroff"
    command: [/usr/sbin/later, "6"]
"""


@needs_qemu
def test_a_crashing_service_is_shown_with_its_line(tmp_path: Path) -> None:
    yaml = tmp_path / "crash.yml"
    yaml.write_text(system(CRASHING).replace("console=ttyS0", f"console=ttyS0 {EMULATED}"))
    assemble(yaml, tmp_path)
    # With the store that the packages are in.
    words = ("run", "qemu", "--offline", "--mem", "256", yaml, "--wait-for", "never")
    done = run_soundly(Dolmen(HOME), *words, "--timeout", "110s")
    assert done.returncode == 4, done.stderr
    assert f"{yaml}:6:11: error[DM1032]: the service crashing ended: exit status 5" in done.stderr
    assert re.search(r"exit status 5; .*, [23] times so far", done.stderr)
    assert 'its last output: "the disk is odd"' in done.stderr
    assert "the service end" not in done.stderr


def test_modules_of_another_kernel_are_diagnosed(
    dolmen: Dolmen, tiny_system: System, tmp_path: Path
) -> None:
    prefix = tiny_system.variant(tmp_path / "x", initrd=with_foreign_module(tiny_system))
    done = run_soundly(
        dolmen, "run", prefix, "--mem", "256", "--wait-for", "never seen", "--timeout", "15s"
    )
    assert done.returncode == 3
    assert "DM1026" in done.stderr
    assert "version magic" in done.stderr


def test_a_missing_root_disk_is_diagnosed(
    dolmen: Dolmen, tiny_system: System, tmp_path: Path
) -> None:
    prefix = tiny_system.variant(tmp_path / "x", cmdline="console=ttyS0 root=/dev/vdz panic=-1")
    (tmp_path / "x" / "broken-initrd.img").unlink()
    (tmp_path / "x" / "broken-squashfs.img").write_bytes(b"hsqs" + bytes(4092))
    done = run_soundly(
        dolmen, "run", prefix, "--mem", "256", "--wait-for", "never seen", "--timeout", "110s"
    )
    assert done.returncode == 4, done.stderr
    assert "DM1021" in done.stderr
    assert "/dev/vdz" in done.stderr


def test_a_disk_without_a_boot_loader_is_diagnosed(dolmen: Dolmen, tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    # A boot sector that gives the firmware its control back.
    disk.write_bytes(b"\xcd\x18".ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20))
    done = dolmen.run("run", disk, "--mem", "64", "--wait-for", "never", "--timeout", "60s")
    assert done.returncode == 4
    assert "DM1028" in done.stderr
    assert "No bootable device" in done.stderr


def test_a_machine_that_ends_early_is_an_error(
    dolmen: Dolmen, tiny_system: System, tmp_path: Path
) -> None:
    script = SHELL + b"echo all is done\n/bin/busybox poweroff -f\n"
    initrd = tiny_system.initrd + archive({"init": (PROGRAM, script)})
    prefix = tiny_system.variant(tmp_path / "x", initrd=initrd)
    words = ("run", prefix, "--mem", "256", "--wait-for", "login:")
    done = run_soundly(dolmen, *words)
    assert done.returncode == 4
    assert "before it was ready" in done.stderr
    assert "all is done" in done.stderr
