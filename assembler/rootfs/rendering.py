"""JSON as the system's files have it: indented by four, keys in the order they were put in."""

from __future__ import annotations

import json
from typing import Any

Json = dict[str, Any]


def rendered(document: Json) -> bytes:
    """Return the document's bytes, the same for the same document anywhere."""
    text = json.dumps(document, indent=4, ensure_ascii=False)
    # A lone surrogate, from a label say, has no UTF-8; its escape is what JSON writes for it.
    return text.encode("utf-8", "backslashreplace")


def without_nothing(document: Json) -> Json:
    """Return the document without members that are None, empty or False; zero stays."""
    return {
        key: value
        for key, value in document.items()
        if value is not None and value is not False and value not in ("", [], {})
    }
