"""A verified system updates itself, is blessed, and goes back from an update that fails."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from support.cli import Dolmen
from support.guest import EMULATED, Guest, running
from support.guests import HOME, REPOSITORY, needs_qemu, system
from support.updates import Signer, entries

FIRMWARE = Path("/usr/share/OVMF")
limit = pytest.mark.timeout(3600)
pytestmark = [
    *(pytest.mark.slow, pytest.mark.boot, pytest.mark.whole, limit, needs_qemu),
    pytest.mark.skipif(
        not shutil.which("mdir") or not (FIRMWARE / "OVMF_CODE_4M.fd").is_file(),
        reason="mtools or OVMF is not installed",
    ),
]
LIMIT = 600.0

DEMO = """
onboot:
  - name: dhcp
    image: "@pkg:ROOT/pkg/dhcp"
services:
  - name: update
    image: "@pkg:ROOT/pkg/update"
    command: [/usr/bin/dolmen-update, service, --from, "http://10.0.2.2:PORT/", --jitter, 0s,
      --interval, 5s, --reboot]
verified: {version: "VERSION", healthy: {HEALTHY}}
"""


def make_keys(directory: Path) -> Path:
    """Make the keys of a release."""
    directory.mkdir()
    command = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=demo")
    files = ("-keyout", directory / "db.key", "-out", directory / "db.crt")
    subprocess.run((*command, *files), check=True, capture_output=True)
    signer = Signer()
    (directory / "update.key").write_bytes(signer.private())
    (directory / "update.pub").write_bytes(signer.public())
    return directory


def build(directory: Path, keys: Path, version: str, port: int, healthy: str) -> Path:
    """Build a version and return the directory with its disk and its update set."""
    text = system(DEMO).replace("dolmen.output", f"dolmen.output {EMULATED}")
    text = text.replace("PORT", str(port)).replace("VERSION", version)
    path = directory / f"demo{version}.yml"
    path.write_text(text.replace("HEALTHY", healthy))
    dolmen = Dolmen(HOME)
    found = {Path(name) for name in re.findall(r'@pkg:([^"\s]+)', text)}
    tools = {REPOSITORY / "pkg" / "bootloaders", REPOSITORY / "pkg" / "imagetools"}
    done = dolmen.run("pkg", "build", "--platforms", "linux/amd64", *sorted(found | tools))
    assert done.returncode == 0, done.stderr
    out = directory / f"out{version}"
    done = dolmen.run("build", "--name", "demo", "--keys", keys, "--dir", out, path)
    assert done.returncode == 0, done.stderr
    return out


def command_of(disk: Path, variables: Path) -> list[str | Path]:
    """Return the command of a machine with UEFI and a disk."""
    flash = "if=pflash,format=raw"
    return [
        *("qemu-system-x86_64", "-machine", "q35,sata=off,smbus=off", "-cpu", "max,cx16=off"),
        *("-accel", "tcg", "-nodefaults", "-m", "768", "-display", "none", "-serial", "stdio"),
        *("-drive", f"{flash},readonly=on,file={FIRMWARE / 'OVMF_CODE_4M.fd'}"),
        *("-drive", f"{flash},file={variables}"),
        *("-drive", f"if=none,id=disk,format=raw,file={disk}"),
        *("-device", "virtio-blk-pci,drive=disk,bootindex=1", "-device", "virtio-rng-pci"),
        *("-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="),
    ]


def test_an_update_is_blessed_and_a_bad_one_is_gone_back_from(tmp_path: Path) -> None:
    served = tmp_path / "served"
    served.mkdir()
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(served))
    )
    Thread(target=server.serve_forever, daemon=True).start()
    keys, port = make_keys(tmp_path / "keys"), server.server_port
    outs = {
        "1": build(tmp_path, keys, "1", port, "after: 1s"),
        "2": build(tmp_path, keys, "2", port, "after: 1s"),
        "3": build(tmp_path, keys, "3", port, 'after: 1s, limit: 10s, command: "update:/none"'),
    }

    def publish(version: str) -> None:
        found = sorted((outs[version] / "demo-update").iterdir())
        for path in sorted(found, key=lambda path: path.name == "index.json"):
            shutil.copy(path, served)

    publish("1")
    disk, variables = outs["1"] / "demo-verified.img", tmp_path / "variables.fd"
    shutil.copyfile(FIRMWARE / "OVMF_VARS_4M.fd", variables)

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: update: release 1 runs, and there is nothing newer\n", LIMIT)
        publish("2")
        guest.wait_for(r"init: update: release 2 is written and is started at the next", LIMIT)
        guest.wait_for(r"init: healthy: entry demo_2 is blessed\n", LIMIT)
        guest.wait_for(r"init: update: release 2 runs, and there is nothing newer\n", LIMIT)
        publish("3")
        guest.wait_for(r"init: update: release 3 is written and is started at the next", LIMIT)
        for left in (2, 1, 0):
            guest.wait_for(rf"init: healthy: entry demo_3 has {left} tries left; the mach", LIMIT)
        guest.wait_for(r"init: update: release 3 has been tried on this machine and failed", LIMIT)

    with running(command_of(disk, variables)) as guest:
        check(guest)
    server.shutdown()
    assert sorted(entries(disk)) == ["demo_2.efi", "demo_3+0-3.efi"]
