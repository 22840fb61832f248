"""A machine updates itself from a server, and could have lost its power at any write."""

from __future__ import annotations

import hashlib
import re
import shutil
import struct
import zlib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from support.guests import assemble, boot_and, needs_qemu, system
from support.updates import (
    MEBI,
    ROOTS,
    TREES,
    Release,
    Signer,
    as_uuid,
    check_slot,
    entries,
    identifiers,
    make_disk,
    make_release,
    read_entry,
    write_identity,
    write_set,
)
from support.write_log import power_cuts, read_log

if TYPE_CHECKING:
    from pathlib import Path

    from support.guest import Guest

limit = pytest.mark.timeout(1800)
pytestmark = [
    *(pytest.mark.slow, pytest.mark.boot, pytest.mark.whole, limit, needs_qemu),
    pytest.mark.skipif(
        not all(map(shutil.which, ("sgdisk", "veritysetup", "mformat"))),
        reason="sgdisk, veritysetup or mtools is not installed",
    ),
]

UPDATE = """
onboot:
  - name: dhcp
    image: "@pkg:ROOT/pkg/dhcp"
services:
  - name: update
    image: "@pkg:ROOT/pkg/update"
    command: [/usr/bin/dolmen-update, service, --from, "http://10.0.2.2:PORT/", --jitter, 0s,
      --cmdline, /etc/dolmen/cmdline, --reboot]
files:
  - {path: etc/dolmen/release.json, source: etc/release.json}
  - {path: etc/dolmen/update.pub, source: etc/update.pub}
  - {path: etc/dolmen/cmdline, source: etc/cmdline}
"""


def serve(directory: Path) -> ThreadingHTTPServer:
    """Serve files at a port of this machine."""
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(directory))
    )
    Thread(target=server.serve_forever, daemon=True).start()
    return server


def partitions(disk: Path) -> dict[int, str]:
    """Return the identifiers in the first table, which must be right: Linux reads no other."""
    with disk.open("rb") as file:
        head = file.read(2 * MEBI)
    header = bytearray(head[512:604])
    (checksum,) = struct.unpack_from("<I", header, 16)
    struct.pack_into("<I", header, 16, 0)
    assert header[:8] == b"EFI PART"
    assert zlib.crc32(header) == checksum
    place, count, size, checksum = struct.unpack_from("<QIII", header, 72)
    table = head[place * 512 : place * 512 + count * size]
    assert zlib.crc32(table) == checksum
    found = {}
    for number in range(5):
        raw = table[number * size + 16 : number * size + 32]
        found[number + 1] = as_uuid((raw[3::-1] + raw[5:3:-1] + raw[7:5:-1] + raw[8:]).hex())
    return found


def boots(disk: Path, releases: dict[str, Release]) -> str:
    """Return the release that comes up; all of it must be there."""
    names = [re.fullmatch(r"demo_(\d+)(\+\d+)?\.efi", name) for name in entries(disk)]
    programs = {match: read_entry(disk, match[0]) for match in names if match}
    # Files that are no programs are ignored by the boot loader.
    newest = max((m for m, data in programs.items() if data[:2] == b"MZ"), key=lambda m: int(m[1]))
    one = releases[newest[1]]
    assert programs[newest] == one.files["efi"], newest[0]
    found = partitions(disk)
    slot = next(
        n for n in (0, 1) if (found[2 + 2 * n], found[3 + 2 * n]) == identifiers(one.roothash)
    )
    with disk.open("rb") as file:
        for kind, (start, _) in (("root", ROOTS[slot]), ("verity", TREES[slot])):
            file.seek(start * MEBI)
            data = file.read(len(one.files[kind]))
            assert hashlib.sha256(data).digest() == hashlib.sha256(one.files[kind]).digest()
    return one.version


def test_updates_survive_power_cuts(tmp_path: Path) -> None:
    signer, one, two = Signer(), make_release(tmp_path, "1"), make_release(tmp_path, "2")
    write_identity(tmp_path / "etc", signer, one)
    server = serve(write_set(tmp_path / "set", signer, one, two))
    path = tmp_path / "updated.yml"
    path.write_text(system(UPDATE).replace("PORT", str(server.server_port)))
    files = assemble(path, tmp_path)
    disk, fresh, log = (tmp_path / name for name in ("disk.img", "fresh.img", "log"))
    make_disk(fresh, one)

    def check(guest: Guest) -> None:
        guest.wait_for(r"update: writing release 2 to partitions 4 and 5\n")
        guest.wait_for(r"update: release 2 is written and is started at the next boot\n")
        guest.wait_for_end()

    shutil.copyfile(fresh, disk)
    log.write_bytes(b"")
    drive = f"driver=blklogwrites,node-name=logged,file.driver=file,file.filename={disk}"
    drive += f",log.driver=file,log.filename={log},log-sector-size=512"
    boot_and(
        files,
        check,
        options=("-blockdev", drive),
        devices=("virtio-blk-pci,drive=logged",),
    )
    server.shutdown()
    check_slot(disk, 0, one)
    check_slot(disk, 1, two)
    assert sorted(entries(disk)) == ["demo_1.efi", "demo_2+3.efi"]
    assert read_entry(disk, "demo_2+3.efi") == two.files["efi"]

    writes = read_log(log)
    known = {"1": one, "2": two}
    came = {boots(fresh, known) for _ in power_cuts(fresh, writes)}
    assert came == {"1", "2"}
    assert fresh.read_bytes() == disk.read_bytes()
