"""URLs as arguments, and in messages."""

from __future__ import annotations

import re

# Compiled when it is first used: most builds name no URL, and an unchanged one takes 0.1 s in all.
_USER = r"\A(https?://)[^/?#]*@"


def is_url(argument: str) -> bool:
    """Tell whether the argument is an http(s) URL."""
    return argument.lower().startswith(("http://", "https://"))


def printable_name(argument: str) -> str:
    """Return the argument for messages: a URL without user and password."""
    return re.sub(_USER, r"\1", argument, flags=re.IGNORECASE) if is_url(argument) else argument
