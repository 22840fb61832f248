"""The manual page has every command, and roff interprets none of their help."""

from __future__ import annotations

import re

import typer

import generate
from dolmen.app import app
from release.manual import manual_page


def test_the_manual_page_has_every_command() -> None:
    page = manual_page(1700000000)
    assert page.startswith('.TH DOLMEN 1 "2023-11-14"')
    shown = re.findall(r"^\.SS (.*)$", page, re.MULTILINE)
    helps = generate.command_helps("dolmen", typer.main.get_command(app))
    assert [name.replace("\\-", "-") for name in shown] == [name for name, _ in helps]
    assert "dolmen pkg show-tag" in [name.replace("\\-", "-") for name in shown]


def test_help_is_not_interpreted() -> None:
    page = manual_page(0)
    requests = {line.split(" ", 1)[0] for line in page.splitlines() if line.startswith(".")}
    assert requests == {".TH", ".SH", ".SS", ".B", ".RI", ".I", ".PP", ".nf", ".fi"}
    assert "\\-\\-help" in page
    assert not re.search(r"\\[^-e&(]", page)
