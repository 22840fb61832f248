"""Texts without secrets: what of URLs and answers may be shown to people."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit, urlunsplit

_USERINFO = re.compile(r"(?<=://)[^/\s@]*@")
_QUERY = re.compile(r"(https?://[^\s\"'<>?]*)\?[^\s\"'<>]*")
_BEARER = re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9+/=._~-]{8,}", re.IGNORECASE)
_HARMLESS = frozenset({"service", "scope", "n", "last", "mount", "from", "digest"})


def redacted_url(url: str) -> str:
    """Return the URL without user, password, and the values of what may be a token."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that cannot be read"
    host = parts.netloc.rpartition("@")[2]
    query = "&".join(
        f"{key}={value if key in _HARMLESS else '…'}" for key, value in parse_qsl(parts.query)
    )
    return urlunsplit((parts.scheme, host, parts.path, query, ""))


def redacted(text: str) -> str:
    """Return a text without the secrets in its URLs and headers."""
    text = _USERINFO.sub("", text)
    text = _QUERY.sub(r"\1?…", text)
    return _BEARER.sub(r"\1 …", text)
