"""Errors of the host."""

from __future__ import annotations

import errno
import tempfile
from typing import TYPE_CHECKING, NoReturn

from assembler.disk_space import temporary_directory
from assembler.errors import host_error

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_message_about_a_full_disk_makes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python tests a directory with a file, which a process that is stopped leaves behind."""

    def probe() -> NoReturn:
        raise AssertionError("a file is made")

    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_get_default_tempdir", probe)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    error = host_error(OSError(errno.ENOSPC, "No space left on device"), tmp_path / "spool")
    assert f"the disk of the temporary directory {tmp_path} is full" in str(error)


def test_the_temporary_directory_is_that_of_tempfile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    for name in ("TMP", "TEMP", "TMPDIR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
        monkeypatch.setattr(tempfile, "tempdir", None)
        assert str(temporary_directory()) == tempfile.gettempdir()
