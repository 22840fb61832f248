"""The namespaces of a container: new ones, those of the host, or ones bound to a path."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assembler.rootfs.container_settings import ContainerSettings
    from assembler.rootfs.json_rendering import JsonObject

# The specification's name and the field of each, in the order of the document.
_FIELDS = (("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("pid", "pid"), ("user", "userns"))


def namespaces(settings: ContainerSettings) -> list[JsonObject]:
    """Return the namespaces that are not the host's; a mount namespace is always one."""
    found: list[JsonObject] = []
    for kind, field in _FIELDS:
        text = getattr(settings.spec, field) or ("new" if field == "pid" else "host")
        if text in ("host", "root"):
            continue
        if text == "new" or (text == "none" and field == "net"):
            found.append({"type": kind})
        else:
            found.append({"type": kind, "path": text})
    return [*found, {"type": "mount"}]
