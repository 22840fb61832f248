"""`dolmen build`: from YAML files to files that a machine can boot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dolmen import completing
from dolmen.lazy import command_app
from dolmen.registries import Creds, Insecure
from dolmen.settings import settings_of

app = command_app()

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
        bool, typer.Option("--pull", help="Ask registries anew even for what is in the store.")
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
    so with packages named by @pkg:, which may have changed: then they are written anew.
    """
    from dolmen.building import Asked, run

    run(
        settings_of(ctx),
        Asked(
            files=tuple(files or ()),
            formats=tuple(f for group in formats or () for f in group.split(",")),
            name=name,
            directory=directory,
            output=output,
            architecture=architecture,
            compression=compression,
            size=size,
            jobs=jobs,
            decompress_kernel=decompress_kernel,
            offline=offline,
            pull=pull,
            docker=docker,
            input_tar=input_tar,
            sbom=None if no_sbom else sbom_output,
            sbom_current_time=sbom_current_time,
            build_missing=build_missing,
            bootloaders=bootloaders,
            imagetools=imagetools,
            firmware=firmware,
            secure_boot_key=secure_boot_key,
            secure_boot_cert=secure_boot_cert,
            dry_run=dry_run,
            force=force,
            as_json=as_json,
            insecure=tuple(insecure or ()),
            registry_creds=tuple(registry_creds or ()),
        ),
    )
