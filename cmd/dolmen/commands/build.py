"""`dolmen build`: from YAML files to files that a machine can boot."""

from __future__ import annotations

import os
import re
import sys
import time
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from assembler.codes import usage
from assembler.errors import DolmenError, UsageError
from dolmen import completing
from dolmen.console import progress
from dolmen.lazy import command_app
from dolmen.registries import Creds, Insecure
from dolmen.settings import settings_of

if TYPE_CHECKING:
    from assembler.diagnostics import Diagnostic

app = command_app()
_SIZE = re.compile(r"(\d+)([MG]?)B?", re.IGNORECASE)

Files = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILE...",
        help="YAML files, `-` or http(s) URLs; several are merged in order.",
        show_default=False,
    ),
]


@app.command()
def build(
    ctx: typer.Context,
    files: Files = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "-f",
            "--format",
            help="What to write, separated by commas or repeated; `help` lists all there is.  "
            "[default: kernel+initrd, or tar with --output]",
            metavar="FORMAT",
            autocompletion=completing.formats,
        ),
    ] = None,
    name: Annotated[
        str,
        typer.Option(
            help="What the outputs are named after.  [default: the last file]", metavar="NAME"
        ),
    ] = "",
    directory: Annotated[
        Path | None,
        typer.Option("--dir", help="Where the outputs go.  [default: .]", metavar="DIR"),
    ] = None,
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            "--o",
            help="Write a single output to FILE, or to standard output (`-`).",
            metavar="FILE",
        ),
    ] = "",
    architecture: Annotated[
        str,
        typer.Option(
            "--arch",
            "-a",
            help="amd64, arm64, riscv64 …  [default: this machine's]",
            metavar="ARCH",
            autocompletion=completing.architectures,
        ),
    ] = "",
    compression: Annotated[
        str,
        typer.Option(
            help="How an initrd is packed: gzip, zstd, lz4, xz, none; with a level as zstd:9.",
            metavar="CODEC[:LEVEL]",
            autocompletion=lambda: ["gzip", "zstd", "lz4", "xz", "none"],
        ),
    ] = "gzip",
    size: Annotated[
        str,
        typer.Option(
            help="Size of disks: 512M, 2G.  [default: 1024M, or what is needed, as the format is]",
            metavar="SIZE",
        ),
    ] = "",
    bootloaders: Annotated[
        str,
        typer.Option(
            help="Take the programs that machines boot by from IMAGE, which has the files of "
            "pkg/bootloaders.",
            metavar="IMAGE",
        ),
    ] = "",
    imagetools: Annotated[
        str,
        typer.Option(
            help="Take mksquashfs and mkfs.erofs from IMAGE, which has the files of "
            "pkg/imagetools, where this machine has none that are new enough.",
            metavar="IMAGE",
        ),
    ] = "",
    firmware: Annotated[
        str,
        typer.Option(
            help="Take the firmware that the format rpi3 needs from IMAGE.", metavar="IMAGE"
        ),
    ] = "",
    secure_boot_key: Annotated[
        Path | None,
        typer.Option(help="Sign programs for UEFI with this private key (PEM).", metavar="FILE"),
    ] = None,
    secure_boot_cert: Annotated[
        Path | None,
        typer.Option(help="The certificate of that key (PEM).", metavar="FILE"),
    ] = None,
    jobs: Annotated[
        int, typer.Option("-j", "--jobs", help="Processes that encode at once.", min=1, max=64)
    ] = 2,
    decompress_kernel: Annotated[
        bool, typer.Option("--decompress-kernel", help="Unpack a compressed kernel.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Open no socket: images must be in the store.")
    ] = False,
    pull: Annotated[
        bool, typer.Option("--pull", help="Re-check registries for cached images.")
    ] = False,
    docker: Annotated[
        bool, typer.Option("--docker", help="Take images from the local Docker daemon first.")
    ] = False,
    input_tar: Annotated[
        Path | None,
        typer.Option(
            help="A tar of an earlier build, whose parts stand in for images that cannot be had.",
            metavar="FILE",
        ),
    ] = None,
    no_sbom: Annotated[bool, typer.Option("--no-sbom", help="Put no SPDX document in.")] = False,
    sbom_output: Annotated[
        str, typer.Option(help="The SPDX document's path in the system.", metavar="PATH")
    ] = "sbom.spdx.json",
    sbom_current_time: Annotated[
        bool,
        typer.Option(
            "--sbom-current-time",
            help="Let the SPDX document tell the current time (or SOURCE_DATE_EPOCH).",
        ),
    ] = False,
    build_missing: Annotated[
        bool,
        typer.Option(
            "--build-missing/--no-build-missing",
            help="Build packages named by @pkg: that neither the store nor a registry has.",
        ),
    ] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the merged YAML, build nothing.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Build even if nothing has changed.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON: outputs, parts, times.")
    ] = False,
    insecure: Insecure = None,
    registry_creds: Creds = None,
) -> None:
    """Assemble a bootable image from YAML files.

    \b
    dolmen build image.yml                         # image-kernel, image-initrd.img, image-cmdline
    dolmen build --arch arm64 --dir out image.yml
    dolmen build --format tar -o - image.yml | tar t
    dolmen build --format help
    dolmen build --dry-run base.yml site.yml

    Outputs appear whole or not at all, and are the same bytes wherever and whenever they are
    built. If nothing has changed since the last time, they are left as they are; not
    so with packages named by @pkg:, which may have changed: then they are written again.
    """
    from assembler.build import BuildOptions, SbomOptions, merged_yaml
    from assembler.build import build as run_build
    from dolmen.build_output import WarningLog, list_formats, print_failure, print_result
    from dolmen.package_options import environment_options
    from dolmen.secrets import passphrase
    from dolmen.sources import image_sources

    settings = settings_of(ctx)
    names = [name for group in formats or () for name in group.split(",")]
    if "help" in names:
        list_formats()
        return
    _check(output, as_json=as_json, dry_run=dry_run)
    warnings: list[Diagnostic] = []
    try:
        options = BuildOptions(
            formats=tuple(names),
            name=name,
            directory=directory or Path(),
            output=_output(output),
            architecture=architecture,
            compression=compression,
            disk_size=_disk_size(size),
            jobs=jobs,
            decompress_kernel=decompress_kernel,
            sources=image_sources(
                settings,
                offline=offline,
                pull=pull,
                docker=docker,
                insecure=insecure,
                registry_creds=registry_creds,
            ),
            packages=environment_options,
            build_missing=build_missing,
            input_tar=input_tar,
            sbom=None if no_sbom else SbomOptions(sbom_output, _created(current=sbom_current_time)),
            helper_images=_named(bootloaders=bootloaders, imagetools=imagetools, firmware=firmware),
            secure_boot_key=secure_boot_key,
            secure_boot_certificate=secure_boot_cert,
            passphrase=partial(passphrase, str(secure_boot_key)),
            force=force,
            remember=not sbom_current_time or "SOURCE_DATE_EPOCH" in os.environ,
        )
        if dry_run:
            sys.stdout.write(merged_yaml(files or (), options))
            return
        with progress(settings) as reporter:
            result = run_build(files or (), options, progress=WarningLog(reporter, warnings).emit)
    except (DolmenError, OSError) as error:
        # An archive may be expected on standard output.
        if as_json and output != "-":
            print_failure(error, warnings)
        raise
    print_result(settings, result, as_json=as_json)


def _check(output: str, *, as_json: bool, dry_run: bool) -> None:
    """Refuse what cannot share standard output."""
    problem = None
    if output == "-" and as_json:
        problem = ("--json and --output - cannot both use standard output", "write to a file")
    elif output == "-" and not dry_run and sys.stdout.isatty():
        problem = ("standard output is a terminal; an archive would be unreadable", "--output FILE")
    if problem:
        raise UsageError.of(usage.BAD_OPTION, *problem)


def _output(output: str) -> Path | IO[bytes] | None:
    if output == "-":
        return sys.stdout.buffer
    return Path(output) if output else None


def _disk_size(size: str) -> int | None:
    """Return a size in bytes; a number alone means GB, as in LinuxKit."""
    if not size:
        return None
    found = _SIZE.fullmatch(size)
    if not found or not int(found[1]):
        raise UsageError.of(
            usage.BAD_OPTION, f"--size: invalid size {size!r}", "write it as 512M or 2G"
        )
    return int(found[1]) << (20 if found[2].upper() == "M" else 30)


def _created(*, current: bool) -> int | None:
    if not current:
        return None
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if text and not text.isdigit():
        raise UsageError.of(
            usage.BAD_OPTION,
            f"SOURCE_DATE_EPOCH is {text!r}",
            "it is a number of seconds since 1970",
        )
    return int(text) if text else int(time.time())


def _named(**images: str) -> dict[str, str]:
    return {kind: image for kind, image in images.items() if image}
