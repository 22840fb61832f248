"""A user boots a system with failures, and reads their causes on the console."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from support.guests import assemble, boot_and, needs_qemu, system

if TYPE_CHECKING:
    from pathlib import Path

    from support.guest import Guest

pytestmark = [pytest.mark.slow, pytest.mark.boot, needs_qemu]

FAULTS = """
onboot:
  - name: broken
    image: SH "echo the disk is odd; echo truly odd >&2; exit 7"
  - name: after
    image: SH "echo goes on"
onshutdown:
  - name: goodbye
    image: SH "echo was here at the end"
services:
  - name: stubborn
    image: SH "trap 'echo heard it' TERM; echo ready; while true; do busybox sleep 1; done"
    annotations: {dolmen.stop-timeout: 3s}
  - name: crashing
    image: SH "echo about to crash; exit 5"
  - name: done
    image: SH "echo all done"
  - name: nobinary
    image: "@pkg:ROOT/pkg/dummy"
    command: [/usr/bin/missing]
  - name: wrongbind
    image: SH "echo never"
    binds: ["/no/such/place:/mnt"]
  - name: toofull
    image: SH "echo never"
    runtime:
      mounts: [{type: tmpfs, source: tmpfs, destination: /run/small, options: ["nr_inodes=2"]},
               {type: bind, source: /run, destination: /run/small/a, options: [bind]},
               {type: bind, source: /run, destination: /run/small/b, options: [bind]}]
  - name: nocontroller
    image: SH "echo never"
    resources: {memory: {limit: 20000000}}
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "system.yml"
    path.write_text(system(text))
    return path


def test_each_failure_is_named_with_its_cause(tmp_path: Path) -> None:
    files = assemble(write(tmp_path, FAULTS), tmp_path)

    def check(guest: Guest) -> None:
        guest.wait_for(
            r"init: onboot broken failed after [\d.]+ s: exit status 7\n"
            r" +\| the disk is odd\n +\| truly odd"
        )
        guest.wait_for(r"init: after: goes on")
        guest.wait_for(r"init: service crashing ended: exit status 5; it is started again in 1s")
        guest.wait_for(r"init: service nobinary ended: .*cannot be created.*\n +\|.*missing")
        guest.wait_for(r"init: service wrongbind ended: .*\n +\|.*/no/such/place")
        guest.wait_for(r"init: service toofull ended: .*/run/small.*no space left on device")
        guest.wait_for(r"init: service nocontroller ended: .*\n +\|.*memory")
        guest.wait_for(r"init: service crashing ended: exit status 5; it is started again in 2s")
        guest.wait_for(r"init: service crashing ended: exit status 5; it is started again in 4s")
        guest.wait_for(r"init: stubborn: ready")
        assert "service done ended" not in guest.text()
        began = time.monotonic()
        guest.press_power_button()
        guest.wait_for(r"init: stubborn: heard it")
        guest.wait_for(r"init: service stubborn did not end within 3s and is killed")
        guest.wait_for(r"init: goodbye: was here at the end")
        guest.wait_for(r"init: power off: all is stopped")
        guest.wait_for_end()
        assert time.monotonic() - began < 40

    boot_and(files, check, append="cgroup_disable=memory")


def test_onboot_may_stop_the_boot(tmp_path: Path) -> None:
    text = """
onboot:
  - name: broken
    image: SH "exit 7"
services:
  - name: never
    image: SH "echo it has started"
"""
    files = assemble(write(tmp_path, text), tmp_path)

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: cannot go on: onboot broken failed, and dolmen.onboot=stop")
        # With panic= the machine does not stay there.
        guest.wait_for_end()
        assert "it has started" not in guest.text()

    boot_and(files, check, append="dolmen.onboot=stop panic=-1")


def test_a_system_without_an_oci_runtime_reports_it(tmp_path: Path) -> None:
    path = write(tmp_path, "\nservices:\n  - name: never\n    image: SH 'echo no'\n")
    path.write_text(path.read_text().replace("/pkg/crun", "/pkg/dummy"))
    files = assemble(path, tmp_path)

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: cannot go on: there is no OCI runtime: put a package that has crun")
        guest.wait_for_end()

    boot_and(files, check, append="panic=-1")


@pytest.mark.whole
def test_an_initrd_that_is_not_unpacked_whole_is_told(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(90 << 20))
    text = "files: [{path: opt/large, source: large}]\n"
    files = assemble(write(tmp_path, text), tmp_path)

    def check(guest: Guest) -> None:
        guest.wait_for(r"init: files of the initrd are missing, .*: write error")
        guest.wait_for(r"has \d+ MiB of memory, and needs more than \d+ MiB")

    boot_and(files, check, memory=160)
