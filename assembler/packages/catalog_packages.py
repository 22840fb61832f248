"""The packages of the catalogue with their images: names, sizes, privileges and options."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assembler.catalog import catalog_directory, catalog_entries, catalog_entry
from assembler.errors import wrap_os_errors
from assembler.oci import Image, host_platform, look_up_image
from assembler.packages.package_reader import read_package
from assembler.packages.tags import Naming, derive_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from assembler.catalog import CatalogEntry
    from assembler.oci import ImageNames, Store
    from assembler.packages.tags import PackageName

# The namespaces that a container can share with the host, and what that lets it see.
_NAMESPACES = {
    "net": "the network",
    "pid": "all processes",
    "ipc": "shared memory",
    "uts": "the host name",
}
# What a README says of its neighbours.
_REFERENCE = re.compile(r"@(?:dolmen:|lkt:)?pkg:\.\./(?:pkg/)?(?=[a-z])")


@dataclass(frozen=True, slots=True)
class CatalogPackage:
    """A package of the catalogue: its entry, the name of its image, and more about it."""

    entry: CatalogEntry
    name: PackageName
    directory: Path
    architectures: tuple[str, ...]
    privileges: tuple[str, ...]
    # In Markdown; empty without one.
    readme: str
    # Compressed, of this machine's platform; None if the image is not in the store.
    size: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the package for scripts."""
        return {
            **self.entry.as_json(),
            "image": str(self.name),
            "tag": self.name.tag,
            "directory": str(self.directory),
            "architectures": list(self.architectures),
            "privileges": list(self.privileges),
            "size": self.size,
        }


def list_catalog(store: Store) -> list[CatalogPackage]:
    """Return all packages of the catalogue, in the order of their use."""
    names = store.names()
    return [_describe(entry, store, names) for entry in catalog_entries()]


def describe_catalog_package(name: str, store: Store) -> CatalogPackage:
    """Return a package of the catalogue; an unknown name is an error."""
    catalog_directory(name)
    return _describe(catalog_entry(name), store, store.names())


def package_privileges(label: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return what a container with the settings of build.yml may do, for people."""
    return tuple(_privileges(label)) if label is not None else ()


def _describe(entry: CatalogEntry, store: Store, names: ImageNames) -> CatalogPackage:
    directory = catalog_directory(entry.name)
    package = read_package(directory)
    name = derive_name(package, Naming())
    image = look_up_image(store, name.reference(), host_platform(), names=names)
    readme = directory / "README.md"
    with wrap_os_errors(readme, "read"):
        text = readme.read_text("utf-8") if readme.is_file() else ""
    return CatalogPackage(
        entry,
        name,
        directory,
        package.build.arches,
        package_privileges(package.build.label),
        _REFERENCE.sub("@dolmen:", text),
        image.layer_bytes if isinstance(image, Image) else None,
    )


def _privileges(label: Mapping[str, Any]) -> Iterator[str]:
    capabilities = label.get("capabilities", [])
    if capabilities == ["all"]:
        yield "all capabilities"
    else:
        yield " and ".join(c for c in capabilities if c != "none") or "no capabilities"
    yield f"runs as user {label['uid']}" if label.get("uid") else "runs as root"
    shared = [text for key, text in _NAMESPACES.items() if label.get(key) == "host"]
    if shared:
        yield f"shares with the host: {', '.join(shared)}"
    if label.get("readonly"):
        yield "its root filesystem is read-only"
    if label.get("noNewPrivileges"):
        yield "gains no other privileges"
    if label.get("seccomp") == "default":
        yield "its system calls are filtered"
    kinds = {"b": "block devices", "c": "character devices"}
    devices = [kinds[d["type"]] for d in label.get("devices", []) if d.get("path") == "all"]
    if devices:
        yield f"uses all {' and '.join(devices)}"
    if label.get("binds"):
        yield f"sees {', '.join(bind.split(':')[0] for bind in label['binds'])} of the host"
