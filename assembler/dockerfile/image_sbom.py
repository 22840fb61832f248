"""The SBOM of an image: packages from its databases, and from the SBOMs of its base image.

The SBOM of the base image is carried over, and only the layers above it are read. An image is not
trusted: entries of its databases that cannot be parsed are left out.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from assembler.debian import control_package, parse_control
from assembler.dockerfile.base_images import layer_blob
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
from assembler.sbom import PackageFacts, describe_package, image_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from assembler.oci import Descriptor, Image, Store, TarReader

_DPKG = b"var/lib/dpkg/status"
_DPKG_PARTS = b"var/lib/dpkg/status.d/"
_APK = (b"lib/apk/db/installed", b"usr/lib/apk/db/installed")
_RELEASES = (b"etc/os-release", b"usr/lib/os-release")
_MAX_DATABASE_SIZE = 64 << 20
_MAX_DOCUMENT_SIZE = 64 << 20
_RELEASE_LINE = re.compile(
    r'^(ID|VERSION_ID|VERSION_CODENAME)="?([A-Za-z0-9._-]+)"?$', re.MULTILINE
)
_APK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")


def attach_sbom(
    store: Store, image: WrittenImage, name: str, created: int, bases: Iterable[Image]
) -> WrittenImage:
    """Attach an SBOM to the image, unless it has one or no package is found in it."""
    manifest = parse_manifest(store.read(image.descriptor), name)
    if image.attestations or not isinstance(manifest, Manifest):
        return image
    base = _find_base(manifest, bases)
    inherited = _base_packages(store, base) if base is not None else []
    new_layers = (
        manifest.layers[len(base.manifest.layers) :] if base and inherited else manifest.layers
    )
    try:
        databases = _read_databases(store, name, new_layers)
    except LayerError:
        # The upper layers cannot be read without the lower ones.
        databases = _read_databases(store, name, manifest.layers)
    packages = _merge_packages(inherited, databases)
    if not packages:
        return image
    document = image_document(name, image.descriptor.digest, created, packages)
    added = add_attestation(store, name, image.descriptor, SPDX_DOCUMENT, document)
    return replace(image, attestations=(added,))


def _find_base(manifest: Manifest, bases: Iterable[Image]) -> Image | None:
    """Return the base image: the one whose layers are the longest prefix of the manifest's."""
    digests = [layer.digest for layer in manifest.layers]
    candidates = [
        base
        for base in bases
        if base.manifest.layers
        and [layer.digest for layer in base.manifest.layers] == digests[: len(base.manifest.layers)]
    ]
    return max(candidates, key=lambda base: len(base.manifest.layers), default=None)


def _base_packages(store: Store, base: Image) -> list[dict[str, Any]]:
    """Return the packages in the SBOMs of an image."""
    found: list[dict[str, Any]] = []
    for manifest in read_attestations(store, base):
        for layer in manifest.layers:
            if layer.annotations.get(PREDICATE_TYPE) != SPDX_DOCUMENT:
                continue
            if layer.media_type != IN_TOTO or layer.size > _MAX_DOCUMENT_SIZE:
                continue
            try:
                document = json.loads(store.read(layer))["predicate"]
                found += [p for p in document["packages"] if isinstance(p["SPDXID"], str)]
            except (DolmenError, ValueError, KeyError, TypeError, RecursionError):
                continue
    return found


@dataclass(slots=True)
class _PackageDatabases:
    """The package databases of an image."""

    files: dict[bytes, bytes] = field(default_factory=dict)

    def restart(self) -> None:
        self.files.clear()

    def add(self, name: bytes, reader: TarReader) -> None:
        if reader.kind != FILE or reader.size > _MAX_DATABASE_SIZE:
            return
        part = name.startswith(_DPKG_PARTS) and not name.endswith(b".md5sums")
        if part or name == _DPKG or name in _APK or name in _RELEASES:
            pieces: list[bytes] = []
            reader.write_to(lambda piece: pieces.append(bytes(piece)))
            self.files[name] = b"".join(pieces)

    def link(self, name: bytes, target: bytes, reader: TarReader) -> None:
        """Ignore it: a database is a regular file."""

    @property
    def complete_kinds(self) -> frozenset[str]:
        """Return the kinds of packages with a complete database, not only additions to one."""
        kinds = {"deb": (_DPKG,), "apk": _APK}
        return frozenset(k for k, names in kinds.items() if any(n in self.files for n in names))

    def packages(self) -> Iterator[PackageFacts]:
        """Yield the installed packages."""
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
                package = _apk_package(stanza, distribution or "alpine", release)
                if package is not None:
                    yield package

    def _release(self) -> tuple[str, str]:
        for name in _RELEASES:
            if name in self.files:
                text = self.files[name].decode("utf-8", "replace")
                fields = dict(_RELEASE_LINE.findall(text))
                release = fields.get("VERSION_CODENAME") or fields.get("VERSION_ID", "")
                return fields.get("ID", ""), release
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

    flatten_layers(name, [layer_blob(store, name, layer) for layer in layers], databases)
    return databases


def _merge_packages(
    inherited: Sequence[dict[str, Any]], databases: _PackageDatabases
) -> list[dict[str, Any]]:
    """Return all packages, each once; a complete database overrides inherited packages."""
    installed = {facts.purl: describe_package(facts) for facts in databases.packages()}
    kept = [
        p for p in inherited if not any(f"pkg:{k}/" in _purl(p) for k in databases.complete_kinds)
    ]
    known = {_without_distro(purl) for purl in installed}
    merged = [*(p for p in kept if _without_distro(_purl(p)) not in known), *installed.values()]
    seen: dict[str, int] = {}
    found = []
    for package in sorted(merged, key=lambda p: (str(p.get("name", "")), _purl(p), p["SPDXID"])):
        number = seen[package["SPDXID"]] = seen.get(package["SPDXID"], 0) + 1
        more = {"SPDXID": f"{package['SPDXID']}-{number}"} if number > 1 else {}
        found.append({**package, **more})
    return found


def _purl(package: Mapping[str, Any]) -> str:
    references = package.get("externalRefs")
    for reference in references if isinstance(references, list) else ():
        if isinstance(reference, dict) and reference.get("referenceType") == "purl":
            return str(reference.get("referenceLocator", ""))
    return ""


def _without_distro(purl: str) -> str:
    """Return a package URL without the release, which not every SBOM has."""
    return purl.split("&distro=", 1)[0] or "none"
