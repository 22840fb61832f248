"""URLs as arguments, and in messages."""

from __future__ import annotations

import re

_USER = re.compile(r"\A(https?://)[^/?#]*@", re.IGNORECASE)


def is_url(argument: str) -> bool:
    """Tell whether the argument is an http(s) URL."""
    return argument.lower().startswith(("http://", "https://"))


def printable_name(argument: str) -> str:
    """Return the argument for messages: a URL without user and password."""
    return _USER.sub(r"\1", argument)
