"""Builds Debian packages of Dolmen, without root: dist/dolmen_VERSION-0dolmen1_ARCHITECTURE.deb."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING

from assembler.files import atomic_write
from release.arguments import parse_arguments
from release.completions import completion_scripts
from release.copyright_file import copyright_file
from release.environment import PYTHONS, ROOT, make_environment
from release.manual import manual_page
from release.sources import REPOSITORY, VERSION, source_time
from release.tree import File, Tree, ar_of, compress_gzip, compress_xz, parents_of, tar_of
from release.wheel import build_wheel

if TYPE_CHECKING:
    from pathlib import Path

# Older than any revision in Debian's own archive.
_REVISION = "0dolmen1"
_DOCUMENTS = "usr/share/doc/dolmen"
_OVERRIDES = """\
# Sources of packages, in which a script is run by its interpreter; modes are part of their tags.
dolmen: script-not-executable [usr/lib/dolmen/site-packages/assembler/_catalog/*]
# The library has the locked version, so that outputs have the same bytes on each system.
dolmen: embedded-library libzstd [usr/lib/dolmen/site-packages/zstandard/*]
"""
_DEPENDS = (
    "ca-certificates, gpgv, libc6 (>= 2.28), libgcc-s1, python3 (>= {first}), python3 (<< {after})"
)
_QEMU = {"amd64": "qemu-system-x86", "arm64": "qemu-system-arm"}
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_CONTROL = """\
Package: dolmen
Version: {version}
Architecture: {architecture}
Maintainer: {maintainer}
Installed-Size: {size}
Depends: {depends}
Recommends: debian-archive-keyring, git, {qemu}
Suggests: buildah, erofs-utils, openssh-client, qemu-utils, squashfs-tools, swtpm
Section: utils
Priority: optional
Description: assemble bootable Linux images from OCI images
 Dolmen builds bootable Linux images from a YAML file that lists a kernel, an
 init and the containers of the system. The images come from registries, or
 are made of Debian packages.
 .
 It needs no daemon and no root, its outputs are reproducible, and errors name
 the line of the YAML file and a fix. QEMU runs the results.
"""
# As dh_python3 generates them.
_AFTER_INSTALLATION = f"""\
#!/bin/sh
set -e
if command -v py3compile >/dev/null 2>&1; then
	py3compile -p dolmen /{ROOT}
fi
"""
_BEFORE_REMOVAL = """\
#!/bin/sh
set -e
if command -v py3clean >/dev/null 2>&1; then
	py3clean -p dolmen
else
	dpkg -L dolmen | sed -n 's,/[^/]*\\.py$,/__pycache__,p' | sort -u | xargs -r rm -rf --
fi
"""
_CHANGELOG = """\
dolmen ({version}) unstable; urgency=medium

  * Version {upstream} of Dolmen; changelog.gz has its changes.

 -- {maintainer}  {date}
"""


@dataclass(frozen=True, slots=True)
class Deb:
    """A Debian package: its architecture, its maintainer, and its files."""

    architecture: str
    maintainer: str
    tree: Tree
    time: int

    @property
    def name(self) -> str:
        """Return the name of the file."""
        return f"dolmen_{VERSION}-{_REVISION}_{self.architecture}.deb"

    def content(self) -> bytes:
        """Return the package as bytes."""
        members = {
            "debian-binary": b"2.0\n",
            "control.tar.xz": compress_xz(tar_of(self._control(), self.time)),
            "data.tar.xz": compress_xz(tar_of(self.tree, self.time)),
        }
        return ar_of(members, self.time)

    def _control(self) -> Tree:
        files = {path: file for path, file in sorted(self.tree.items()) if not file.link}
        # Policy: each file takes its size in kibibytes, everything else one.
        others = len(self.tree) - len(files) + len(parents_of(self.tree))
        size = others + sum((len(file.content) + 1023) // 1024 for file in files.values())
        newest = int(PYTHONS[-1].partition(".")[2])
        control = _CONTROL.format(
            version=f"{VERSION}-{_REVISION}",
            architecture=self.architecture,
            maintainer=self.maintainer,
            size=size,
            depends=_DEPENDS.format(first=PYTHONS[0], after=f"3.{newest + 1}"),
            qemu=_QEMU[self.architecture],
        )
        sums = "".join(
            f"{hashlib.md5(file.content, usedforsecurity=False).hexdigest()}  {path}\n"
            for path, file in files.items()
        )
        return {
            "control": File(control.encode()),
            "md5sums": File(sums.encode()),
            "postinst": File(_AFTER_INSTALLATION.encode(), 0o755),
            "prerm": File(_BEFORE_REMOVAL.encode(), 0o755),
        }


def make_deb(wheel: Path, architecture: str) -> Deb:
    """Return the package for an architecture."""
    time, maintainer = source_time(), _maintainer()
    environment = make_environment(wheel, architecture)
    changelog = _CHANGELOG.format(
        version=f"{VERSION}-{_REVISION}",
        upstream=VERSION,
        maintainer=maintainer,
        date=formatdate(time),
    )
    documents = {
        f"{_DOCUMENTS}/copyright": File(copyright_file(environment.libraries).encode()),
        f"{_DOCUMENTS}/changelog.Debian.gz": File(compress_gzip(changelog)),
        f"{_DOCUMENTS}/changelog.gz": File(
            compress_gzip((REPOSITORY / "CHANGELOG.md").read_text("utf-8"))
        ),
        "usr/share/lintian/overrides/dolmen": File(_OVERRIDES.encode()),
        "usr/share/man/man1/dolmen.1.gz": File(compress_gzip(manual_page(time))),
    }
    tree = {**environment.tree, **documents, **completion_scripts()}
    return Deb(architecture, maintainer, tree, time)


def _maintainer() -> str:
    """Return who is responsible for the package, as Debian's tools let people say it."""
    name = os.environ.get("DEBFULLNAME", "The Dolmen authors")
    return f"{name} <{os.environ.get('DEBEMAIL', 'dolmen@example.org')}>"


def main() -> None:
    """Build the packages, and print their paths."""
    arguments = parse_arguments(__doc__, "that of this machine")
    wheel = build_wheel(arguments.directory)
    for architecture in arguments.architectures or [_MACHINES[platform.machine()]]:
        deb = make_deb(wheel, architecture)
        path = arguments.directory / deb.name
        with atomic_write(path) as out:
            out.write(deb.content())
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
