"""Read the modinfo and the exported symbols of kernel modules, for any architecture."""

from __future__ import annotations

import gzip
import lzma
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler import magics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MAX_MODULE_SIZE = 256 << 20
_SUFFIXES = (".ko", ".ko.xz", ".ko.zst", ".ko.gz")


@dataclass(frozen=True, slots=True)
class KernelModule:
    """A kernel module: its path below usr/lib/modules/VERSION, and the data of its indexes."""

    path: str
    name: str
    depends: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    softdeps: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    # The paths of firmware, which may have wild cards.
    firmware: tuple[str, ...] = ()

    @property
    def soft_dependencies(self) -> tuple[str, ...]:
        """Return the names of the modules in softdep lines, `pre:` and `post:` alike."""
        words = " ".join(self.softdeps).replace("pre:", " ").replace("post:", " ").split()
        return tuple(normalize_module_name(word) for word in words)


def is_module(path: str) -> bool:
    """Tell whether a path is that of a kernel module."""
    return path.endswith(_SUFFIXES)


def normalize_module_name(name: str) -> str:
    """Return a module's name with `_` for `-`, as the kernel does."""
    return name.replace("-", "_")


def module_name(path: str) -> str:
    """Return the name of the module in a file."""
    return normalize_module_name(path.rpartition("/")[2].partition(".ko")[0])


def read_module(path: str, content: bytes) -> KernelModule:
    """Read a module, compressed or not; raise ValueError if the file is not a module."""
    try:
        sections = dict(_sections(_decompress_module(path, content)))
    except (lzma.LZMAError, zlib.error, EOFError, OSError) as error:
        raise ValueError(f"its compression does not match its name: {error}") from error
    info: dict[str, list[str]] = {}
    for text in _strings(sections.get(".modinfo", b"")):
        key, _, value = text.partition("=")
        info.setdefault(key, []).append(value)
    depends = [d for text in info.get("depends", ()) for d in text.split(",") if d]
    return KernelModule(
        path=path,
        name=module_name(path),
        depends=tuple(dict.fromkeys(normalize_module_name(d) for d in depends)),
        aliases=tuple(info.get("alias", ())),
        softdeps=tuple(info.get("softdep", ())),
        symbols=tuple(sorted(_exported_symbols(sections))),
        firmware=tuple(info.get("firmware", ())),
    )


def _exported_symbols(sections: Mapping[str, bytes]) -> set[str]:
    """Return the names of the symbols that a module exports.

    The section __ksymtab_strings also has the names of symbol namespaces, which are left out.
    """
    names = set(_strings(sections.get("__ksymtab_strings", b"")))
    entries = _strings(sections.get(".strtab", b""))
    known = {n.removeprefix("__ksymtab_") for n in entries if n.startswith("__ksymtab_")}
    return names & known if known else names


def builtin_modinfo(modinfo: bytes) -> Iterator[tuple[str, str, str]]:
    """Yield module, key and value of each entry in modules.builtin.modinfo."""
    for text in _strings(modinfo):
        head, _, value = text.partition("=")
        module, _, key = head.partition(".")
        yield normalize_module_name(module), key, value


def _decompress_module(path: str, content: bytes) -> bytes:
    if path.endswith(".xz"):
        decompressor = lzma.LZMADecompressor(lzma.FORMAT_AUTO, memlimit=_MAX_MODULE_SIZE)
        data = decompressor.decompress(content, _MAX_MODULE_SIZE)
    elif path.endswith(".zst"):
        import zstandard  # noqa: PLC0415 - Debian compresses modules with xz

        try:
            with zstandard.ZstdDecompressor(max_window_size=_MAX_MODULE_SIZE).stream_reader(
                content
            ) as s:
                data = s.read(_MAX_MODULE_SIZE)
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from error
    elif path.endswith(".gz"):
        import io  # noqa: PLC0415

        with gzip.open(io.BytesIO(content)) as stream:
            data = stream.read(_MAX_MODULE_SIZE)
    else:
        data = content
    if len(data) >= _MAX_MODULE_SIZE:
        raise ValueError(f"the module {path} is too large")
    return data


def _sections(elf: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of the sections of an ELF file, of any class and byte order."""
    if len(elf) < 64 or elf[:4] != magics.ELF or elf[4] not in (1, 2) or elf[5] not in (1, 2):
        raise ValueError("a kernel module is not an ELF file")
    byte_order = "<" if elf[5] == 1 else ">"
    is_64_bit = elf[4] == 2
    try:
        if is_64_bit:
            (start,) = struct.unpack_from(byte_order + "Q", elf, 0x28)
            size, count, names = struct.unpack_from(byte_order + "HHH", elf, 0x3A)
            section_header = struct.Struct(byte_order + "IIQQQQ")
        else:
            (start,) = struct.unpack_from(byte_order + "I", elf, 0x20)
            size, count, names = struct.unpack_from(byte_order + "HHH", elf, 0x2E)
            section_header = struct.Struct(byte_order + "IIIIII")
        headers = [section_header.unpack_from(elf, start + i * size) for i in range(count)]
        _, _, _, _, offset, length = headers[names]
        section_names = elf[offset : offset + length]
        for name, kind, _, _, offset, length in headers:
            end = section_names.find(b"\0", name)
            if kind != 8 and end >= 0:  # 8: SHT_NOBITS
                yield (
                    section_names[name:end].decode("ascii", "replace"),
                    elf[offset : offset + length],
                )
    except (struct.error, IndexError, OverflowError) as error:
        raise ValueError("a kernel module is a broken ELF file") from error


def _strings(data: bytes) -> Iterator[str]:
    return (part.decode("utf-8", "replace") for part in data.split(b"\0") if part)
