"""`dolmen build`: assemble a bootable image from YAML files."""

from __future__ import annotations

import os
import re
import sys
import time
from functools import partial
from pathlib import Path
from typing import IO, Annotated

import typer

from assembler.codes import usage
from assembler.errors import DolmenError, UsageError
from assembler.events import WarningRecorder
from dolmen import completions
from dolmen.lazy import command_app
from dolmen.output import print_document, result_stream
from dolmen.progress import progress_reporter
from dolmen.registries import Creds, Insecure
from dolmen.setting_values import number_of, text_of
from dolmen.settings import is_default, settings_of
from dolmen.sources import AllowLocalSources, MaxImageSize

app = command_app()
_SIZE = re.compile(r"(\d+)([MG]?)B?", re.IGNORECASE)

Files = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILE...",
        help="YAML files, `-` for standard input, or URLs; several are merged in order.",
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
            help="Output formats, comma-separated or repeated; `help` lists them.  "
            "[default: kernel+initrd, or tar with --output]",
            metavar="FORMAT",
            autocompletion=completions.complete_formats,
        ),
    ] = None,
    name: Annotated[
        str,
        typer.Option(help="Base name of the outputs.  [default: the last file's]", metavar="NAME"),
    ] = "",
    directory: Annotated[
        Path | None,
        typer.Option("--dir", help="Output directory.  [default: .]", metavar="DIR"),
    ] = None,
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            "--o",
            help="Write a single output to FILE, or to standard output with `-`.",
            metavar="FILE",
        ),
    ] = "",
    architecture: Annotated[
        str,
        typer.Option(
            "--arch",
            "-a",
            help="Architecture: amd64, arm64, riscv64 …  [default: this host's]",
            metavar="ARCH",
            autocompletion=completions.complete_architectures,
        ),
    ] = "",
    compression: Annotated[
        str,
        typer.Option(
            help="Compression of initrds: gzip, zstd, lz4, xz or none; with a level, zstd:9. "
            "auto: zstd if the kernel's configuration allows it, else gzip.",
            metavar="CODEC[:LEVEL]",
            autocompletion=lambda: ["auto", "gzip", "zstd", "lz4", "xz", "none"],
        ),
    ] = "auto",
    size: Annotated[
        str,
        typer.Option(
            help="Disk size, such as 512M or 2G.  [default: 1024M or as needed, by format]",
            metavar="SIZE",
        ),
    ] = "",
    bootloaders: Annotated[
        str,
        typer.Option(
            help="Image with boot loaders.  [default: the image of pkg/bootloaders]",
            metavar="IMAGE",
        ),
    ] = "",
    imagetools: Annotated[
        str,
        typer.Option(
            help="Image with mksquashfs and mkfs.erofs, used if this host's are missing or too "
            "old.  [default: the image of pkg/imagetools]",
            metavar="IMAGE",
        ),
    ] = "",
    firmware: Annotated[
        str,
        typer.Option(help="Image with the firmware for the format rpi3.", metavar="IMAGE"),
    ] = "",
    secure_boot_key: Annotated[
        Path | None,
        typer.Option(help="Private key to sign UEFI programs with (PEM).", metavar="FILE"),
    ] = None,
    secure_boot_cert: Annotated[
        Path | None,
        typer.Option(help="Certificate of the Secure Boot key (PEM).", metavar="FILE"),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(
            help="Directory with the keys of a verified system: db.key, db.crt, update.key, and "
            "pcr.key if there is one.",
            metavar="DIR",
        ),
    ] = None,
    enclave_key: Annotated[
        Path | None,
        typer.Option(help="Private key to sign enclave images with (PEM).", metavar="FILE"),
    ] = None,
    enclave_cert: Annotated[
        Path | None,
        typer.Option(help="Certificate of the enclave key (PEM).", metavar="FILE"),
    ] = None,
    pcr_key: Annotated[
        Path | None,
        typer.Option(
            help="RSA key (PEM) that signs the policy of PCR 11 in unified kernel images.",
            metavar="FILE",
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option("-j", "--jobs", help="Parallel encoding processes.", min=1, max=64)
    ] = 2,
    decompress_kernel: Annotated[
        bool, typer.Option("--decompress-kernel", help="Decompress the kernel.")
    ] = False,
    offline: Annotated[
        bool,
        typer.Option(
            "--offline", help="Use no network; images and Debian packages must be in the store."
        ),
    ] = False,
    pull: Annotated[
        bool, typer.Option("--pull", help="Re-check registries for cached images.")
    ] = False,
    docker: Annotated[
        bool, typer.Option("--docker", help="Prefer images from the local Docker daemon.")
    ] = False,
    input_tar: Annotated[
        Path | None,
        typer.Option(
            help="Tar of an earlier build, used for images that are not available.",
            metavar="FILE",
        ),
    ] = None,
    no_sbom: Annotated[
        bool, typer.Option("--no-sbom", help="Do not add an SPDX document to the image.")
    ] = False,
    sbom_output: Annotated[
        str, typer.Option(help="Path of the SPDX document in the image.", metavar="PATH")
    ] = "sbom.spdx.json",
    sbom_current_time: Annotated[
        bool,
        typer.Option(
            "--sbom-current-time",
            help="Put the current time (or SOURCE_DATE_EPOCH) into the SPDX document.",
        ),
    ] = False,
    build_missing: Annotated[
        bool,
        typer.Option(
            "--build-missing/--no-build-missing",
            help="Build missing @pkg: packages.",
        ),
    ] = True,
    allow_local_sources: AllowLocalSources = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the merged YAML without building.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Build even if nothing has changed.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Treat warnings as errors: nothing is written.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON: outputs, parts, times.")
    ] = False,
    insecure: Insecure = None,
    registry_creds: Creds = None,
    max_image_size: MaxImageSize = "",
) -> None:
    """Assemble a bootable image from YAML files.

    \b
    dolmen build image.yml                         # image-kernel, image-initrd.img, image-cmdline
    dolmen build --arch arm64 --dir out image.yml
    dolmen build --format tar -o - image.yml | tar t
    dolmen build --format help
    dolmen build --dry-run base.yml site.yml

    Outputs are written atomically and are reproducible. If nothing has changed since the
    last build, they are left untouched, except with @pkg: packages, which may have changed.
    """
    from assembler.build import BuildOptions, SbomOptions, merged_yaml
    from assembler.build import build as run_build
    from dolmen.build_output import list_formats, print_failure, print_result
    from dolmen.next_command import command_for_outputs, show_next_command
    from dolmen.package_options import environment_options
    from dolmen.sources import image_sources

    settings = settings_of(ctx)
    if is_default(ctx, "compression"):
        compression = text_of("build.compression")
    if is_default(ctx, "jobs"):
        jobs = number_of("build.jobs")
    names = [name for group in formats or () for name in group.split(",")]
    if "help" in names:
        list_formats()
        return
    _check_output(output, as_json=as_json, dry_run=dry_run)
    recorder: WarningRecorder | None = None
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
                max_size=max_image_size,
            ),
            packages=environment_options,
            build_missing=build_missing,
            allow_local_sources=allow_local_sources,
            input_tar=input_tar,
            sbom=None if no_sbom else SbomOptions(sbom_output, _created(current=sbom_current_time)),
            helper_images=_selected_images(
                bootloaders=bootloaders, imagetools=imagetools, firmware=firmware
            ),
            secure_boot_key=secure_boot_key,
            secure_boot_certificate=secure_boot_cert,
            keys=keys,
            passphrase=partial(_passphrase, keys / "db.key" if keys else secure_boot_key),
            enclave_key=enclave_key,
            enclave_certificate=enclave_cert,
            pcr_key=pcr_key,
            force=force,
            strict=strict,
            remember=not sbom_current_time or "SOURCE_DATE_EPOCH" in os.environ,
        )
        if dry_run:
            print_document(merged_yaml(files or (), options))
            return
        with progress_reporter(settings) as reporter:
            recorder = WarningRecorder(reporter)
            result = run_build(files or (), options, progress=recorder.emit)
    except (DolmenError, OSError) as error:
        # An archive may be expected on standard output.
        if as_json and output != "-":
            print_failure(error, recorder.warnings if recorder is not None else ())
        raise
    print_result(settings, result, as_json=as_json)
    if not as_json:
        show_next_command(settings, *command_for_outputs(result.outputs, architecture))


def _check_output(output: str, *, as_json: bool, dry_run: bool) -> None:
    """Check that only one thing goes to standard output."""
    problem = None
    if output == "-" and as_json:
        problem = ("--json and --output - both need standard output", "write the output to a file")
    elif output == "-" and not dry_run and sys.stdout.isatty():
        problem = ("refusing to write an archive to a terminal", "use --output FILE")
    if problem:
        raise UsageError.of(usage.BAD_OPTION, *problem)


def _output(output: str) -> Path | IO[bytes] | None:
    if output == "-":
        return result_stream()
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
    """Return the time for the SPDX document, if it gets one."""
    if not current:
        return None
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if text and not text.isdigit():
        raise UsageError.of(
            usage.BAD_OPTION,
            f"invalid SOURCE_DATE_EPOCH {text!r}",
            "set it to a number of seconds since 1970",
        )
    return int(text) if text else int(time.time())


def _selected_images(**images: str) -> dict[str, str]:
    return {kind: image for kind, image in images.items() if image}


def _passphrase(key: Path | None) -> str:
    from dolmen.passphrases import read_passphrase

    return read_passphrase(str(key))
