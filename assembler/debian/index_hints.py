"""Hints for a mirror whose index of one architecture is broken."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_INDEX = re.compile(r"/dists/(?P<suite>[^\s/]+)/\S*?binary-(?P<architecture>[a-z0-9-]+)/")
_RETRY = "the mirror may be in the middle of an update: try again, or choose another mirror"
# Without these a suite is complete.
_EXTRA_SUITES = ("-updates", "-security", "-backports", "-proposed-updates")


def broken_index_hints(urls: Iterable[str]) -> tuple[str, ...]:
    """Return the ways out for broken indexes at these URLs."""
    found = [match for url in urls if (match := _INDEX.search(url))]
    suites = sorted({match["suite"] for match in found})
    architectures = sorted({match["architecture"] for match in found})
    if not found:
        return (_RETRY,)
    names = ", ".join(architectures)
    where = f"the mirror's index of {names} in {', '.join(suites)}"
    hints = [f"{where} is not the one of its Release file: {_RETRY}"]
    if all(suite.endswith(_EXTRA_SUITES) for suite in suites):
        without = f"to do without {', '.join(suites)}: "
        hints.append(without + "--debian-mirror 'http://MIRROR/debian {suite}'")
    if len(architectures) == 1:
        hints.append(f"other architectures have their own: --platforms without linux/{names}")
    return tuple(hints)
