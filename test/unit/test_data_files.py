"""Reading files that the user names: pipes and devices never make a command wait."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.codes import host
from assembler.data_files import open_data_file, open_data_stream, read_data_stream
from assembler.debian.lock import LOCK_FILE, read_package_lock
from assembler.dockerfile.syntax import read_dockerfile
from assembler.errors import DolmenError, HostError
from assembler.events import NullReporter
from assembler.inspection import inspect_file
from assembler.machine.disks import content_format
from assembler.machine.image_detection import ImageKind, detect_image
from assembler.media.keys import read_certificate
from assembler.oci import Store, import_file
from assembler.packages.build_arguments import read_argument_file

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.timeout(20)


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """Give a pipe that no program writes to."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


@pytest.mark.parametrize(
    "read",
    [
        inspect_file,
        detect_image,
        lambda path: detect_image(path, kind=ImageKind.ISO),
        content_format,
    ],
    ids=["inspect", "run", "run --iso", "run --disk"],
)
def test_images_are_regular_files_or_block_devices(
    pipe: Path, read: Callable[[Path], object]
) -> None:
    for path, kind in ((pipe, "a pipe"), (Path("/dev/zero"), "a character device")):
        with pytest.raises(HostError) as caught:
            read(path)
        (diagnostic,) = caught.value.diagnostics
        assert diagnostic.code is host.NOT_READABLE
        assert diagnostic.message == f"cannot read {path}: it is {kind}, not a file"


@pytest.mark.parametrize(
    "read",
    [
        read_argument_file,
        read_certificate,
        read_dockerfile,
        lambda path: import_file(Store(path.with_name("store")), path, None, NullReporter()),
    ],
    ids=["arguments", "certificate", "Dockerfile", "import"],
)
def test_a_pipe_without_a_writer_is_an_error(pipe: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(DolmenError):
        read(pipe)
    with pytest.raises(DolmenError, match="it is a character device"):
        read(Path("/dev/zero"))


def test_a_lock_that_is_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / LOCK_FILE)
    with pytest.raises(HostError, match="it is a pipe"):
        read_package_lock(tmp_path)


def test_other_errors_are_those_of_the_system(tmp_path: Path) -> None:
    for open_file in (open_data_file, open_data_stream):
        with pytest.raises(IsADirectoryError):
            open_file(tmp_path)
        with pytest.raises(FileNotFoundError):
            open_file(tmp_path / "none")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(tmp_path / open_file.__name__))
            with pytest.raises(OSError, match="it is a socket"):
                open_file(tmp_path / open_file.__name__)


def test_a_pipe_with_a_writer_is_read_to_its_end() -> None:
    """As with `<(command)` of a shell, also if the command is slow."""
    script = "import sys, time; time.sleep(0.5); sys.stdout.write('x' * 100_000)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        content = read_data_stream(Path(f"/dev/fd/{writer.stdout.fileno()}"))
    assert content == b"x" * 100_000


def test_files_may_be_empty(tmp_path: Path, pipe: Path) -> None:
    (tmp_path / "empty").touch()
    assert read_data_stream(tmp_path / "empty") == b""
    with pytest.raises(OSError, match="no program writes to this pipe"):
        read_data_stream(pipe)
