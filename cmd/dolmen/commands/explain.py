"""`dolmen explain`: what a diagnostic's code means and what to do about it."""

from __future__ import annotations

import difflib
import json
import re
import textwrap
from typing import Annotated

import typer

from assembler.codes import Code, all_codes, usage
from assembler.errors import UsageError
from dolmen import completing
from dolmen.console import say
from dolmen.lazy import command_app

app = command_app()
_WIDTH = 78


@app.command()
def explain(
    asked: Annotated[
        list[str] | None,
        typer.Argument(
            help="Codes as DM0102, or words to look for.",
            metavar="[CODE...]",
            autocompletion=completing.codes,
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """Explain the codes of errors, or list all codes.

    \b
    dolmen explain DM0114
    dolmen explain 114 DM0115
    dolmen explain volume       # every code that speaks of volumes
    dolmen explain              # all of them
    """
    codes = all_codes()
    groups = [_matching(one, codes) for one in dict.fromkeys(asked or ())]
    if as_json:
        found = dict.fromkeys(c for group in groups or [list(codes.values())] for c in group)
        say(json.dumps([_as_json(c) for c in found], indent=2))
        return
    for number, group in enumerate(groups or [list(codes.values())]):
        if number:
            say("")
        _show(group)


def _show(found: list[Code]) -> None:
    """Explain the only one, or list them."""
    if len(found) == 1:
        say(f"{found[0]}: {found[0].title}\n")
        say(textwrap.fill(found[0].explanation, _WIDTH, break_on_hyphens=False))
        return
    for each in found:
        say(f"{each}  {each.title}")


def _as_json(code: Code) -> dict[str, str]:
    return {"code": str(code), "title": code.title, "explanation": code.explanation}


def _matching(asked: str, codes: dict[str, Code]) -> list[Code]:
    """Return the code asked for, or those that speak of a word; an error if there is none."""
    number = re.fullmatch(r"(?:dm)?[-_ ]?0*(\d{1,4})", asked.strip(), re.IGNORECASE | re.ASCII)
    if number:
        name = f"DM{int(number.group(1)):04}"
        if name in codes:
            return [codes[name]]
        by_distance = sorted(codes, key=lambda c: abs(codes[c].number - int(name[2:])))
        near = by_distance[:3]
        raise _unknown(name, near, codes)
    word = asked.strip().lower()
    found = [c for c in codes.values() if word and word in f"{c.title} {c.explanation}".lower()]
    if not found:
        words = {w for c in codes.values() for w in re.findall(r"[a-z]{4,}", c.title.lower())}
        near_words = difflib.get_close_matches(word, words, 3)
        near = [str(c) for w in near_words for c in codes.values() if w in c.title.lower()]
        raise _unknown(asked, list(dict.fromkeys(near))[:5], codes)
    return found


def _unknown(asked: str, near: list[str], codes: dict[str, Code]) -> UsageError:
    hints = [f"{name} is: {codes[name].title}" for name in near]
    return UsageError.of(
        usage.UNKNOWN_CODE,
        f"there is no code {asked}",
        *hints,
        "`dolmen explain` lists all codes",
    )
