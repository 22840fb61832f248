"""The next command after builds and runs, for each kind of output."""

from __future__ import annotations

from pathlib import Path

import pytest

from assembler.formats import Output
from assembler.machine import RunOutcome, RunResult
from dolmen.commands.run.qemu import next_command
from dolmen.next_command import command_for_outputs


def output(kind: str, role: str, name: str = "") -> Output:
    return Output(kind, role, 1, Path(name) if name else None)


@pytest.mark.parametrize(
    ("outputs", "command"),
    [
        (
            [
                output("kernel+initrd", "kernel", "out/web-kernel"),
                output("kernel+initrd", "initrd", "out/web-initrd.img"),
            ],
            "dolmen run qemu out/web",
        ),
        ([output("kernel+squashfs", "kernel", "web-kernel")], "dolmen run qemu --squashfs web"),
        ([output("microvm", "kernel", "out/web-kernel")], "dolmen run qemu out/web"),
        ([output("eif", "image", __file__)], f"dolmen inspect {__file__}"),
        ([output("raw-efi", "disk", "web-efi.img")], "dolmen run qemu --arch arm64 web-efi.img"),
        ([output("qcow2-bios", "disk", "web.qcow2")], "dolmen run qemu --arch arm64 web.qcow2"),
        ([output("iso", "iso", "w.iso")], "dolmen run qemu --arch arm64 w.iso"),
        ([output("uki", "program", "w.efi")], "dolmen run qemu --arch arm64 w.efi"),
        ([output("verified", "disk", "w.img")], "dolmen run qemu --arch arm64 w.img"),
        ([output("tar", "tar", __file__)], f"dolmen inspect {__file__}"),
        ([output("tar", "tar")], ""),
        (
            [Output("oci", "image", 1, None, "docker.io/a/b:1")],
            "dolmen cache inspect docker.io/a/b:1",
        ),
        (
            [output("tar", "tar", __file__), output("iso-efi", "iso", "x.iso")],
            "dolmen run qemu --arch arm64 x.iso",
        ),
    ],
)
def test_an_output_is_run_or_shown(outputs: list[Output], command: str) -> None:
    assert " ".join(command_for_outputs(outputs, "arm64")) == command


@pytest.mark.parametrize(
    ("running", "paths", "ssh", "command"),
    [
        (True, ["a.yml"], False, "dolmen logs -f web"),
        (True, ["a"], True, "dolmen ssh web"),
        (False, ["a.yml", "B.YAML"], False, "dolmen build a.yml B.YAML"),
        (False, ["disk.img"], False, ""),
    ],
)
def test_a_machine_is_looked_at_or_its_image_kept(
    running: bool,  # noqa: FBT001
    paths: list[str],
    ssh: bool,  # noqa: FBT001
    command: str,
) -> None:
    result = RunResult("web", RunOutcome.STARTED, running=running)
    assert " ".join(next_command(result, paths, ssh=ssh)) == command
