"""Writing formats: what they need is made once for all, then each is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from assembler import tools
from assembler.codes import output as codes
from assembler.errors import OutputError, wrap_os_errors
from assembler.events import LogMessage
from assembler.files import atomic_write, is_special_file
from assembler.formats.protocol import Format, FormatOptions, Needs, Output, Target
from assembler.helper_images.catalog import BOOTLOADERS
from assembler.media import write_image

if TYPE_CHECKING:
    from assembler.encode.assembly import Assembly
    from assembler.events import Reporter
    from assembler.media import SparseImage

# The serial lines of usual machines.
_CONSOLES = {"amd64": "ttyS0", "arm64": "ttyAMA0", "riscv64": "ttyS0"}


def write_formats(
    assembly: Assembly,
    formats: Sequence[Format],
    target: Target,
    options: FormatOptions | None = None,
    reporter: Reporter | None = None,
) -> list[Output]:
    """Write the system in each format, and say what was written."""
    for one in formats:
        _check_requirements(one, assembly)
    needs = Needs()
    for one in formats:
        needs |= one.needs
    if reporter is not None and BOOTLOADERS in needs.helpers:
        _warn_without_console(assembly, reporter)
    boot = needs.boot and assembly.plan.boot is not None
    assembly.prepare(tree=needs.tree, initrd=needs.initrd, boot=boot)
    if target.output is None:
        with wrap_os_errors(target.directory):
            target.directory.mkdir(parents=True, exist_ok=True)
    chosen = options or FormatOptions()
    for one in formats:
        if one.check is not None:
            one.check(assembly, chosen)
    written: list[Output] = []
    for one in formats:
        written += one.write(assembly, target, chosen)
    return written


def _warn_without_console(assembly: Assembly, reporter: Reporter) -> None:
    """Say what to add to the command line of a system that would boot without a word."""
    words = assembly.cmdline.split()
    console = _CONSOLES.get(assembly.plan.architecture)
    if console and not any(word.startswith("console=") for word in words):
        reporter.emit(
            LogMessage(
                "the command line names no console, and where there is no screen nothing will be "
                f"seen: cmdline of the kernel may have console={console}"
            )
        )


def check_architecture(formats: Sequence[Format], architecture: str) -> None:
    """Refuse formats that do not exist for an architecture: this needs no plan."""
    for one in formats:
        if one.architectures and architecture not in one.architectures:
            raise OutputError.of(
                codes.BAD_FORMAT,
                f"the format {one.name} is not for {architecture}",
                f"it is for {', '.join(sorted(one.architectures))}",
            )


def _check_requirements(one: Format, assembly: Assembly) -> None:
    """Refuse at once what cannot become anything."""
    check_architecture([one], assembly.plan.architecture)
    if one.needs_kernel and assembly.plan.boot is None:
        raise OutputError.of(
            codes.NO_KERNEL,
            f"the format {one.name} needs a kernel, and the YAML has none",
            "add a section `kernel` with an image, or choose the format tar",
        )
    for program in one.tools:
        tools.require_program(program)


def write_stream(
    format_name: str,
    role: str,
    target: Target,
    suffix: str,
    fill: Callable[[IO[bytes]], None],
) -> Output:
    """Write the single stream of a format to where it should go."""
    if target.output is not None and not isinstance(target.output, Path):
        return Output(format_name, role, _write_to_stream(target.output, fill))
    path = target.output or target.path(suffix)
    if is_special_file(path):
        with wrap_os_errors(path), path.open("wb") as stream:
            return Output(format_name, role, _write_to_stream(stream, fill))
    with atomic_write(path, durable=False) as file:
        fill(file)
        file.flush()
        size = file.seek(0, 2)
    return Output(format_name, role, size, path)


def write_medium(format_name: str, role: str, path: Path, medium: SparseImage) -> Output:
    """Write a medium to a file of its own, sparse where nothing lies."""
    with output_file(path) as file:
        write_image(medium, file)
    return Output(format_name, role, medium.size, path)


def _write_to_stream(stream: IO[bytes], fill: Callable[[IO[bytes]], None]) -> int:
    counted = _CountingStream(stream)
    fill(counted)  # type: ignore[arg-type]  # it has all that is used of a file
    counted.flush()
    return counted.written


@contextmanager
def output_file(path: Path) -> Iterator[IO[bytes]]:
    """Give a file that becomes an output when the block ends well.

    Outputs are not synced: what a power cut takes can be built again, and the stamp of a build sees
    that it is gone.
    """
    with atomic_write(path, durable=False) as file:
        yield file


class _CountingStream:
    """A stream that knows how much went through it; it hides the descriptor."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.written = 0

    def write_image(self, data: bytes | memoryview) -> int:
        self._stream.write(data)
        self.written += len(data)
        return len(data)

    def flush(self) -> None:
        self._stream.flush()
