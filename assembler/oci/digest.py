"""Digests: `sha256:` and the hash of a blob."""

from __future__ import annotations

import hashlib
import re

from assembler.codes import images
from assembler.errors import ImageError

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def is_digest(text: str) -> bool:
    """Tell whether the text is a sha256 digest."""
    return _DIGEST.fullmatch(text) is not None


def require_digest(text: object, what: str) -> str:
    """Return `text` if it is a digest and so a safe file name, or raise."""
    if not isinstance(text, str) or not is_digest(text):
        raise ImageError.of(
            images.BAD_DIGEST, f"{what} is not a sha256 digest: {str(text)[:100]!r}"
        )
    return text


def digest_of(data: bytes) -> str:
    """Return the digest of `data`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest_hex(digest: str) -> str:
    """Return the digest without its algorithm."""
    return digest.partition(":")[2]
