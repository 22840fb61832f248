"""A user creates metadata CDs, and serves images for network boot."""

from __future__ import annotations

import http.client
import re
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.booting import LIMIT, Run, System

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.cli import Dolmen


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "web-kernel").write_bytes(b"kernel")
    (folder / "web-initrd.img").write_bytes(b"initrd" * 100_000)
    (folder / "web-cmdline").write_text("console=ttyS0 quiet\n")
    (folder / ".hidden").write_text("secret")
    (tmp_path / "outside").write_text("secret")
    (folder / "link").symlink_to("../outside")
    return folder


@pytest.fixture
def server(dolmen: Dolmen, folder: Path) -> Iterator[http.client.HTTPConnection]:
    with Run.start(dolmen, "serve", "--port", "0", "--directory", folder) as run:
        port = 0
        while not port and run.process.poll() is None:
            found = re.search(r"http://127\.0\.0\.1:(\d+)/", run.errors.read_text())
            port = int(found[1]) if found else 0
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        yield connection
        connection.close()
        run.process.send_signal(signal.SIGINT)
        assert run.end() == 130


def get(server: http.client.HTTPConnection, path: str) -> tuple[int, bytes]:
    server.request("GET", path)
    answer = server.getresponse()
    return answer.status, answer.read()


def test_files_and_scripts_are_served(server: http.client.HTTPConnection) -> None:
    assert get(server, "/web-initrd.img") == (200, b"initrd" * 100_000)
    script = (
        b"#!ipxe\nkernel web-kernel initrd=web-initrd.img console=ttyS0 quiet\n"
        b"initrd web-initrd.img\nboot\n"
    )
    assert get(server, "/web.ipxe") == (200, script)
    assert get(server, "/boot.ipxe") == (200, script)
    status, listing = get(server, "/")
    assert status == 200
    assert b"web-kernel" in listing
    assert b"hidden" not in listing


@pytest.mark.parametrize(
    "path", ["/.hidden", "/link", "/../outside", "/%2e%2e/outside", "/none", "/web-kernel/", "/%00"]
)
def test_hidden_files_and_outside_links_are_not_served(
    server: http.client.HTTPConnection, path: str
) -> None:
    status, body = get(server, path)
    assert status == 404 or body == b"kernel"
    assert b"secret" not in body


def test_invalid_addresses_are_refused(dolmen: Dolmen, tmp_path: Path) -> None:
    assert dolmen.run("serve", "--port", "many").returncode == 2
    assert dolmen.run("serve", "--port", "0", "--directory", tmp_path / "x").returncode == 2
    done = dolmen.run("serve", "--port", "192.0.2.1:8080")
    assert done.returncode == 1
    assert "DM1006" in done.stderr


def test_a_cd_with_metadata(dolmen: Dolmen, tmp_path: Path) -> None:
    iso = tmp_path / "m.iso"
    dolmen.run("metadata", "create", iso, "it is me", check=True)
    assert b"it is me" in iso.read_bytes()
    assert b"CONFIG;1" in iso.read_bytes()
    (tmp_path / "user").write_text("#cloud-config\n")
    words = ("metadata", "create", "--nocloud", "--file", tmp_path / "user", iso)
    dolmen.run(*words, check=True)
    first = iso.read_bytes()
    assert b"cidata" in first
    assert b"instance-id: i-" in first
    dolmen.run(*words, check=True)
    assert iso.read_bytes() == first
    assert dolmen.run("metadata", "create", iso).returncode == 2
    assert dolmen.run("metadata", "create", iso, "a", "--file", "b").returncode == 2
    assert dolmen.run("metadata", "create", tmp_path / "no" / "m.iso", "a").returncode == 1


@pytest.mark.slow
@pytest.mark.boot
@pytest.mark.timeout(int(3 * LIMIT))
@pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed")
def test_a_machine_boots_from_the_network(dolmen: Dolmen, tiny_system: System) -> None:
    folder = tiny_system.prefix.parent
    with Run.start(dolmen, "serve", "--port", "0", "--directory", folder) as run:
        port = ""
        while not port and run.process.poll() is None:
            found = re.search(r"http://127\.0\.0\.1:(\d+)/", run.errors.read_text())
            port = found[1] if found else ""
        netdev = f"user,id=n,bootfile=http://10.0.2.2:{port}/boot.ipxe"
        words = ["-machine", "q35,graphics=off", "-accel", "tcg", "-cpu", "max,cx16=off"]
        words += ["-m", "512", "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"]
        words += ["-boot", "n", "-netdev", netdev, "-device", "virtio-net-pci,netdev=n"]
        process = subprocess.Popen(
            ["qemu-system-x86_64", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        with Run(process, errors=run.errors) as machine:
            machine.expect("the system is up")
            machine.type("poweroff -f")
            machine.end()
