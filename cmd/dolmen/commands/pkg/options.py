"""Options that all commands for packages share: which build.yml is read, and how it is named."""

from __future__ import annotations

import inspect
import os
import pwd
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assembler.codes import usage
from assembler.errors import UsageError
from dolmen.settings import env_or_linuxkit

if TYPE_CHECKING:
    from assembler.packages.tags import Naming

Directories = Annotated[
    list[Path],
    typer.Argument(metavar="DIR...", help="Directories of packages.", show_default=False),
]


@dataclass(frozen=True, slots=True)
class PackageOptions:
    """What the common options of `dolmen pkg` say."""

    build_yml: str
    naming: Naming
    # Nothing if neither is asked for: then build.yml says it.
    network: bool | None = None
    cache: bool | None = None


def common_options(
    build_yml: Annotated[
        str, typer.Option(metavar="NAME", help="The file that describes the package.")
    ] = "build.yml",
    org: Annotated[
        str | None,
        typer.Option(
            metavar="ORG",
            help="The part of the name before the image's.  "
            "[env: DOLMEN_PKG_ORG, LINUXKIT_PKG_ORG]",
        ),
    ] = None,
    tag: Annotated[
        str | None,
        typer.Option(
            metavar="TEMPLATE", help="The tag, in place of build.yml's; {{.Hash}} is the hash."
        ),
    ] = None,
    hash: Annotated[  # noqa: A002 - the option's name
        str | None, typer.Option(metavar="HASH", help="The hash, in place of the tree's.")
    ] = None,
    hash_commit: Annotated[
        str, typer.Option(metavar="COMMIT", help="The commit whose tree is hashed.")
    ] = "HEAD",
    hash_path: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Hash this parent directory in place of the package's."),
    ] = None,
    force_dirty: Annotated[
        bool, typer.Option("--force-dirty", help="Mark the tag as made of uncommitted changes.")
    ] = False,
    dev: Annotated[
        bool, typer.Option("--dev", help="Name it $USER/IMAGE with the hash `dev`.")
    ] = False,
    network: Annotated[
        bool, typer.Option("--network", help="Allow the network during the build.")
    ] = False,
    nonetwork: Annotated[
        bool, typer.Option("--nonetwork", help="No network during the build.")
    ] = False,
    enable_cache: Annotated[
        bool, typer.Option("--enable-cache", help="Use the builder's cache.")
    ] = False,
    disable_cache: Annotated[
        bool, typer.Option("--disable-cache", help="Do not use the builder's cache.")
    ] = False,
) -> PackageOptions:
    """Return what the common options say."""
    from assembler.packages.tags import Naming

    naming = Naming(
        org=org if org is not None else env_or_linuxkit(os.environ, "PKG_ORG") or None,
        tag=tag,
        hash=hash or None,
        commit=hash_commit,
        hash_path=hash_path,
        force_dirty=force_dirty,
    )
    return PackageOptions(
        build_yml=build_yml,
        naming=naming.for_development(_user()) if dev else naming,
        network=_either(network, nonetwork, "--network", "--nonetwork"),
        cache=_either(enable_cache, disable_cache, "--enable-cache", "--disable-cache"),
    )


def with_options(**groups: Callable[..., Any]) -> Callable[[Callable[..., None]], Any]:
    """Give a command the options of groups: what each makes of them is an argument of its name."""
    shared = {name: inspect.signature(g, eval_str=True).parameters for name, g in groups.items()}

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True).parameters

        @wraps(command)
        def run(**given: Any) -> None:  # noqa: ANN401 - typer's values
            made = {
                name: group(**{option: given.pop(option) for option in shared[name]})
                for name, group in groups.items()
            }
            command(**given, **made)

        kept = [p for name, p in own.items() if name not in groups]
        every = [*kept, *(p for options in shared.values() for p in options.values())]
        together = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in every]
        run.__signature__ = inspect.Signature(together)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in together}
        return run

    return decorated


def with_common_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the common options; it gets them together as its argument `options`."""
    decorated: Callable[..., None] = with_options(options=common_options)(command)
    return decorated


def _either(yes: bool, no: bool, yes_option: str, no_option: str) -> bool | None:
    if yes and no:
        raise UsageError.of(
            usage.BAD_OPTION, f"{yes_option} and {no_option} cannot be given together"
        )
    return True if yes else False if no else None


def _user() -> str:
    return os.environ.get("USER") or pwd.getpwuid(os.getuid()).pw_name
