"""Packages for hosts and services are used in booted machines, from inside and from outside."""

from __future__ import annotations

import json
import socket
import subprocess
import tarfile
import time
import urllib.request
from typing import TYPE_CHECKING

import pytest

from support.cli import Dolmen
from support.guest import EMULATED, LIMIT, Guest, running
from support.guests import HOME, REPOSITORY, assemble, boot_and, needs_qemu, system

if TYPE_CHECKING:
    from pathlib import Path

# Packages that are compiled or unpacked first, and a boot or two.
limit = pytest.mark.timeout(1800)
pytestmark = [pytest.mark.slow, pytest.mark.boot, pytest.mark.whole, limit, needs_qemu]

MEBI = 1 << 20

ASKED = """
onboot:
  - name: ip
    image: "@pkg:ROOT/pkg/ip"
  - name: rngd
    image: "@pkg:ROOT/pkg/rngd"
    command: [/sbin/rngd, "-1"]
  - name: tools
    image: "@pkg:ROOT/pkg/open-vm-tools"
    # The daemon itself says nothing in other machines than VMware's.
    command:
      - /lib64/ld-linux-x86-64.so.2
      - --list
      - /usr/lib/x86_64-linux-gnu/open-vm-tools/plugins/vmsvc/libguestInfo.so
  - name: tunnel
    image: "@pkg:ROOT/pkg/ip"
    command: [sh, -c, "ip -brief address show; ip route; ip rule; wg show"]
services:
  - name: agent
    image: "@pkg:ROOT/pkg/qemu-ga"
  - name: exporter
    image: "@pkg:ROOT/pkg/node_exporter"
  - name: containers
    image: "@pkg:ROOT/pkg/cadvisor"
  - name: reader
    image: "@pkg:ROOT/pkg/dummy"
    net: host
    command:
      - sh
      - -c
      - |
        until busybox wget -q -O /tmp/m http://127.0.0.1:8080/metrics; do busybox sleep 1; done
        busybox grep -E '^container_(memory_usage_bytes|threads)' /tmp/m
        exec busybox sleep 9999
    tmpfs: ["/tmp"]
  - name: vmware
    image: "@pkg:ROOT/pkg/open-vm-tools"
  - name: kmsg
    image: "@pkg:ROOT/pkg/kmsg"
  - name: auditd
    image: "@pkg:ROOT/pkg/auditd"
  - name: rename
    image: "@pkg:ROOT/pkg/dummy"
    command:
      - sh
      - -c
      - |
        until busybox grep 'key="name"' /data/audit.log; do
          busybox hostname asked
          busybox sleep 1
        done
        exec busybox sleep 9999
    uts: host
    capabilities: [CAP_SYS_ADMIN]
    binds: ["/var/log/audit:/data"]
files:
  - path: etc/hostname
    contents: asked
  - path: etc/audit/rules.d/name.rules
    contents: |
      -a always,exit -F arch=b64 -S sethostname -k name
  - path: etc/ip/eth0.conf
    contents: |
      link set dev eth0 up
      address add 10.0.2.15/24 dev eth0
      route add default via 10.0.2.2
  - path: etc/wireguard/wg7.conf
    contents: |
      # A file for wg-quick.
      [Interface]
      Address = 192.0.2.1/24, 2001:db8::1/64
      MTU = 1380
      PrivateKey = WKpSxnRwdsFN1zT2tu1LtWR9Q4uZQ4PbIb2zU1qBmVE=
      DNS = 192.0.2.53

      [Peer]
      PublicKey = Aign9jQMgrLpqtinxXb8SYYAhm8szNnIVj9k5qsi+Ek=
      AllowedIPs = 198.51.100.0/24, 0.0.0.0/0
"""


def ask(path: Path, command: str, /, **arguments: object) -> object:
    """Ask the guest agent of a machine at its socket; it takes a moment to start."""
    end = time.monotonic() + LIMIT
    while True:
        with socket.socket(socket.AF_UNIX) as agent:
            agent.settimeout(10)
            agent.connect(str(path))
            agent.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
            answer = b""
            try:
                while not answer.endswith(b"\n"):
                    answer += agent.recv(1 << 16) or b"\n"
            except TimeoutError:
                pass
        if answer.strip():
            return json.loads(answer)
        assert time.monotonic() < end, "the agent does not answer"
        time.sleep(0.5)


def metrics(guest: Guest) -> str:
    """Return what the exporter says; it takes a moment to listen."""
    end = time.monotonic() + LIMIT
    while True:
        try:
            address = f"http://127.0.0.1:{guest.port}/metrics"
            with urllib.request.urlopen(address, timeout=60) as answer:
                return str(answer.read().decode())
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)


def test_hosts_ask_and_services_answer(tmp_path: Path) -> None:
    path = tmp_path / "asked.yml"
    path.write_text(system(ASKED))
    files = assemble(path, tmp_path)
    agent = tmp_path / "agent"

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: ip: wg7 is configured, with the key \S{43}=")
        guest.wait_for(r"init: rngd: the kernel's generator is seeded; .* virtio_rng.0\n")
        guest.wait_for(r"tunnel: eth0 +\w+ +10\.0\.2\.15/24 ")
        guest.wait_for(r"tunnel: wg7 +UNKNOWN +192\.0\.2\.1/24 2001:db8::1/64 \n")
        guest.wait_for(r"tunnel: 198\.51\.100\.0/24 dev wg7 ")
        guest.wait_for(r"init: tunnel: interface: wg7\n")
        # All is not routed away by a tunnel, unless it is asked for.
        assert "default dev wg7" not in guest.text()
        guest.wait_for(r"init: tools:\s+libvmtools\.so\.0 => /")
        assert "not found" not in guest.text()
        guest.wait_for(r"init: started in")
        guest.wait_for(r"init: vmware: this is no machine of VMware \(QEMU\)")
        guest.wait_for(
            r'init: reader: container_memory_usage_bytes\{id="/\S*exporter",name="\S+ [1-9]'
        )
        guest.wait_for(r"init: kmsg: kern +:\w+ *: \[ +\d+\.\d{6}\] Linux version 6")
        # What init says is not shown again and again.
        assert "kmsg: user  :debug : " not in guest.text()
        found = metrics(guest)
        assert 'node_uname_info{domainname="' in found
        assert "\nnode_memory_MemTotal_bytes " in found
        assert 'node_network_up{device="eth0"} 1' in found
        guest.wait_for(r'rename: node=asked type=SYSCALL .* comm="busybox" .* key="name"')
        assert ask(agent, "guest-ping") == {"return": {}}
        interfaces = ask(agent, "guest-network-get-interfaces")
        assert "10.0.2.15" in json.dumps(interfaces)
        assert ask(agent, "guest-get-host-name") == {"return": {"host-name": "asked"}}
        refused = ask(agent, "guest-exec", path="/usr/bin/sh")
        assert "has been disabled" in json.dumps(refused)
        # The kernel may say so of clocks, if the emulator is slow.
        own = [line for line in guest.text().splitlines() if "init: kmsg: kern" not in line]
        assert "failed" not in "\n".join(own)
        with socket.socket(socket.AF_UNIX) as host:
            host.connect(str(agent))
            host.sendall(b'{"execute": "guest-shutdown"}\n')
            guest.wait_for(r"init: power off: all is stopped")
            guest.wait_for_end()

    boot_and(
        files,
        check,
        memory=512,
        guest_port=9100,
        options=("-chardev", f"socket,id=ga,path={agent},server=on,wait=off"),
        devices=("virtio-serial-pci", "virtserialport,chardev=ga,name=org.qemu.guest_agent.0"),
    )


TRIMMED = """
onboot:
  - name: format
    image: "@pkg:ROOT/pkg/format"
  - name: mount
    image: "@pkg:ROOT/pkg/mount"
    command: [/usr/bin/mountie, /dev/vda1, /var/lib/data]
  - name: binfmt
    image: "@pkg:ROOT/pkg/binfmt"
    command: [/usr/bin/binfmt, arm64, none]
  - name: foreign
    image: SH "/busybox.foreign uname -m; busybox uname -m"
    binds: ["/busybox.foreign:/busybox.foreign"]
services:
  - name: trim
    image: "@pkg:ROOT/pkg/trim-after-delete"
    command: [/usr/bin/trim-after-delete, -delay, 2s, --, /sbin/fstrim, -v, /var/lib/data]
  - name: deleter
    image: "@pkg:ROOT/pkg/dummy"
    command:
      - sh
      - -c
      - |
        cd /data
        busybox dd if=/dev/urandom of=large bs=1M count=48
        busybox sync
        while [ ! -e stop ]; do busybox sleep 1; done
        busybox rm large stop
        exec busybox sleep 9999
    binds: ["/var/lib/data:/data"]
  - name: getty
    image: "@pkg:ROOT/pkg/getty"
    env: [INSECURE=true]
files:
  - path: busybox.foreign
    source: FOREIGN
    mode: "0755"
"""


def foreign_busybox(folder: Path) -> Path:
    """Return busybox for another architecture, out of a package."""
    yaml = folder / "foreign.yml"
    yaml.write_text(f'init: ["@pkg:{REPOSITORY}/pkg/dummy"]\n')
    HOME.mkdir(parents=True, exist_ok=True)
    dolmen = Dolmen(HOME)
    package = REPOSITORY / "pkg" / "dummy"
    dolmen.run("pkg", "build", "--platforms", "linux/arm64", package, check=True)
    words = ("build", "--arch", "arm64", "--format", "tar", "--dir", folder, yaml)
    dolmen.run(*words, check=True)
    path = folder / "busybox"
    with tarfile.open(folder / "foreign.tar") as archive:
        found = archive.extractfile("usr/bin/busybox")
        assert found is not None
        path.write_bytes(found.read())
    return path


def allocated(path: Path) -> int:
    """Return how many MiB of a file have blocks on this machine."""
    return path.stat().st_blocks * 512 // MEBI


def test_foreign_programs_run_and_deleted_files_give_blocks_back(tmp_path: Path) -> None:
    path = tmp_path / "trimmed.yml"
    path.write_text(system(TRIMMED).replace("FOREIGN", str(foreign_busybox(tmp_path))))
    files = assemble(path, tmp_path)
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(128 * MEBI)

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: binfmt: qemu-aarch64 is registered\n")
        guest.wait_for(r"init: binfmt: there is no QEMU for none\n")
        guest.wait_for(r"init: foreign: aarch64\ninit: foreign: x86_64\n")
        guest.wait_for(r"init: trim: /var/lib/data is watched\n")
        guest.wait_for(r"init: started in")
        end = time.monotonic() + LIMIT
        while allocated(disk) < 48 and time.monotonic() < end:
            time.sleep(1)
        assert allocated(disk) >= 48
        guest.type("touch /proc/1/root/var/lib/data/stop")
        guest.wait_for(r"init: trim: /var/lib/data: \d+ bytes( were)? trimmed")
        guest.wait_for(r'init: trim: \["/sbin/fstrim" .*\] is done')
        assert allocated(disk) < 24

    drive = f"if=none,id=trimmed,format=raw,discard=unmap,file={disk}"
    boot_and(
        files,
        check,
        memory=512,
        options=("-drive", drive),
        devices=("virtio-blk-pci,drive=trimmed",),
    )


INSTALLED = """
services:
  - name: installed
    image: SH "echo 'this disk was installed'; exec busybox sleep 9999"
"""
INSTALLER = """
onboot:
  - name: wrong
    image: "@pkg:ROOT/pkg/mkimage"
    command: [/usr/bin/mkimage, --sha256, "00", /dev/vdc]
  - name: full
    image: "@pkg:ROOT/pkg/mkimage"
    command: [/usr/bin/mkimage, /dev/vdc, /dev/vdb]
  - name: small
    image: "@pkg:ROOT/pkg/mkimage"
    command: [/usr/bin/mkimage, --force, /dev/vdc, /dev/vdd]
  - name: packed
    image: "@pkg:ROOT/pkg/mkimage"
    command: [/usr/bin/mkimage, -force, /image.zst, /dev/vde]
    binds.add: ["/image.zst:/image.zst:ro"]
  - name: install
    image: "@pkg:ROOT/pkg/mkimage"
    command: [/usr/bin/mkimage, --sha256, DIGEST, /dev/vdc]
files:
  - path: image.zst
    source: PACKED
"""


def test_an_installed_disk_boots(tmp_path: Path) -> None:
    path = tmp_path / "installed.yml"
    path.write_text(system(INSTALLED).replace("dolmen.output", f"dolmen.output {EMULATED}"))
    assemble(path, tmp_path)
    dolmen = Dolmen(HOME)
    dolmen.run(
        *("pkg", "build", "--platforms", "linux/amd64", REPOSITORY / "pkg" / "bootloaders"),
        check=True,
    )
    dolmen.run("build", "--format", "raw-bios", "--dir", tmp_path, path, check=True)
    image = tmp_path / "installed-bios.img"
    digest = subprocess.run(("sha256sum", image), capture_output=True, text=True, check=True)
    packed = tmp_path / "image.zst"
    subprocess.run(("zstd", "-q", "-o", packed), stdin=image.open("rb"), check=True)
    installer = tmp_path / "installer.yml"
    text = system(INSTALLER).replace("PACKED", str(packed))
    installer.write_text(text.replace("DIGEST", digest.stdout.split()[0]))
    files = assemble(installer, tmp_path)
    size = image.stat().st_size
    disks = tuple(tmp_path / name for name in ("target", "full", "source", "small", "second"))
    for disk, length in zip(disks, (size + 64 * MEBI, MEBI, 0, MEBI, size), strict=True):
        with disk.open("wb") as file:
            file.truncate(length)
    disks[1].write_bytes(b"precious" * (MEBI // 8))
    disks[2].write_bytes(image.read_bytes())

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: wrong: /dev/vdc is not what was wanted: its SHA-256 is [0-9a-f]{64}")
        guest.wait_for(r"init: full: /dev/vdb has data and is left as it is; --force would")
        guest.wait_for(r"init: small: /dev/vdd is too small: the image has \d+ MiB")
        guest.wait_for(r"init: packed: /dev/vde has the image now: \d+ MiB, SHA-256 [0-9a-f]{64}")
        guest.wait_for(r"init: install: /dev/vda has the image now: \d+ MiB, SHA-256 [0-9a-f]{64}")
        guest.wait_for(r"init: started in")
        assert guest.text().count(" failed after ") == 3, guest.text()
        guest.press_power_button()
        guest.wait_for_end()

    boot_and(files, check, memory=640, disks=disks)
    assert disks[1].read_bytes() == b"precious" * (MEBI // 8)
    assert disks[4].read_bytes() == image.read_bytes()
    with disks[0].open("rb") as file:
        assert file.read(size) == image.read_bytes()
    command = [
        *("qemu-system-x86_64", "-machine", "q35", "-cpu", "max,cx16=off", "-accel", "tcg"),
        *("-nodefaults", "-m", "256", "-display", "none", "-no-reboot", "-serial", "stdio"),
        *("-drive", f"if=virtio,format=raw,file={disks[0]}"),
    ]
    with running(command) as guest:
        guest.wait_for(r"init: installed: this disk was installed")


DRIVEN = """
kernel: {image: "@pkg:kernel", cmdline: "console=ttyS0 dolmen.output"}
init: ["@pkg:ROOT/pkg/init", "@pkg:ROOT/pkg/crun", "@pkg:firmware"]
onboot:
  - name: card
    image: "@pkg:ROOT/pkg/dummy"
    net: host
    capabilities: [CAP_NET_ADMIN]
    command:
      - sh
      - -c
      - |
        for path in /sys/class/net/*; do
          driver=$(busybox readlink $path/device/driver)
          [ "${driver##*/}" = e100 ] || continue
          busybox ip link set ${path##*/} up && echo "the card works"
        done
"""


def test_a_driver_gets_its_firmware(tmp_path: Path) -> None:
    # The recipe of the package, for this driver alone, with a kernel that has the driver.
    recipe = (REPOSITORY / "pkg" / "firmware" / "build.yml").read_text()
    kernel = (REPOSITORY / "kernel" / "virtual" / "build.yml").read_text()
    made = {
        "firmware": recipe.partition("  modules:")[0] + "  modules: [e100]\n",
        "kernel": kernel.replace("linux-image-cloud-amd64", "linux-image-amd64") + "    - e100\n",
    }
    for name, text in made.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "build.yml").write_text(text)
    path = tmp_path / "driven.yml"
    path.write_text(DRIVEN.replace("ROOT", str(REPOSITORY)))
    files = assemble(path, tmp_path)

    def check(guest: Guest) -> None:
        # This card does not start without its microcode.
        guest.wait_for(r"init: card: the card works\n")
        guest.wait_for(r"init: started in")

    card = ("-netdev", "user,id=second,restrict=on")
    boot_and(files, check, options=card, devices=("i82551,netdev=second,romfile=",))
