"""A machine gets the metadata of its cloud, while other clouds do not answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from support.clouds import network_of, service
from support.guests import assemble, boot_and, needs_qemu, system

if TYPE_CHECKING:
    from pathlib import Path

    from support.guest import Guest

pytestmark = [pytest.mark.slow, pytest.mark.boot, needs_qemu]

SYSTEM = """
onboot:
  - name: dhcp
    image: "@pkg:ROOT/pkg/dhcp"
  - name: metadata
    image: "@pkg:ROOT/pkg/metadata"
    command: [/usr/bin/metadata, --timeout, 50s, aws, gcp, digitalocean, vultr]
  - name: outcome
    image: SH "cd /config; busybox tail -n 9 provider id app/* network.json; busybox ls -l ssh"
    binds: ["/run/config:/config:ro"]
"""


def test_slow_clouds_do_not_delay_the_one_that_answers(tmp_path: Path) -> None:
    path = tmp_path / "cloud.yml"
    path.write_text(system(SYSTEM))
    files = assemble(path, tmp_path)
    cloud = service("digitalocean", "vultr")
    # AWS and GCP take requests and do not answer; DigitalOcean is not ready at first.
    cloud.silent = ("/latest/api/token", "/computeMetadata")
    cloud.failures = {"/metadata/v1.json": [503, 503]}

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: onboot metadata\n")
        began = time.monotonic()
        guest.wait_for(r"init: metadata: AWS: no answer yet, and DigitalOcean has answered")
        guest.wait_for(r"init: metadata: GCP: no answer yet, and DigitalOcean has answered")
        guest.wait_for(r"init: metadata: DigitalOcean answered after \d\.\ds")
        guest.wait_for(r"init: metadata: the hostname is web-fra1")
        # Each of the two alone would take 50 seconds.
        assert time.monotonic() - began < 25
        guest.wait_for(r"init: outcome: DigitalOcean")
        guest.wait_for(r"init: outcome: 2756294")
        guest.wait_for(r"init: outcome: cloud=digitalocean")
        guest.wait_for(r'init: outcome: +"67\.207\.67\.3"')
        guest.wait_for(r"init: outcome: -rw------- .* authorized_keys")

    with network_of({"169.254.169.254": cloud}) as network:
        boot_and(files, check, network=network)
    assert [r.path for r in cloud.requests].count("/metadata/v1.json") >= 3
