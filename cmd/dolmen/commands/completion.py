"""`dolmen completion`: print a shell completion script."""

from __future__ import annotations

from typing import Annotated

import typer

from assembler.codes import usage
from assembler.errors import UsageError
from dolmen.lazy import command_app
from dolmen.output import print_document

app = command_app()
_SHELLS = ("bash", "zsh", "fish", "powershell")


@app.command()
def completion(
    shell: Annotated[
        str,
        typer.Argument(
            help="Shell: bash, zsh, fish or powershell.",
            metavar="SHELL",
            autocompletion=lambda: list(_SHELLS),
        ),
    ],
) -> None:
    """Print a completion script for a shell.

    \b
    dolmen completion bash > ~/.local/share/bash-completion/completions/dolmen
    dolmen completion zsh > "${fpath[1]}/_dolmen"
    dolmen completion fish > ~/.config/fish/completions/dolmen.fish
    dolmen completion powershell | Out-String | Invoke-Expression   # in $PROFILE
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    if shell not in _SHELLS:
        raise UsageError.of(
            usage.BAD_OPTION, f"unsupported shell {shell!r}", "use bash, zsh, fish or powershell"
        )
    script = get_completion_script(prog_name="dolmen", complete_var="_DOLMEN_COMPLETE", shell=shell)
    print_document(f"{script}\n")
