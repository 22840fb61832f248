"""The top of the command line: the table of commands and the global options."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from assembler.version import __version__
from dolmen.console import say
from dolmen.lazy import Lazy, lazy_group
from dolmen.settings import Settings, default_cache, env_list_or_linuxkit

COMMANDS = (
    Lazy("build", "dolmen.commands.build", "Assemble a bootable image from YAML files."),
    Lazy("run", "dolmen.commands.run", "Run an image in a virtual machine."),
    Lazy("ps", "dolmen.commands.ps", "List the machines that are running."),
    Lazy("logs", "dolmen.commands.logs", "Print what a machine has said on its console."),
    Lazy("console", "dolmen.commands.console", "Work at the console of a detached machine."),
    Lazy("ssh", "dolmen.commands.ssh", "Log in at a machine by ssh."),
    Lazy("stop", "dolmen.commands.stop", "End machines."),
    Lazy("validate", "dolmen.commands.validate", "Check YAML files and show every mistake."),
    Lazy("new", "dolmen.commands.new", "Write a commented YAML file to start from."),
    Lazy("cache", "dolmen.commands.cache", "Manage the store of images."),
    Lazy("pkg", "dolmen.commands.pkg", "Build packages: images made from directories."),
    Lazy("metadata", "dolmen.commands.metadata", "Make CDs with metadata for guests."),
    Lazy("inspect", "dolmen.commands.inspect", "Show what a file holds that was built."),
    Lazy("keys", "dolmen.commands.keys", "Make keys for Secure Boot."),
    Lazy("serve", "dolmen.commands.serve", "Serve images over HTTP, for booting from the network."),
    Lazy("schema", "dolmen.commands.schema", "Print the JSON Schema of image.yml or build.yml."),
    Lazy("explain", "dolmen.commands.explain", "Explain the code of an error."),
    Lazy("doctor", "dolmen.commands.doctor", "Show what this machine has and lacks."),
    Lazy("completion", "dolmen.commands.completion", "Print the completion script for a shell."),
    Lazy("version", "dolmen.commands.version", "Print Dolmen's version."),
)

_HELP = """Assemble bootable Linux images from OCI images.

\b
    dolmen new image.yml             # a commented file to start from
    dolmen build image.yml           # image-kernel, image-initrd.img, image-cmdline
    dolmen build --format help       # everything else that can be written
"""

app = typer.Typer(
    name="dolmen",
    cls=lazy_group(COMMANDS),
    help=_HELP,
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _color(value: str) -> str:
    if value not in ("auto", "always", "never"):
        raise typer.BadParameter("must be auto, always or never")
    return value


def _print_version(asked: bool) -> None:
    if asked:
        say(f"dolmen {__version__}")
        raise typer.Exit


@app.callback(help=_HELP)
def top(
    ctx: typer.Context,
    cache: Annotated[
        Path | None,
        typer.Option(
            help="The store of images.  [env: DOLMEN_CACHE, LINUXKIT_CACHE]", metavar="DIR"
        ),
    ] = None,
    verbose: Annotated[
        int, typer.Option("-v", "--verbose", count=True, help="Say more; twice for everything.")
    ] = 0,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Say nothing but results and errors.")
    ] = False,
    color: Annotated[
        str,
        typer.Option(
            help="auto, always or never; NO_COLOR is honoured.",
            metavar="WHEN",
            callback=_color,
        ),
    ] = "auto",
    mirror: Annotated[
        list[str] | None,
        typer.Option(
            help="Pull through [REGISTRY=]URL first; repeatable.  "
            "[env: DOLMEN_MIRROR, LINUXKIT_MIRROR]",
            metavar="[REGISTRY=]URL",
        ),
    ] = None,
    cert_file: Annotated[
        list[Path] | None,
        typer.Option(help="Trust the CA certificates in FILE, too; repeatable.", metavar="FILE"),
    ] = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print Dolmen's version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Keep the global options for the command that follows."""
    settings = Settings(
        cache=(cache or default_cache(os.environ)).expanduser(),
        verbosity=-1 if quiet else verbose,
        color=color,
        mirrors=tuple(mirror or env_list_or_linuxkit(os.environ, "MIRROR")),
        cert_files=tuple(cert_file or ()),
    )
    if settings.mirrors or settings.cert_files:
        from dolmen.registries import check  # noqa: PLC0415 - only where something is said

        check(settings)
    ctx.obj = settings
