"""runtime.json: the instructions for the init system around a container."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from assembler.config import BindNS, Runtime
from assembler.rootfs.json_rendering import JsonObject, drop_empty
from assembler.rootfs.mounts import SpecMount

if TYPE_CHECKING:
    from assembler.config import Interface, Mount

# The directory of a bundle for the tmpfs that holds the container's writes.
SCRATCH = "tmp"


def root_mounts(bundle: str, tree: str, *, readonly: bool) -> tuple[SpecMount, ...]:
    """Return the mounts of BUNDLE/rootfs; `bundle` and `tree` have no leading slash."""
    rootfs = f"/{bundle}/rootfs"
    if readonly:
        return (SpecMount(rootfs, "", f"/{tree}", ("bind",)),)
    scratch = f"/{bundle}/{SCRATCH}"
    return (
        SpecMount(scratch, "tmpfs", "tmpfs"),
        SpecMount(scratch, "", "", ("remount", "private")),
        SpecMount(
            rootfs,
            "overlay",
            "overlay",
            (f"lowerdir=/{tree}", f"upperdir={scratch}/upper", f"workdir={scratch}/work"),
        ),
    )


def runtime_document(runtime: Runtime, first: tuple[SpecMount, ...]) -> JsonObject:
    """Return the document with all members, and `first` before the other mounts."""
    return {
        "cgroups": list(runtime.cgroups or ()),
        "mounts": [m.as_json() for m in (*first, *(_mount(m) for m in runtime.mounts or ()))],
        "mkdir": list(runtime.mkdir or ()),
        "interfaces": [_interface(i) for i in runtime.interfaces or ()],
        "bindNS": {
            f.name: getattr(runtime.bind_ns, f.name, None) or ""
            for f in fields(BindNS)
            if f.name != "positions"
        },
        "namespace": runtime.namespace or "",
    }


def _mount(given: Mount) -> SpecMount:
    return SpecMount(
        given.destination or "",
        given.type or "",
        given.source or "",
        given.options or (),
        given.uid_mappings or (),
        given.gid_mappings or (),
    )


def _interface(given: Interface) -> JsonObject:
    named = drop_empty({"name": given.name, "add": given.add, "peer": given.peer})
    return {**named, "createInRoot": bool(given.create_in_root)}
