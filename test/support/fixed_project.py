"""YAML files and packages with fixed bytes, made without the library."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support.debian import Deb, Link, Shape, ar, make_archive, module, tar
from support.fixed_images import FILESYSTEM_MAKER, REPOSITORY, make_images, random_bytes
from support.programs import kernel

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_TIME = 1_600_000_000

_KERNEL = "kernel: {image: 'made/kernel:1', ucode: ucode.cpio, cmdline: 'console=ttyS0 quiet'}\n"
_SYSTEM = f"""\
{_KERNEL}
init: ['example/init:v1', 'example/runc:v1', 'example/containerd:v1', 'example/nasty:1',
       'example/formats:1', 'made/root:1', 'made/odd:1', 'made/init:1']
volumes:
  - {{name: blank}}
  - {{name: data, image: 'example/voldata:1'}}
  - {{name: layout, image: 'example/multi:1', format: oci, platforms: [linux/amd64, linux/arm64]}}
onboot:
  - {{name: one, image: 'example/plain:1', command: [a]}}
  - {{name: two, image: 'example/times:1', command: [a], binds: ['data:/data', 'layout:/l:ro']}}
  - {{name: all, image: 'example/lab-all:1'}}
onshutdown:
  - {{name: last, image: 'example/links:1', command: [a]}}
services:
  - {{name: sparse, image: 'example/sparse:1', command: [a]}}
  - {{name: again, image: 'example/plain:1', command: [a], readonly: true, uid: again}}
  - {{name: mixed, image: 'example/mixed:1', command: [a]}}
  - {{name: hidden, image: 'example/wh:1', command: [a]}}
  - {{name: swapped, image: 'example/swap:1', command: [a]}}
  - {{name: touched, image: 'example/touch:1'}}
  - {{name: made, image: 'made/service:1', command: [a]}}
  - name: everything
    image: example/lab-caps:1
    capabilities: [CAP_CHOWN, CAP_SYS_ADMIN]
    ambient: [CAP_CHOWN]
    mounts: [{{type: tmpfs, source: none, destination: /m, options: [nosuid, "size=5m"]}}]
    binds.add: ["/a:/b", "blank:/d:ro,noexec"]
    devices: [{{path: /dev/console, type: c, major: 5, minor: 1, mode: "0666"}}]
    tmpfs: ["/t1", "/t2:rw,size=1m"]
    net: /run/ns/a
    uts: new
    additionalGids: [13, "made"]
    resources: {{memory: {{limit: 10}}, cpu: {{quota: 1, period: 2}}}}
    rlimits: ["CORE,0,0", " stack , 1 , Unlimited"]
    sysctl: {{kernel.msgmax: "1"}}
    annotations: {{k: v}}
    runtime:
      cgroups: [c1]
      mkdir: [/one, two]
      interfaces: [{{name: wg, add: wireguard, createInRoot: true}}]
      bindNS: {{net: /4, uts: /7}}
      namespace: mine
files:
  - {{path: etc/system.yml, metadata: yaml}}
  - {{path: etc/system.json, metadata: json}}
  - {{path: etc/größe, contents: "äöü"}}
  - {{path: etc/copied, source: copied.bin, mode: "0644", uid: again}}
  - {{path: etc/run, source: run.sh}}
  - {{path: tmp, directory: true, mode: "1777"}}
  - {{path: var/link, symlink: ../tmp}}
"""
_SMALL = f"{_KERNEL}init: ['example/init:v1', 'made/init:1']\n"
# Squashfs and erofs cannot be made of every directory that these two images have.
_EVEN = _SYSTEM.replace("'example/nasty:1',", "").replace("'made/odd:1', ", "")
# An earlier tar cannot give the images of a layout.
_FLAT = "".join(
    line.replace(", 'layout:/l:ro'", "")
    for line in _SYSTEM.splitlines(keepends=True)
    if "name: layout" not in line
)
# By name, the YAML files.
YAML = {
    "system.yml": _SYSTEM,
    "even.yml": _EVEN,
    "earlier.yml": _FLAT,
    "later.yml": _FLAT.replace('"äöü"', '"one line is another"'),
    "edited.yml": _SYSTEM.replace('"äöü"', '"one line is another"'),
    "small.yml": _SMALL,
    "machines.yml": f"{_SMALL}services: [{{name: s, image: 'example/multi:1'}}]\n",
    "large.yml": f"{_KERNEL}init: ['example/init:v1', 'made/large:1']\n",
    "root.yml": "kernel: {image: 'made/kernel:1', cmdline: 'console=ttyS0 root=/dev/sr0'}\n",
    "pi.yml": "kernel: {image: 'made/pi:1', tar: none, cmdline: 'console=ttyS1,115200'}\n"
    "init: ['example/init:v1']\n",
    "unpack.yml": "kernel: {image: 'example/kernel:gz', cmdline: x}\ninit: ['example/init:v1']\n",
    "packed.yml": "kernel: {image: 'made/pi:packed', tar: none, cmdline: 'console=ttyS1'}\n"
    "init: ['example/init:v1']\n",
    "told.yml": "init: ['example/init:v1']\n"
    "services:\n"
    "  - {name: one, image: 'example/spdx-one:1'}\n"
    "  - {name: two, image: 'example/spdx-two:1'}\n"
    "  - {name: none, image: 'example/plain:1'}\n",
}
_DOCKERFILE = """\
FROM scratch AS first
COPY --chmod=0700 bin/ /usr/bin/
WORKDIR /made/by/workdir
ADD data.txt ./
ADD packed.tar /unpacked/
FROM first
ARG REVISION SOURCE_DATE_EPOCH TARGETARCH
COPY --from=first /usr/bin/hello /copy/
COPY --chown=70:71 data.txt link /etc/
ENV WHEN=$SOURCE_DATE_EPOCH FOR=$TARGETARCH
LABEL revision=$REVISION
EXPOSE 80/tcp
VOLUME /data
USER 65534
ENTRYPOINT ["/usr/bin/hello"]
CMD ["there"]
"""
_RECIPE = """\
image: tool
org: example
arches: [amd64, arm64]
config: {binds: ["/etc/x:/etc/x"]}
debs:
  suite: trixie
  packages: [tool]
  drop: [/usr/share/doc]
  links: {/usr/bin/t: tool}
  users: [www-data, "web:101"]
  files:
    - {path: /etc/own, source: own}
    - {path: /etc/said, contents: "said", mode: "0600", uid: 101}
    - {path: /run/tool, directory: true}
  entrypoint: [/usr/bin/tool]
  env: [A=1]
  workdir: /run/tool
"""
_KERNEL_RECIPE = """\
image: linux
org: example
arches: [amd64]
debs: {suite: trixie, packages: [linux-image-amd64], kernel: true, modules: ["virtio*", "isofs"]}
"""


@dataclass(frozen=True)
class _Plain(Deb):
    """A Debian package without compression."""

    def build(self) -> bytes:
        """Return the package file."""
        control = tar({"control": self.control.encode()}, self.time)
        content = tar(self.files, self.time)
        members = [("debian-binary", b"2.0\n"), ("control.tar", control), ("data.tar", content)]
        return ar(members, self.time)


def _debs() -> list[Deb]:
    """Return the packages that recipes name."""
    there = "usr/lib/modules/6.12.0"
    modules = {
        "kernel/drivers/virtio/virtio.ko": module(exports=["virtio_add"]),
        "kernel/drivers/virtio/virtio_blk.ko": module(depends=["virtio"], alias=["virtio:d2v*"]),
        "kernel/fs/isofs/isofs.ko": module(alias=["fs-iso9660", "iso9660"]),
        "kernel/fs/xfs/xfs.ko": module(alias=["fs-xfs"]),
        "modules.order": b"kernel/fs/xfs/xfs.ko\nkernel/drivers/virtio/virtio.ko\n",
        "modules.builtin": b"kernel/fs/overlayfs/overlay.ko\n",
    }
    kernel_files: dict[str, Any] = {f"{there}/{name}": data for name, data in modules.items()}
    kernel_files |= {"boot/vmlinuz-6.12.0": kernel("6.12.0"), "boot/config-6.12.0": b"CONFIG_X=y\n"}
    found: list[Deb] = [
        _Plain("linux-image-6.12.0", files=kernel_files),
        _Plain("linux-image-amd64", fields={"Depends": "linux-image-6.12.0"}),
    ]
    for architecture in ("amd64", "arm64"):
        library = {
            "usr/lib/libtool.so.1": random_bytes(architecture, 3000),
            "usr/lib/libtool.so": Link("libtool.so.1"),
            "usr/share/doc/libtool/copyright": b"free",
        }
        files = {"usr/bin/tool": architecture.encode(), "usr/bin/größe": Link("usr/bin/tool", True)}
        needs = {"Depends": "libtool (>= 2:1.0)"}
        found.append(_Plain("libtool", "2:1.0+b1", architecture, library))
        found.append(_Plain("tool", "1.0-1", architecture, files, needs))
    return found


def write_project(folder: Path) -> str:
    """Write the YAML files, the files that they name, packages and an archive; return a digest."""
    make = make_images()
    files: dict[str, bytes | str] = dict(YAML)
    files["copied.bin"] = bytes(range(256)) * 40
    files["run.sh"] = "#!/bin/sh\n"
    files["programs/mksquashfs"] = FILESYSTEM_MAKER
    files["user-data"] = "#cloud-config\n"
    for name in ("db.key", "db.crt"):
        files[f"keys/{name}"] = (REPOSITORY / "test" / "cases" / "data" / name).read_bytes()
    inside = [make.D("in"), make.F("in/side", uid=9), make.L("in/link", "side")]
    for package, org in (("package", "example"), ("repository/package", "committed")):
        files |= {
            f"{package}/build.yml": f"image: app\norg: {org}\narches: [amd64, arm64]\n"
            "config: {binds: ['/etc/x:/etc/x'], capabilities: [CAP_CHOWN]}\n",
            f"{package}/Dockerfile": _DOCKERFILE,
            f"{package}/bin/hello": "#!/bin/sh\n",
            f"{package}/data.txt": "\N{LATIN SMALL LETTER DOTLESS I}\n" * 500,
            f"{package}/packed.tar": make.tar(inside),
        }
    files |= {"recipe/build.yml": _RECIPE, "recipe/own": "own", "linux/build.yml": _KERNEL_RECIPE}
    archive = make_archive(folder / "archive", _debs(), shape=Shape(compressions=("",)))
    for path in archive.rglob("*"):
        if path.is_file():
            files[path.relative_to(folder).as_posix()] = path.read_bytes()
    _write(folder, files)
    for package in ("package", "repository/package"):
        (folder / package / "link").symlink_to("data.txt")
    known = {k: hashlib.sha256(_encoded(v)).hexdigest() for k, v in files.items()}
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def _encoded(content: bytes | str) -> bytes:
    return content if isinstance(content, bytes) else content.encode()


def _write(folder: Path, files: Mapping[str, bytes | str]) -> None:
    """Write files with fixed modes and times."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_encoded(content))
        path.chmod(0o755 if _encoded(content).startswith(b"#!") else 0o644)
        os.utime(path, (_TIME, _TIME))
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
