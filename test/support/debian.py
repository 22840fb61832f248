"""Debian packages and archives made by tests, as small as they can be."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import struct
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

TIME = 1_700_000_000


@dataclass(frozen=True)
class Link:
    """A symbolic link, or a hard one."""

    target: str
    hard: bool = False


@dataclass(frozen=True)
class File:
    """A file with an owner and a mode of its own."""

    content: bytes = b""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0


Content = bytes | File | Link | None


@dataclass(frozen=True)
class Deb:
    """A package: what its control file says, and its files by path; None is a directory."""

    name: str
    version: str = "1.0"
    architecture: str = "amd64"
    files: Mapping[str, Content] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    compression: str = "xz"
    time: int = TIME

    @property
    def control(self) -> str:
        """Return the control file."""
        fields = {
            "Package": self.name,
            "Version": self.version,
            "Architecture": self.architecture,
            "Maintainer": "Somebody <somebody@example.com>",
            "Description": f"package {self.name}\n Made by a test.",
            **self.fields,
        }
        return "".join(f"{key}: {value}\n" for key, value in fields.items())

    @property
    def path(self) -> str:
        """Return its place in an archive."""
        version = self.version.partition(":")[2] or self.version
        return f"pool/main/{self.name[0]}/{self.name}/{self.name}_{version}_{self.architecture}.deb"

    def build(self) -> bytes:
        """Return the package file."""
        control = {"control": self.control.encode(), "md5sums": b"0" * 32 + b"  usr/x\n"}
        data = compressed(tar(self.files, self.time), self.compression)
        members = [
            ("debian-binary", b"2.0\n"),
            ("control.tar.xz", lzma.compress(tar(control, self.time))),
            (f"data.tar.{self.compression}", data),
        ]
        return ar(members, self.time)


def ar(members: Iterable[tuple[str, bytes]], time: int = TIME) -> bytes:
    """Return an ar archive."""
    out = b"!<arch>\n"
    for name, content in members:
        out += f"{name:<16}{time:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
        out += content + b"\n" * (len(content) % 2)
    return out


def compressed(data: bytes, how: str) -> bytes:
    """Return data compressed in one of the ways of packages."""
    if how == "xz":
        return lzma.compress(data)
    if how == "gz":
        return gzip.compress(data, mtime=0)
    import zstandard

    return zstandard.ZstdCompressor().compress(data)


def tar(files: Mapping[str, Content], time: int = TIME) -> bytes:
    """Return a tar as dpkg-deb writes it: directories first, names with `./`."""
    out = io.BytesIO()
    directories: set[str] = set()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path, content in files.items():
            parts = path.split("/")
            parents = ["/".join(parts[:i]) for i in range(1, len(parts))]
            for above in [p for p in parents if p not in directories and p not in ("", "..")]:
                directories.add(above)
                _add(archive, above, None, time)
            _add(archive, path, content, time)
    return out.getvalue()


def _add(archive: tarfile.TarFile, path: str, content: Content, time: int) -> None:
    info = tarfile.TarInfo(f"./{path}")
    info.mtime = time
    data = b""
    if content is None:
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    elif isinstance(content, Link):
        info.type = tarfile.LNKTYPE if content.hard else tarfile.SYMTYPE
        info.linkname = f"./{content.target}" if content.hard else content.target
        info.mode = 0o777
    else:
        file = content if isinstance(content, File) else File(content)
        data, info.mode, info.uid, info.gid = file.content, file.mode, file.uid, file.gid
        info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


@dataclass(frozen=True)
class Shape:
    """How an archive is written: who signs it and how, and what its Release says besides."""

    key: Key | None = None
    # By Release.gpg beside Release, and not by InRelease.
    detached: bool = False
    compressions: tuple[str, ...] = ("", ".xz")
    fields: Mapping[str, str] = field(default_factory=dict)


class Key:
    """A key that signs archives."""

    def __init__(self) -> None:
        """Make one that can be used for some months."""
        from pysequoia import Tsk

        self._key = Tsk.generate("Archive <archive@example.com>", validity_seconds=10_000_000)
        self._public = self._key.extract_certificate()

    def expire(self, when: datetime) -> None:
        """Let it be known that the key can be used until then."""
        self._public = self._public.set_expiration(expiration=when, certifier=self._key.certifier())

    def keyring(self, path: Path) -> Path:
        """Write the public part to a file."""
        path.write_bytes(bytes(self._public))
        return path

    def signed(self, text: bytes) -> bytes:
        """Return the text inside of its signature."""
        from pysequoia import SignatureMode, sign

        return sign(self._key.signer(), text, mode=SignatureMode.CLEAR)

    def signature(self, text: bytes) -> bytes:
        """Return a signature of the text."""
        from pysequoia import SignatureMode, sign

        return sign(self._key.signer(), text, mode=SignatureMode.DETACHED)


def make_archive(
    root: Path,
    debs: Iterable[Deb],
    suite: str = "trixie",
    component: str = "main",
    shape: Shape = Shape(),
) -> Path:
    """Write an archive for all architectures of the packages."""
    by_arch: dict[str, list[str]] = {"amd64": [], "arm64": []}
    for deb in debs:
        content = deb.build()
        path = root / deb.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        stanza = (
            f"{deb.control}Filename: {deb.path}\nSize: {len(content)}\n"
            f"SHA256: {hashlib.sha256(content).hexdigest()}\n"
        )
        for arch, stanzas in by_arch.items():
            if deb.architecture in (arch, "all"):
                stanzas.append(stanza)
    fields = {
        "Origin": "Test",
        "Suite": suite,
        "Codename": suite,
        "Date": "Tue, 14 Nov 2023 22:13:20 UTC",
        "Architectures": " ".join(by_arch),
        "Components": component,
        **shape.fields,
    }
    lines = [*(f"{key}: {value}" for key, value in fields.items()), "SHA256:"]
    for arch, stanzas in by_arch.items():
        text = "\n".join(stanzas).encode()
        for suffix in dict.fromkeys(("", *shape.compressions)):
            data = compressed(text, suffix[1:]) if suffix else text
            name = f"{component}/binary-{arch}/Packages{suffix}"
            lines.append(f" {hashlib.sha256(data).hexdigest()} {len(data)} {name}")
            # As in Debian's, an index is listed without compression even if it is not there so.
            if suffix in shape.compressions:
                path = root / "dists" / suite / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
    release = ("\n".join(lines) + "\n").encode()
    place = root / "dists" / suite
    for name in ("Release", "Release.gpg", "InRelease"):
        (place / name).unlink(missing_ok=True)
    if shape.key is not None and not shape.detached:
        (place / "InRelease").write_bytes(shape.key.signed(release))
        return root
    (place / "Release").write_bytes(release)
    if shape.key is not None:
        (place / "Release.gpg").write_bytes(shape.key.signature(release))
    return root


def module(
    *,
    depends: Iterable[str] = (),
    alias: Iterable[str] = (),
    exports: Iterable[str] = (),
    firmware: Iterable[str] = (),
) -> bytes:
    """Return the ELF file of a kernel module that says these things of itself."""
    said = [f"depends={','.join(depends)}", *(f"alias={a}" for a in alias), "license=GPL"]
    said += [f"firmware={f}" for f in firmware]
    contents = {
        ".modinfo": b"".join(s.encode() + b"\0" for s in said),
        "__ksymtab_strings": b"".join(s.encode() + b"\0" for s in exports),
    }
    names = b"\0" + b"".join(n.encode() + b"\0" for n in (*contents, ".shstrtab"))
    contents[".shstrtab"] = names
    body, headers = b"", [bytes(64)]
    for name, data in contents.items():
        at = names.index(name.encode() + b"\0")
        headers.append(
            struct.pack("<IIQQQQIIQQ", at, 1, 0, 0, 64 + len(body), len(data), 0, 0, 1, 0)
        )
        body += data
    start = 64 + len(body)
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 1, 62, 1, 0, 0, start, 0, 64, 0, 0, 64, len(headers), 3)
    return head + body + b"".join(headers)
