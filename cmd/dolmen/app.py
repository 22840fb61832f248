"""The root command: the table of commands, and the global options."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from assembler.version import __version__
from dolmen.lazy import LazyCommand, lazy_group
from dolmen.output import print_line
from dolmen.settings import GlobalOptions, is_default

COMMANDS = (
    LazyCommand("build", "dolmen.commands.build", "Assemble a bootable image from YAML files."),
    LazyCommand("run", "dolmen.commands.run", "Run an image in a virtual machine."),
    LazyCommand("ps", "dolmen.commands.ps", "List running machines."),
    LazyCommand("logs", "dolmen.commands.logs", "Print the output of a machine or a service."),
    LazyCommand("console", "dolmen.commands.console", "Attach to the console of a machine."),
    LazyCommand("exec", "dolmen.commands.exec", "Run a command in a service of a machine."),
    LazyCommand("ssh", "dolmen.commands.ssh", "Log in to a machine with SSH."),
    LazyCommand("stop", "dolmen.commands.stop", "Stop machines."),
    LazyCommand(
        "validate", "dolmen.commands.validate", "Check YAML files, and show every mistake."
    ),
    LazyCommand("lock", "dolmen.commands.lock", "Lock the references of YAML files to commits."),
    LazyCommand("new", "dolmen.commands.new", "Create a commented YAML file."),
    LazyCommand("cache", "dolmen.commands.cache", "Manage the image store."),
    LazyCommand("pkg", "dolmen.commands.pkg", "Build packages: images made from directories."),
    LazyCommand("metadata", "dolmen.commands.metadata", "Create metadata CDs for guests."),
    LazyCommand("inspect", "dolmen.commands.inspect", "Show the contents of an image file."),
    LazyCommand("pcrs", "dolmen.commands.pcrs", "Predict the PCRs of a booted image."),
    LazyCommand("verify", "dolmen.commands.verify", "Verify the chain of an image, offline."),
    LazyCommand("keys", "dolmen.commands.keys", "Create Secure Boot keys."),
    LazyCommand("serve", "dolmen.commands.serve", "Serve images over HTTP for network boot."),
    LazyCommand(
        "schema", "dolmen.commands.schema", "Print the JSON Schema of image.yml or build.yml."
    ),
    LazyCommand("explain", "dolmen.commands.explain", "Explain error codes."),
    LazyCommand("config", "dolmen.commands.config", "Show the settings and their origins."),
    LazyCommand("doctor", "dolmen.commands.doctor", "Check this machine for required programs."),
    LazyCommand("completion", "dolmen.commands.completion", "Print a shell completion script."),
    LazyCommand("version", "dolmen.commands.version", "Print Dolmen's version."),
)
# They say what to use instead.
_NOT_SUPPORTED = (
    LazyCommand("push", "dolmen.commands.push", "Push images to clouds.", hidden=True),
)

_HELP = """Assemble bootable Linux images from OCI images.

\b
    dolmen new image.yml             # create a commented file
    dolmen build image.yml           # image-kernel, image-initrd.img, image-cmdline
    dolmen build --format help       # list all output formats
"""

app = typer.Typer(
    name="dolmen",
    cls=lazy_group((*COMMANDS, *_NOT_SUPPORTED)),
    help=_HELP,
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _check_color(value: str) -> str:
    if value not in ("auto", "always", "never"):
        raise typer.BadParameter("must be auto, always or never")
    return value


def _mirrors_of_variables() -> tuple[str, ...]:
    if not any(os.environ.get(name) for name in ("DOLMEN_MIRROR", "LINUXKIT_MIRROR")):
        return ()
    from dolmen.setting_values import variable_texts  # noqa: PLC0415 - takes time

    return variable_texts("registries.mirrors")


def _print_version(value: bool) -> None:
    if value:
        print_line(f"dolmen {__version__}")
        raise typer.Exit


@app.callback(help=_HELP)
def top(
    ctx: typer.Context,
    cache: Annotated[
        Path | None,
        typer.Option(help="Image store.  [env: DOLMEN_CACHE, LINUXKIT_CACHE]", metavar="DIR"),
    ] = None,
    verbose: Annotated[
        int, typer.Option("-v", "--verbose", count=True, help="More output; repeat for all output.")
    ] = 0,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Print only results and errors.")
    ] = False,
    color: Annotated[
        str,
        typer.Option(
            help="Colors: auto, always or never; NO_COLOR is respected.",
            metavar="WHEN",
            callback=_check_color,
        ),
    ] = "auto",
    mirror: Annotated[
        list[str] | None,
        typer.Option(
            help="Registry mirror to try first; repeatable.  [env: DOLMEN_MIRROR, LINUXKIT_MIRROR]",
            metavar="[REGISTRY=]URL",
        ),
    ] = None,
    cert_file: Annotated[
        list[Path] | None,
        typer.Option(help="File with additional CA certificates; repeatable.", metavar="FILE"),
    ] = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print Dolmen's version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Store the global options for the command."""
    options = GlobalOptions(
        cache=cache,
        verbosity=-1 if quiet else verbose or None,
        color="" if is_default(ctx, "color") else color,
        mirrors=tuple(mirror or _mirrors_of_variables()),
        cert_files=tuple(cert_file or ()),
    )
    if options.mirrors or options.cert_files:
        from dolmen.global_options import check_global_options  # noqa: PLC0415 - slow to import

        check_global_options(options.mirrors, options.cert_files)
    ctx.obj = options
