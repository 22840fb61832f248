"""The examples for TPMs, sockets, overlays, swap, databases and logins do what they claim."""

from __future__ import annotations

import json
import shutil
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from support.booting import Run
from support.cli import Dolmen
from support.guest import EMULATED, LIMIT, Guest, is_clean
from support.guests import HOME, REPOSITORY, assemble, boot_and, needs_qemu, page

if TYPE_CHECKING:
    from pathlib import Path

limit = pytest.mark.timeout(1800)
pytestmark = [pytest.mark.slow, pytest.mark.boot, pytest.mark.whole, limit, needs_qemu]
EXAMPLES = REPOSITORY / "examples"


def disk(folder: Path, mebibytes: int) -> Path:
    """Make an empty disk."""
    path = folder / "disk.img"
    with path.open("wb") as file:
        file.truncate(mebibytes << 20)
    return path


@pytest.mark.skipif(not shutil.which("swtpm"), reason="swtpm is not installed")
def test_tpm_measures_and_gives_random_numbers(tmp_path: Path) -> None:
    assemble(EXAMPLES / "tpm.yml", tmp_path)
    # Where QEMU puts the initrd of a decompressed kernel are the ACPI tables, if there is a TPM.
    dolmen = Dolmen(HOME)
    dolmen.run("build", "--dir", tmp_path, "--name", "tpm", EXAMPLES / "tpm.yml", check=True)
    cmdline = tmp_path / "tpm-cmdline"
    cmdline.write_text(f"{cmdline.read_text()} quiet dolmen.output {EMULATED}")
    words = ("run", "qemu", tmp_path / "tpm", "--tpm", "--mem", "320", "--stop-timeout", "1s")
    zeros, digest = "0" * 64, "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
    with Run.start(dolmen, *words) as run:
        made, ready = r"init: tss: the TPM is made by \w+;", "This is tpm, Linux"
        run.expect(rf"(?s){made}.*{ready}|{ready}.*{made}", LIMIT)
        run.type("service exec tss tpm2_getrandom --hex 16 </dev/null; echo")
        first = run.expect(r"\n([0-9a-f]{32})\n", LIMIT)[1]
        run.type("service exec tss tpm2_getrandom --hex 16 </dev/null; echo")
        assert run.expect(r"\n([0-9a-f]{32})\n", LIMIT)[1] != first
        run.type("service exec tss tpm2_pcrread sha256:16 </dev/null")
        run.expect(rf"16: 0x{zeros}", LIMIT)
        run.type("d=$(echo hello | sha256sum | cut -d ' ' -f 1); echo $d")
        run.expect(rf"\n{digest}\n", LIMIT)
        run.type("service exec tss tpm2_pcrextend 16:sha256=$d </dev/null")
        run.type("service exec tss tpm2_pcrread sha256:16 </dev/null")
        # What the PCR was, and what it is extended by.
        run.expect(rf"(?i)16: 0x{extended(zeros, digest)}", LIMIT)
        run.type("grep CapEff /proc/$(pidof sleep | sed 's/.* //')/status; poweroff")
        run.expect(r"CapEff:\s+0{16}\n", LIMIT)
        assert run.end(LIMIT) == 0


def extended(before: str, digest: str) -> str:
    """Return what a PCR is after it was extended."""
    return sha256(bytes.fromhex(before + digest)).hexdigest()


def test_vsudd_shows_a_page_without_a_network(tmp_path: Path) -> None:
    files = assemble(EXAMPLES / "vsudd.yml", tmp_path)
    path = tmp_path / "web.sock"

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: started in")
        guest.wait_for(r"the virtio-serial port vsudd\.8080")
        answer = b""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(LIMIT)
            connection.connect(str(path))
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            while b"</html>" not in answer:
                piece = connection.recv(1 << 16)
                assert piece, answer
                answer += piece
        assert b"<h1>It runs</h1>" in answer
        assert "failed" not in guest.text()

    boot_and(
        files,
        check,
        append="dolmen.output",
        options=("-chardev", f"socket,id=web,path={path},server=on,wait=off"),
        devices=("virtio-serial-pci", "virtserialport,chardev=web,name=vsudd.8080"),
    )


def test_vsudd_containerd_gives_its_socket_to_the_host(tmp_path: Path) -> None:
    files = assemble(EXAMPLES / "vsudd-containerd.yml", tmp_path)
    path = tmp_path / "containerd.sock"

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: started in")
        guest.wait_for(r"containerd\.sock: the virtio-serial port vsudd\.2374")
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(LIMIT)
            connection.connect(str(path))
            # HTTP/2, as gRPC begins; the answer begins with settings, which are frames of type 4.
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\4" + bytes(5))
            answer = b""
            while len(answer) < 9:
                piece = connection.recv(9)
                assert piece, answer
                answer += piece
        assert answer[3:9] == b"\4" + bytes(5)
        assert "failed" not in guest.text()

    boot_and(
        files,
        check,
        memory=768,
        append="dolmen.output",
        options=("-chardev", f"socket,id=host,path={path},server=on,wait=off"),
        devices=("virtio-serial-pci", "virtserialport,chardev=host,name=vsudd.2374"),
    )


def test_hostmount_writeable_overlay_leaves_the_system_as_it_is(tmp_path: Path) -> None:
    files = assemble(EXAMPLES / "hostmount-writeable-overlay.yml", tmp_path)

    def check(guest: Guest) -> None:
        guest.wait_for(r"This is overlay, Linux")
        guest.type("service exec editor busybox cat /host/etc/motd /host/etc/hostname </dev/null")
        guest.wait_for(r"\nchanged by the editor\noverlay")
        guest.type("cat /hostroot/etc/motd; ls /proc/1/root/run/editor/upper")
        guest.wait_for(r"\nas it came\n(.*\n)*motd\n")
        guest.type("service restart editor; sleep 5; service list")
        guest.wait_for(r"editor +running .* starts 2\n")
        assert "failed" not in guest.text()

    boot_and(files, check)


def influx(guest: Guest, path: str, **words: str) -> dict[str, object]:
    """Ask influxdb; it takes a moment to listen and to load."""
    data = urllib.parse.urlencode(words).encode()
    end = time.monotonic() + LIMIT
    while True:
        try:
            address = f"http://127.0.0.1:{guest.port}/{path}"
            with urllib.request.urlopen(address, data, timeout=60) as answer:
                found = answer.read()
                return dict(json.loads(found)) if found else {}
        except (ConnectionError, TimeoutError, urllib.error.URLError):
            if time.monotonic() > end:
                raise
            time.sleep(0.5)


def test_influxdb_keeps_its_figures_after_a_shutdown(tmp_path: Path) -> None:
    files = assemble(EXAMPLES / "influxdb.yml", tmp_path)
    figures = disk(tmp_path, 256)
    query = "SELECT warmth FROM room WHERE \"name\"='attic'"

    def first(guest: Guest) -> None:
        guest.wait_for(r"init: started in")
        assert "error" not in json.dumps(influx(guest, "query", q="CREATE DATABASE home"))
        address = f"http://127.0.0.1:{guest.port}/write?db=home"
        line = b"room,name=attic warmth=21.5 1700000000000000000"
        with urllib.request.urlopen(address, line, timeout=60) as answer:
            assert answer.status == 204
        assert "21.5" in json.dumps(influx(guest, "query", q=query, db="home"))
        assert "failed" not in guest.text()
        guest.press_power_button()
        guest.wait_for(r"init: power off: all is stopped")
        guest.wait_for_end()

    def second(guest: Guest) -> None:
        guest.wait_for(r"init: started in")
        found = json.dumps(influx(guest, "query", q=query, db="home"))
        assert '["2023-11-14T22:13:20Z", 21.5]' in found
        assert "failed" not in guest.text()

    boot_and(files, first, memory=384, guest_port=8086, disks=(figures,))
    assert is_clean(figures)
    boot_and(files, second, memory=384, guest_port=8086, disks=(figures,))


def test_podman_runs_an_image_that_the_system_does_not_have(tmp_path: Path) -> None:
    dolmen, package = Dolmen(HOME), REPOSITORY / "pkg" / "nginx"
    dolmen.run("pkg", "build", "--platforms", "linux/amd64", package, check=True)
    name = dolmen.run("pkg", "show-tag", package, check=True).stdout.strip()
    archive = tmp_path / "web.tar"
    words = ("--format", "docker", "--platform", "linux/amd64", "-o", archive, name)
    dolmen.run("cache", "export", *words, check=True)
    own = tmp_path / "own.yml"
    own.write_text(f"files: [{{path: var/lib/images/web.tar, source: {archive}}}]\n")
    files = assemble(EXAMPLES / "podman.yml", tmp_path, more=(own,))
    path = disk(tmp_path, 256)

    def check(guest: Guest) -> None:
        guest.wait_for(r"This is podman, Linux")
        guest.wait_for(r"init: started in")
        guest.type(
            "service exec podman podman load -i /var/lib/images/web.tar </dev/null; echo loaded $?"
        )
        guest.wait_for(r"\nloaded 0\n")
        guest.type("id=$(service exec podman podman images -q </dev/null); echo image $id.")
        guest.wait_for(r"\nimage [0-9a-f]{12}\.\n")
        guest.type(
            "service exec podman podman run -d --memory 64m --name web -p 80:80 $id </dev/null"
        )
        guest.wait_for(r"\n[0-9a-f]{64}\n")
        assert "<h1>It runs</h1>" in page(guest)
        # By Docker's interface, and the limit is the kernel's.
        guest.type("service exec podman podman --url unix:///run/podman/podman.sock ps </dev/null")
        guest.wait_for(r" Up .* 0\.0\.0\.0:80->80/tcp +web\n")
        guest.type("cat $(find /sys/fs/cgroup/libpod_parent -name memory.max)")
        guest.wait_for(r"\n67108864\n")
        guest.type(
            "service exec podman podman rm -f -t 1 web </dev/null; grep containers /proc/1/mounts"
        )
        guest.wait_for(r"\n/dev/vda1 /var/lib/containers ext4 ")
        assert "failed" not in guest.text()

    boot_and(files, check, memory=1024, disks=(path,))


def test_swap_is_encrypted_and_on_the_disk(tmp_path: Path) -> None:
    files = assemble(EXAMPLES / "swap.yml", tmp_path)
    path = disk(tmp_path, 192)

    def check(guest: Guest) -> None:
        guest.wait_for(r"This is swap, Linux")
        guest.type("cat /proc/swaps; grep /var/external /proc/1/mounts")
        guest.wait_for(r"/dm-0 +partition\s+\d{5}\s")
        guest.wait_for(r"/dev/vda1 /var/external ext4 ")
        assert "failed" not in guest.text()

    boot_and(files, check, memory=320, disks=(path,))


def test_getty_wants_the_password(tmp_path: Path) -> None:
    files = assemble(EXAMPLES / "getty.yml", tmp_path)

    def check(guest: Guest) -> None:
        for number, password in enumerate(("abcdefg", "abcdefgh")):
            guest.wait_for(rf"(?s)(login: .*){{{number + 1}}}$")
            guest.type("root")
            guest.wait_for(rf"(?s)(Password: .*){{{number + 1}}}$")
            guest.type(password)
        guest.wait_for(r"Login incorrect")
        guest.wait_for(r"This is getty, Linux")

    boot_and(files, check)
