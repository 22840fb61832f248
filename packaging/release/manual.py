"""The manual page: the help of every command as roff."""

from __future__ import annotations

from datetime import UTC, datetime

import typer

import generate
from dolmen.app import app
from release.sources import VERSION

_HEAD = """\
.TH DOLMEN 1 "{date}" "dolmen {version}" "User Commands"
.SH NAME
dolmen \\- assemble bootable Linux images from OCI images
.SH SYNOPSIS
.B dolmen
.RI [ OPTIONS ]
.I COMMAND
.RI [ ARGUMENTS ]
.SH DESCRIPTION
Dolmen builds bootable Linux images from OCI images and a YAML file, without root and without a
daemon. The same inputs give the same bytes.
.PP
Data goes to standard output, everything else to standard error.
"""
_TAIL = """\
.SH EXIT STATUS
0: done. 1: an error that was explained. 2: a command line that makes no sense. 130: interrupted.
143: terminated.
"""


def manual_page(time: int) -> str:
    """Return the manual page dolmen(1)."""
    date = datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d")
    parts = [_HEAD.format(date=date, version=VERSION), ".SH COMMANDS\n"]
    for name, text in generate.command_helps("dolmen", typer.main.get_command(app)):
        parts.append(f".SS {_escape(name)}\n.nf\n{_escape(text.strip())}\n.fi\n")
    return "".join([*parts, _TAIL])


def _escape(text: str) -> str:
    """Escape what roff interprets: backslashes, hyphens, and dots and quotes that begin a line."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    lines = escaped.replace("^", "\\(ha").replace("~", "\\(ti").replace("`", "\\(ga").split("\n")
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in lines)
