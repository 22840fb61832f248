"""The namespaces of a container: new ones, those of the host, or some that were bound to a path."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assembler.rootfs.merging import Merged
    from assembler.rootfs.rendering import Json

# The specification's name of each, and our field for it; in the order in which they are written.
_FIELDS = (("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("pid", "pid"), ("user", "userns"))


def namespaces(wanted: Merged) -> list[Json]:
    """Return the namespaces that are not the host's; a mount namespace is always among them."""
    found: list[Json] = []
    for kind, field in _FIELDS:
        text = getattr(wanted.spec, field) or ("new" if field == "pid" else "host")
        if text in ("host", "root"):
            continue
        if text == "new" or (text == "none" and field == "net"):
            found.append({"type": kind})
        else:
            found.append({"type": kind, "path": text})
    return [*found, {"type": "mount"}]
