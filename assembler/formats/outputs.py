"""The files and streams that formats write: atomic, and sparse where the content is zero."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from assembler.errors import wrap_os_errors
from assembler.files import atomic_write, is_special_file
from assembler.formats.written_output import Output
from assembler.media import write_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from assembler.formats.protocol import Target
    from assembler.media import SparseImage


@contextmanager
def output_file(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file that becomes an output when the block ends without an exception.

    Outputs are not synced: after a power cut they can be built again, and the stamp of a build
    notices that they are missing.
    """
    with atomic_write(path, durable=False) as file:
        yield file


def write_stream(
    format_name: str,
    role: str,
    target: Target,
    suffix: str,
    fill: Callable[[IO[bytes]], None],
) -> Output:
    """Write the single stream of a format to its target."""
    if target.output is not None and not isinstance(target.output, Path):
        return Output(format_name, role, _write_to_stream(target.output, fill))
    path = target.output or target.path(suffix)
    if is_special_file(path):
        # A file there is that of a descriptor: what others have written to it stays.
        with wrap_os_errors(path), path.open("ab" if path.is_file() else "wb") as stream:
            return Output(format_name, role, _write_to_stream(stream, fill))
    with output_file(path) as file:
        fill(file)
        file.flush()
        size = file.seek(0, 2)
    return Output(format_name, role, size, path)


def write_sparse(format_name: str, role: str, path: Path, image: SparseImage) -> Output:
    """Write a sparse image to a file of its own."""
    with output_file(path) as file:
        write_image(image, file)
    return Output(format_name, role, image.size, path)


def _write_to_stream(stream: IO[bytes], fill: Callable[[IO[bytes]], None]) -> int:
    counted = _CountingStream(stream)
    fill(counted)  # type: ignore[arg-type]  # it has what writers use of a file
    counted.flush()
    return counted.written


class _CountingStream:
    """A stream that counts its bytes; it hides the descriptor, which would bypass the count."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.written = 0

    def write(self, data: bytes | memoryview) -> int:
        self._stream.write(data)
        self.written += len(data)
        return len(data)

    def flush(self) -> None:
        self._stream.flush()
