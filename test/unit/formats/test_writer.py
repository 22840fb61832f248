"""Writing several formats in one run: refusals come first, and a silent console gets a hint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assembler.errors import OutputError
from assembler.events import LogMessage
from assembler.formats import (
    available_formats,
    check_architecture,
    file_digest,
    select_formats,
)
from assembler.formats.format_list import find_format
from assembler.formats.written_output import Output
from support.formats import WITHOUT_KERNEL, YAML, EventList, SmallSystem

if TYPE_CHECKING:
    from pathlib import Path

WITH_KERNEL = [e.name for e in available_formats() if find_format(e.name).needs_kernel]


@pytest.mark.parametrize("name", WITH_KERNEL)
def test_a_format_that_boots_needs_a_kernel(
    name: str, system: SmallSystem, arm_system: SmallSystem, tmp_path: Path
) -> None:
    chosen = arm_system if name == "rpi3" else system
    with pytest.raises(OutputError, match=r"DM0608.*needs a kernel"):
        chosen.write(tmp_path, name, yaml=WITHOUT_KERNEL)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "architecture"), [("rpi3", "amd64"), ("raw", "arm64"), ("iso-efi", "riscv64")]
)
def test_a_format_of_other_architectures_is_refused(name: str, architecture: str) -> None:
    with pytest.raises(OutputError, match=f"{name} is not for {architecture}"):
        check_architecture(select_formats([name]), architecture)


def test_one_refused_format_keeps_all_others_from_being_written(
    system: SmallSystem, tmp_path: Path
) -> None:
    options = system.options(disk_size=1 << 20)
    with pytest.raises(OutputError, match="DM0609"):
        system.write(tmp_path / "out", "tar,raw-efi", options=options)
    assert not list((tmp_path / "out").iterdir())


def test_a_system_without_a_console_gets_a_hint(system: SmallSystem, tmp_path: Path) -> None:
    silent = EventList([])
    system.write(tmp_path, "uki", yaml=YAML.replace("console=ttyS0 ", ""), reporter=silent)
    (event,) = silent.events
    assert isinstance(event, LogMessage)
    assert "add console=ttyS0 to cmdline" in event.message


def test_a_system_with_a_console_gets_no_hint(system: SmallSystem, tmp_path: Path) -> None:
    reporter = EventList([])
    system.write(tmp_path, "uki", reporter=reporter)
    assert reporter.events == []


def test_the_digest_of_an_output_is_that_of_its_file(system: SmallSystem, tmp_path: Path) -> None:
    (output,) = system.write(tmp_path, "uki")
    assert output.path is not None
    assert output.digest == ""
    assert output.with_digest().digest == file_digest(output.path)
    assert f"sha256:{output.sha256}" == file_digest(output.path)
    assert Output.from_json(output.with_digest().as_json()) == output.with_digest()
