"""What is in an image that a Dockerfile made: packages by its databases, and what bases tell.

The base's own document is carried over, and only the layers above it are looked through. An image
is not trusted: what its databases say and cannot be read is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from assembler.debian import control_package, parse_control
from assembler.errors import DolmenError, LayerError
from assembler.oci import (
    FILE,
    IN_TOTO,
    PREDICATE_TYPE,
    SPDX_DOCUMENT,
    Manifest,
    WrittenImage,
    add_attestation,
    flatten_layers,
    parse_manifest,
    read_attestations,
)
from assembler.oci import LayerBlob as StoredLayer
from assembler.sbom import PackageFacts, describe_package, image_document

if TYPE_CHECKING:
    from assembler.oci import Descriptor, Image, Store, TarReader

_DPKG = b"var/lib/dpkg/status"
_DPKG_PARTS = b"var/lib/dpkg/status.d/"
_APK = (b"lib/apk/db/installed", b"usr/lib/apk/db/installed")
_RELEASES = (b"etc/os-release", b"usr/lib/os-release")
_LARGEST_DATABASE = 64 << 20
_LARGEST_DOCUMENT = 64 << 20
_RELEASE_LINE = re.compile(
    r'^(ID|VERSION_ID|VERSION_CODENAME)="?([A-Za-z0-9._-]+)"?$', re.MULTILINE
)
_APK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")


def attach_sbom(
    store: Store, made: WrittenImage, name: str, created: int, bases: Iterable[Image]
) -> WrittenImage:
    """Add a document of what is in the image, if it has none yet and anything is known of it."""
    manifest = parse_manifest(store.read(made.descriptor), name)
    if made.attestations or not isinstance(manifest, Manifest):
        return made
    base = _find_base(manifest, bases)
    carried = _base_packages(store, base) if base is not None else []
    above = manifest.layers[len(base.manifest.layers) :] if base and carried else manifest.layers
    try:
        databases = _read_databases(store, name, above)
    except LayerError:
        # Its upper layers cannot be read without the lower ones.
        databases = _read_databases(store, name, manifest.layers)
    packages = _merge_packages(carried, databases)
    if not packages:
        return made
    document = image_document(name, made.descriptor.digest, created, packages)
    added = add_attestation(store, name, made.descriptor, SPDX_DOCUMENT, document)
    return replace(made, attestations=(added,))


def _find_base(manifest: Manifest, bases: Iterable[Image]) -> Image | None:
    """Return the image that this one begins with: the one that most of its layers are of."""
    digests = [layer.digest for layer in manifest.layers]
    below = [
        base
        for base in bases
        if base.manifest.layers
        and [layer.digest for layer in base.manifest.layers] == digests[: len(base.manifest.layers)]
    ]
    return max(below, key=lambda base: len(base.manifest.layers), default=None)


def _base_packages(store: Store, base: Image) -> list[dict[str, Any]]:
    """Return the packages that the documents of an image tell of."""
    found: list[dict[str, Any]] = []
    for manifest in read_attestations(store, base):
        for layer in manifest.layers:
            if layer.annotations.get(PREDICATE_TYPE) != SPDX_DOCUMENT:
                continue
            if layer.media_type != IN_TOTO or layer.size > _LARGEST_DOCUMENT:
                continue
            try:
                document = json.loads(store.read(layer))["predicate"]
                found += [p for p in document["packages"] if isinstance(p["SPDXID"], str)]
            except (DolmenError, ValueError, KeyError, TypeError, RecursionError):
                continue
    return found


@dataclass(slots=True)
class _PackageDatabases:
    """The files of an image that tell what is installed."""

    files: dict[bytes, bytes] = field(default_factory=dict)

    def restart(self) -> None:
        self.files.clear()

    def add(self, name: bytes, reader: TarReader) -> None:
        if reader.kind != FILE or reader.size > _LARGEST_DATABASE:
            return
        part = name.startswith(_DPKG_PARTS) and not name.endswith(b".md5sums")
        if part or name == _DPKG or name in _APK or name in _RELEASES:
            pieces: list[bytes] = []
            reader.write_to(lambda piece: pieces.append(bytes(piece)))
            self.files[name] = b"".join(pieces)

    def link(self, name: bytes, target: bytes, reader: TarReader) -> None:
        """Leave it: a database is a file of its own."""

    @property
    def complete_kinds(self) -> frozenset[str]:
        """Return the kinds of packages that a whole list is there of, and no addition to one."""
        kinds = {"deb": (_DPKG,), "apk": _APK}
        return frozenset(k for k, names in kinds.items() if any(n in self.files for n in names))

    def packages(self) -> Iterator[PackageFacts]:
        """Yield what is installed."""
        distribution, release = self._release()
        texts = [self.files.get(_DPKG, b"")]
        texts += [data for name, data in self.files.items() if name.startswith(_DPKG_PARTS)]
        for stanza in (s for text in texts for s in re.split(rb"\n\n+", text.strip(b"\n"))):
            try:
                control = parse_control({"control": stanza})
            except ValueError:
                continue
            if control.fields.get("Status", "installed").split(" ")[-1] == "installed":
                yield control_package(control, distribution or "debian", release)
        for name in _APK:
            for stanza in self.files.get(name, b"").split(b"\n\n"):
                known = _apk_package(stanza, distribution or "alpine", release)
                if known is not None:
                    yield known

    def _release(self) -> tuple[str, str]:
        for name in _RELEASES:
            if name in self.files:
                text = self.files[name].decode("utf-8", "replace")
                said = dict(_RELEASE_LINE.findall(text))
                return said.get("ID", ""), said.get("VERSION_CODENAME") or said.get(
                    "VERSION_ID", ""
                )
        return "", ""


def _apk_package(stanza: bytes, distribution: str, release: str) -> PackageFacts | None:
    fields: Mapping[str, str] = {
        key: value
        for key, colon, value in (
            line.partition(":") for line in stanza.decode("utf-8", "replace").splitlines()
        )
        if colon
    }
    name, version = fields.get("P", ""), fields.get("V", "")
    if not _APK_NAME.fullmatch(name) or not _APK_NAME.fullmatch(version):
        return None
    return PackageFacts(
        kind="apk",
        distribution=distribution,
        name=name,
        version=version,
        architecture=fields.get("A", ""),
        release=release,
        supplier=fields.get("m", ""),
        homepage=fields.get("U", ""),
        summary=fields.get("T", ""),
        license=fields.get("L", ""),
        source=f"built from {fields['o']}" if fields.get("o") else "",
    )


def _read_databases(store: Store, name: str, layers: Sequence[Descriptor]) -> _PackageDatabases:
    databases = _PackageDatabases()

    def stored(layer: Descriptor) -> StoredLayer:
        return StoredLayer(layer.digest, layer.size, lambda: store.open(layer, name))

    flatten_layers(name, [stored(layer) for layer in layers], databases)
    return databases


def _merge_packages(
    carried: Sequence[dict[str, Any]], databases: _PackageDatabases
) -> list[dict[str, Any]]:
    """Return what is told of all packages, each once; a whole list goes before what bases tell."""
    told = {known.purl: describe_package(known) for known in databases.packages()}
    kept = [
        p for p in carried if not any(f"pkg:{k}/" in _purl(p) for k in databases.complete_kinds)
    ]
    same = {_without_distro(purl) for purl in told}
    both = [*(p for p in kept if _without_distro(_purl(p)) not in same), *told.values()]
    seen: dict[str, int] = {}
    found = []
    for package in sorted(both, key=lambda p: (str(p.get("name", "")), _purl(p), p["SPDXID"])):
        number = seen[package["SPDXID"]] = seen.get(package["SPDXID"], 0) + 1
        more = {"SPDXID": f"{package['SPDXID']}-{number}"} if number > 1 else {}
        found.append({**package, **more})
    return found


def _purl(package: Mapping[str, Any]) -> str:
    references = package.get("externalRefs")
    for one in references if isinstance(references, list) else ():
        if isinstance(one, dict) and one.get("referenceType") == "purl":
            return str(one.get("referenceLocator", ""))
    return ""


def _without_distro(purl: str) -> str:
    """Return a package URL without the release, which not everybody knows."""
    return purl.split("&distro=", 1)[0] or "none"
