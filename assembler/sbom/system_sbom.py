"""Merging SPDX documents into one reproducible document for the whole system."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from assembler.diagnostics import Diagnostic
from assembler.sbom.attachments import LISTS, AttestationSource, attached_documents
from assembler.version import __version__

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from assembler.oci import Image

DEFAULT_NAME = "sbom.spdx.json"
# SPDX offers this prefix for documents without a site of their own.
_NAMESPACE = "https://spdx.org/spdxdocs/sbom-"
_DOCUMENT = "SPDXRef-DOCUMENT"
_LICENSE = re.compile(r"LicenseRef-[A-Za-z0-9.-]+")
# Lists in which equal entries of several documents are merged.
_SHARED = ("hasExtractedLicensingInfos", "externalDocumentRefs")
_NAMES_OF_FILES = ("fileName", "packageFileName")


@dataclass(frozen=True, slots=True)
class SystemSbom:
    """The joined document, and warnings about documents left out."""

    content: bytes
    warnings: tuple[Diagnostic, ...] = ()


def join_sboms(
    laid_out: Iterable[tuple[Image, str]], library: AttestationSource, created: int
) -> SystemSbom:
    """Join the documents of the images; file names get the prefix of their image.

    Colliding identifiers get new names. `created` is in seconds since 1970.
    """
    whole = _DocumentBuilder()
    warnings: list[Diagnostic] = []
    seen: set[tuple[str, str]] = set()
    for image, prefix in laid_out:
        for found in attached_documents(image, library):
            if isinstance(found, Diagnostic):
                if found not in warnings:
                    warnings.append(found)
            elif (found.digest, prefix) not in seen:
                seen.add((found.digest, prefix))
                whole.add(found.document, prefix)
    return SystemSbom(whole.render(created, warnings), tuple(warnings))


class _DocumentBuilder:
    """Builds the joined document."""

    def __init__(self) -> None:
        self._lists: dict[str, list[Any]] = {name: [] for name in LISTS}
        self._ids = {_DOCUMENT}
        self._licenses: dict[str, object] = {}
        self._external_documents: dict[str, object] = {}
        self._license_list = ""

    def add(self, document: Mapping[str, Any], prefix: str) -> None:
        """Add the content of a document below the prefix."""
        names = _NameMap(
            self._new_ids(document),
            self._new_keys(document, "hasExtractedLicensingInfos", "licenseId", self._licenses),
            self._new_keys(
                document, "externalDocumentRefs", "externalDocumentId", self._external_documents
            ),
        )
        for name in LISTS:
            for entry in document.get(name) or ():
                taken = names.apply(entry)
                for key in _NAMES_OF_FILES:
                    if prefix and isinstance(taken.get(key), str):
                        taken[key] = _path_in_system(prefix, taken[key])
                if name not in _SHARED or taken not in self._lists[name]:
                    self._lists[name].append(taken)
        self._describe(document, names)
        info = document.get("creationInfo")
        version = info.get("licenseListVersion") if isinstance(info, dict) else None
        if isinstance(version, str):
            self._license_list = max(self._license_list, version, key=_version)

    def _new_ids(self, document: Mapping[str, Any]) -> dict[str, str]:
        """Return new names for elements of the document with taken names."""
        listed = [
            entry["SPDXID"]
            for name in ("packages", "files", "snippets")
            for entry in document.get(name) or ()
        ]
        own = dict.fromkeys(listed)
        renamed: dict[str, str] = {}
        for name in own:
            if name in self._ids:
                renamed[name] = _unused_name(name, self._ids, own)
            self._ids.add(renamed.get(name, name))
        return renamed

    @staticmethod
    def _new_keys(
        document: Mapping[str, Any], field: str, key: str, taken: dict[str, object]
    ) -> dict[str, str]:
        """Return new names for keys that another document uses with another meaning."""
        renamed: dict[str, str] = {}
        for entry in document.get(field) or ():
            name = entry.get(key)
            if not isinstance(name, str):
                continue
            meaning = {k: v for k, v in entry.items() if k != key}
            while name in taken and taken[name] != meaning:
                name = _unused_name(name, taken)
            taken[name] = meaning
            if name != entry[key]:
                renamed[entry[key]] = name
        return renamed

    def _describe(self, document: Mapping[str, Any], names: _NameMap) -> None:
        """Turn the deprecated `documentDescribes` into relationships."""
        described = document.get("documentDescribes")
        for name in described if isinstance(described, list) else ():
            if isinstance(name, str):
                relation = {
                    "spdxElementId": _DOCUMENT,
                    "relatedSpdxElement": names.ids.get(name, name),
                    "relationshipType": "DESCRIBES",
                }
                if relation not in self._lists["relationships"]:
                    self._lists["relationships"].append(relation)

    def render(self, created: int, left_out: Iterable[Diagnostic]) -> bytes:
        """Return the document; its namespace is derived from its content."""
        info: dict[str, Any] = {
            "created": datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": [f"Tool: dolmen-{__version__}"],
        }
        if self._license_list:
            info["licenseListVersion"] = self._license_list
        document: dict[str, Any] = {
            "spdxVersion": "SPDX-2.3",
            "dataLicense": "CC0-1.0",
            "SPDXID": _DOCUMENT,
            "name": "sbom",
            "documentNamespace": "",
            "creationInfo": info,
            **{name: entries for name, entries in self._lists.items() if entries},
        }
        comment = " ".join(f"{warning.message}." for warning in left_out)
        if comment:
            document["comment"] = comment
        digest = hashlib.sha256(_bytes(document)).digest()
        # UUID version 8 allows any content.
        name = uuid.UUID(int=int.from_bytes(digest[:16]) & ~(0xF << 76) | 8 << 76)
        document["documentNamespace"] = f"{_NAMESPACE}{name}"
        return _bytes(document)


@dataclass(frozen=True, slots=True)
class _NameMap:
    """New names for identifiers of one document."""

    ids: Mapping[str, str]
    licenses: Mapping[str, str]
    foreign: Mapping[str, str]

    def apply(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Return a copy of the entry with the new names."""
        return {key: self._value(key, value) for key, value in entry.items()}

    def _value(self, key: str, value: object) -> object:
        if isinstance(value, str):
            return self._text(key, value)
        if isinstance(value, list):
            return [self._value(key, v) for v in value]
        if isinstance(value, dict):
            return {k: self._value(k, v) for k, v in value.items()}
        return value

    def _text(self, key: str, text: str) -> str:
        if text.startswith("SPDXRef-"):
            return self.ids.get(text, text)
        if self.foreign and text.startswith("DocumentRef-"):
            name, colon, rest = text.partition(":")
            return self.foreign.get(name, name) + colon + rest
        if self.licenses and key.startswith("license"):
            return _LICENSE.sub(lambda m: self.licenses.get(m[0], m[0]), text)
        return text


def _path_in_system(prefix: str, name: str) -> str:
    """Return the file name of an image as its path in the system."""
    return prefix + posixpath.normpath(f"/{name}").lstrip("/")


def _unused_name(name: str, *taken: Container[str]) -> str:
    """Return a similar name that is free."""
    number = 2
    while any(f"{name}-{number}" in names for names in taken):
        number += 1
    return f"{name}-{number}"


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"[0-9]{1,9}", text))


def _bytes(document: Mapping[str, Any]) -> bytes:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")
