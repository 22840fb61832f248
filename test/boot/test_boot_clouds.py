"""Examples for clouds get keys, name and user data from servers that answer as the clouds do."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.clouds import CLOUDS, WIRE_SERVER, network_of, service, source_ports
from support.guest import login
from support.guests import REPOSITORY, assemble, boot_and, needs_qemu, system

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen
    from support.guest import Guest

pytestmark = [pytest.mark.slow, pytest.mark.boot, pytest.mark.whole, needs_qemu]

needs_ssh = pytest.mark.skipif(not shutil.which("ssh"), reason="ssh is not installed")
needs_fat = pytest.mark.skipif(
    not all(map(shutil.which, ("mkfs.vfat", "mcopy"))), reason="dosfstools or mtools is missing"
)


def new_key(folder: Path) -> tuple[Path, str]:
    """Make a key; return its path and the public part."""
    key = folder / "key"
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)), check=True)
    return key, key.with_suffix(".pub").read_text().strip()


@needs_ssh
@pytest.mark.parametrize("name", sorted(CLOUDS))
def test_an_example_gets_the_metadata_of_its_cloud(name: str, tmp_path: Path) -> None:
    document = CLOUDS[name]
    files = assemble(REPOSITORY / "examples" / f"platform-{name}.yml", tmp_path)
    key, public = new_key(tmp_path)
    services = {document["base"]: service(name, key=public)}
    if "wire" in document:
        services[WIRE_SERVER] = service(name, wire=True)
    capture = tmp_path / "packets"

    def check(guest: Guest) -> None:
        guest.wait_for(rf"init: metadata: {document['provider']} answered after")
        guest.wait_for(r"init: started in")
        tree = "cd /run/config; hostname; cat provider; echo; cat app/settings network.json"
        found = login(guest, key, tree)
        assert found.returncode == 0, found.stderr + guest.text()[-3000:]
        hostname, provider, setting, *network = found.stdout.splitlines()
        assert (hostname, provider) == (document["hostname"], document["provider"])
        assert setting == f"cloud={name}"
        assert json.loads("\n".join(network))["interfaces"]

    with network_of(services) as network:
        dump = ("-object", f"filter-dump,id=dump,netdev=net,file={capture}")
        boot_and(files, check, append="dolmen.output", guest_port=22, network=network, options=dump)
    if name == "azure":
        (report,) = [r.body for r in services[WIRE_SERVER].requests if r.method == "POST"]
        assert re.search(r"<ContainerId>c6d5526c-.*<InstanceId>b61f93d0-.*>Ready<", report)
    if name == "scaleway":
        assert any(port < 1024 for port in source_ports(capture, document["base"]))


DRIVES = """
onboot:
  - name: nocloud
    image: "@pkg:ROOT/pkg/metadata"
    command: [/usr/bin/metadata, nocloud]
  - name: first
    image: SH "cd /config; busybox tail -n 9 provider hostname app/settings network.json"
    binds: ["/run/config:/config:ro"]
  - name: openstack
    image: "@pkg:ROOT/pkg/metadata"
    command: [/usr/bin/metadata, --timeout, 50s, openstack]
  - name: second
    image: SH "cd /config; busybox tail -n 9 provider hostname app/settings ssh/authorized_keys"
    binds: ["/run/config:/config:ro"]
"""
SEED = {
    "user-data": '{"app": {"entries": {"settings": "cloud=none\\n"}}}',
    "meta-data": "instance-id: one\nlocal-hostname: seeded\n",
    "network-config": "version: 2\nethernets:\n  eth0:\n    gateway4: 10.9.8.7\n",
}


def fat(path: Path, label: str, files: dict[str, str]) -> Path:
    """Make a disk with a FAT that has files."""
    path.write_bytes(bytes(4 << 20))
    subprocess.run(("mkfs.vfat", "-n", label, path), check=True, capture_output=True)
    source = path.with_suffix(".files")
    for name, content in files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(content)
    subprocess.run(("mcopy", "-s", "-i", path, *source.iterdir(), "::"), check=True)
    return path


@needs_fat
def test_disks_have_the_metadata_of_clouds_without_services(tmp_path: Path) -> None:
    path = tmp_path / "drives.yml"
    path.write_text(system(DRIVES))
    files = assemble(path, tmp_path)
    routes = CLOUDS["openstack"]["routes"]
    documents = {r["path"][1:]: r["answer"] for r in routes if r["path"].startswith("/openstack")}
    disks = (
        fat(tmp_path / "seed.img", "CIDATA", SEED),
        fat(tmp_path / "config.img", "config-2", documents),
    )

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: nocloud: found on /dev/vda")
        guest.wait_for(r"init: nocloud: the hostname is seeded")
        guest.wait_for(r"init: first: NoCloud")
        guest.wait_for(r"init: first: cloud=none")
        guest.wait_for(r'init: first: .*"via": "10\.9\.8\.7"')
        guest.wait_for(r"init: openstack: found on /dev/vdb")
        guest.wait_for(r"init: openstack: the hostname is web\.novalocal")
        guest.wait_for(r"init: second: cloud=openstack")
        guest.wait_for(r"init: second: ssh-ed25519 ")

    boot_and(files, check, disks=disks)


UNNAMED = """
onboot:
  - name: dhcp
    image: "@pkg:ROOT/pkg/dhcp"
  - name: metadata
    image: "@pkg:ROOT/pkg/metadata"
"""


def test_the_smbios_names_the_cloud_where_the_command_does_not(
    tmp_path: Path, dolmen: Dolmen
) -> None:
    path = tmp_path / "unnamed.yml"
    path.write_text(system(UNNAMED))
    files = assemble(path, tmp_path)
    cloud, wire = service("azure", "digitalocean"), service("azure", wire=True)
    cd = tmp_path / "cd.iso"
    dolmen.run("metadata", "create", cd, '{"hostname": "ofthecd"}', check=True)

    def on_azure(guest: Guest) -> None:
        guest.wait_for(r"init: metadata: Azure answered after")
        guest.wait_for(r"init: metadata: the hostname is web\n")
        guest.wait_for(r"init: metadata: Azure knows that this machine is ready")

    def elsewhere(guest: Guest) -> None:
        guest.wait_for(r"init: metadata: the hostname is ofthecd\n")

    tag = CLOUDS["azure"]["smbios"]["asset"]
    with network_of({"169.254.169.254": cloud, WIRE_SERVER: wire}) as network:
        boot_and(
            files, on_azure, network=network, cd=cd, options=("-smbios", f"type=3,asset={tag}")
        )
        asked = len(cloud.requests)
        boot_and(files, elsewhere, network=network, cd=cd)
    # A machine that is of no cloud asks none.
    assert len(cloud.requests) == asked > 0
