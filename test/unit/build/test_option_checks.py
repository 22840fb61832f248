"""Options that contradict each other are refused together, each with what would be right."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from assembler.build.option_checks import check_only_formats, check_options
from assembler.build.options import BuildOptions, SbomOptions
from assembler.errors import UsageError
from assembler.formats import select_formats
from assembler.oci import ImageSources

OFFLINE_HINT = ("--offline opens no socket; --pull and --docker need one", "leave one out")


def problems(options: BuildOptions, *files: str) -> list[tuple[str, str]]:
    """Return what is wrong with the options, and what would be right."""
    try:
        check_options(files or ("image.yml",), options)
    except UsageError as error:
        return [(d.message, d.hints[0]) for d in error.diagnostics]
    return []


@pytest.mark.parametrize(
    "options",
    [
        BuildOptions(),
        BuildOptions(name="x", directory=Path("out")),
        BuildOptions(output=Path("x.tar")),
        BuildOptions(output=io.BytesIO()),
        BuildOptions(sbom=None, architecture="aarch64"),
        BuildOptions(sources=ImageSources(pull=True, docker=True)),
        BuildOptions(sources=ImageSources(offline=True)),
        BuildOptions(input_tar=Path(__file__)),
        BuildOptions(secure_boot_key=Path("k"), secure_boot_certificate=Path("c")),
        BuildOptions(enclave_key=Path("k"), enclave_certificate=Path("c")),
    ],
)
def test_options_that_fit_each_other(options: BuildOptions) -> None:
    assert problems(options) == []


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        (
            BuildOptions(output=Path("x"), name="y"),
            "--output names the file; --name and --dir have no effect with it",
            "leave one out",
        ),
        (
            BuildOptions(output=Path("x"), directory=Path("y")),
            "--output names the file; --name and --dir have no effect with it",
            "leave one out",
        ),
        (
            BuildOptions(name="a/b"),
            "--name is the beginning of file names, without a directory",
            "use --dir",
        ),
        (
            BuildOptions(output=Path("/usr")),
            "--output: /usr is a directory",
            "use --dir, or name a file in it",
        ),
        (
            BuildOptions(sbom=SbomOptions("")),
            "--sbom-output: the file needs a name",
            "--no-sbom leaves the SPDX document out",
        ),
        (
            BuildOptions(input_tar=Path(__file__), sources=ImageSources(pull=True)),
            "--input-tar and --pull contradict each other",
            "leave one out",
        ),
        (
            BuildOptions(input_tar=Path("/no/such")),
            "--input-tar: /no/such not found",
            "leave it out: see --help",
        ),
        (
            BuildOptions(secure_boot_key=Path("k")),
            "--secure-boot-key and --secure-boot-cert go together",
            "`dolmen keys generate DIR` makes both: DIR/db.key, DIR/db.crt",
        ),
        (
            BuildOptions(secure_boot_certificate=Path("c")),
            "--secure-boot-key and --secure-boot-cert go together",
            "`dolmen keys generate DIR` makes both: DIR/db.key, DIR/db.crt",
        ),
        (
            BuildOptions(enclave_certificate=Path("c")),
            "--enclave-key and --enclave-cert go together",
            "give both, or none",
        ),
        (BuildOptions(sources=ImageSources(offline=True, pull=True)), *OFFLINE_HINT),
        (BuildOptions(sources=ImageSources(offline=True, docker=True)), *OFFLINE_HINT),
        (
            BuildOptions(architecture="riscv46"),
            "--arch: unknown architecture 'riscv46'",
            "did you mean riscv64?",
        ),
    ],
)
def test_an_option_that_makes_no_sense_has_a_hint(
    options: BuildOptions, message: str, hint: str
) -> None:
    assert problems(options) == [(message, hint)]


def test_all_problems_are_reported_together() -> None:
    options = BuildOptions(name="a/b", architecture="zzz", sbom=SbomOptions(""))
    with pytest.raises(UsageError) as caught:
        check_options([], options)
    found = [d.message.split()[0] for d in caught.value.diagnostics]
    assert found == ["no", "--name", "--sbom-output:", "--arch:"]
    assert caught.value.diagnostics[-1].hints[0].startswith("choose one of amd64, ")


def test_a_single_stream_is_the_only_format() -> None:
    check_only_formats(select_formats(["tar"]))
    check_only_formats(select_formats(["kernel+initrd", "tar-kernel-initrd"]))
    with pytest.raises(UsageError, match="docker must be the only format"):
        check_only_formats(select_formats(["kernel+initrd", "docker"]))
