"""`dolmen explain`: explain the codes of diagnostics."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from assembler.codes import all_codes, usage
from assembler.codes.search import search_codes
from assembler.errors import UsageError
from dolmen import completions
from dolmen.lazy import command_app
from dolmen.output import print_document, print_json, print_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.codes import Code

app = command_app()
_WIDTH = 78


@app.command()
def explain(
    queries: Annotated[
        list[str] | None,
        typer.Argument(
            help="Codes such as DM0102, or words to search for.",
            metavar="[CODE...]",
            autocompletion=completions.complete_codes,
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """Explain error codes, or list all codes.

    \b
    dolmen explain DM0114
    dolmen explain 114 DM0115
    dolmen explain volume       # search titles and explanations
    dolmen explain              # list all codes
    """
    groups = [_find(query) for query in dict.fromkeys(queries or ())]
    groups = groups or [tuple(all_codes().values())]
    if as_json:
        found = dict.fromkeys(code for group in groups for code in group)
        print_json([_as_json(code) for code in found])
        return
    for number, group in enumerate(groups):
        if number:
            print_line("")
        _show(group)


def _find(query: str) -> tuple[Code, ...]:
    """Return the matching codes; none is an error."""
    search = search_codes(query)
    if search.codes:
        return search.codes
    raise UsageError.of(
        usage.UNKNOWN_CODE,
        f"unknown code {search.query}",
        *(f"{code}: {code.title}" for code in search.suggestions),
        "`dolmen explain` lists all codes",
    )


def _show(codes: Sequence[Code]) -> None:
    """Explain a single code, or list several."""
    if len(codes) == 1:
        print_line(f"{codes[0]}: {codes[0].title}")
        print_line("")
        print_document(f"{textwrap.fill(codes[0].explanation, _WIDTH, break_on_hyphens=False)}\n")
        return
    for code in codes:
        print_line(f"{code}  {code.title}")


def _as_json(code: Code) -> dict[str, str]:
    return {"code": str(code), "title": code.title, "explanation": code.explanation}
