"""Rendering JSON files of the system: indented by four spaces, keys in insertion order."""

from __future__ import annotations

import json
from typing import Any

JsonObject = dict[str, Any]


def render_json(document: JsonObject) -> bytes:
    """Return the reproducible bytes of a document."""
    text = json.dumps(document, indent=4, ensure_ascii=False)
    # A lone surrogate, from a label say, has no UTF-8: write JSON's escape.
    return text.encode("utf-8", "backslashreplace")


def drop_empty(document: JsonObject) -> JsonObject:
    """Return the document without members that are None, empty or False; keep zero."""
    return {
        key: value
        for key, value in document.items()
        if value is not None and value is not False and value not in ("", [], {})
    }
