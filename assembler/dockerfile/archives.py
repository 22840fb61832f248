"""Archives that ADD unpacks: they are recognised by their content."""

from __future__ import annotations

import bz2
import lzma
import tempfile
from pathlib import Path
from typing import IO, cast

from assembler import magics
from assembler.codes import packages
from assembler.errors import PackageError, wrap_os_errors
from assembler.oci import LayerBlob

_BLOCK = 512
_CHUNK = 1 << 20
_MAX_SIZE = 16 << 30
_MAGIC = (magics.GZIP, magics.ZSTD)


def open_archive(path: Path, workspace: Path) -> LayerBlob | None:
    """Return an archive as a layer, or None if the file is not one."""
    with wrap_os_errors(path, "read"), path.open("rb") as file:
        head = file.read(_BLOCK)
    if magics.is_tar(head) or (
        head.startswith(_MAGIC) and ".tar" in path.name + _full_suffix(path)
    ):
        size = path.stat().st_size
        return LayerBlob(path.name, size, lambda: path.open("rb"))
    if ".tar" not in path.name + _full_suffix(path):
        return None
    if head.startswith(magics.XZ):
        source = cast("IO[bytes]", lzma.open(path))  # noqa: SIM115
    elif head.startswith(magics.BZIP2):
        source = cast("IO[bytes]", bz2.open(path))  # noqa: SIM115
    else:
        return None
    plain = _decompress(source, path, workspace)
    size = plain.stat().st_size
    return LayerBlob(path.name, size, lambda: plain.open("rb"))


def _full_suffix(path: Path) -> str:
    """Return `.tar` if the suffix is short for it with a compression."""
    return ".tar" if path.suffix in (".tgz", ".txz", ".tbz", ".tbz2", ".tzst") else ""


def _decompress(source: IO[bytes], path: Path, workspace: Path) -> Path:
    with wrap_os_errors(workspace), tempfile.NamedTemporaryFile(dir=workspace, delete=False) as out:
        left = _MAX_SIZE
        try:
            with source:
                while chunk := source.read(min(_CHUNK, left)):
                    left -= len(chunk)
                    out.write(chunk)
                if left <= 0:
                    raise PackageError.of(packages.BAD_CONTEXT, f"{path} is larger than 16 GiB")
        except (lzma.LZMAError, OSError, EOFError) as error:
            raise PackageError.of(
                packages.BAD_CONTEXT, f"{path} cannot be decompressed: {error}"
            ) from error
    return Path(out.name)
