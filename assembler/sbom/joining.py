"""Joining SPDX documents into the one of a system, the same bytes for the same images."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
import uuid
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from assembler.diagnostics import Diagnostic
from assembler.sbom.attached import LISTS, Library, documents
from assembler.version import __version__

if TYPE_CHECKING:
    from assembler.oci import Image

DEFAULT_NAME = "sbom.spdx.json"
# SPDX gives this prefix to those who have no place of their own for their documents.
_NAMESPACE = "https://spdx.org/spdxdocs/sbom-"
_DOCUMENT = "SPDXRef-DOCUMENT"
_LICENSE = re.compile(r"LicenseRef-[A-Za-z0-9.-]+")
# What several documents may say in the same words.
_SHARED = ("hasExtractedLicensingInfos", "externalDocumentRefs")
_NAMES_OF_FILES = ("fileName", "packageFileName")


@dataclass(frozen=True, slots=True)
class Joined:
    """The joined document, and warnings about what could not be joined into it."""

    content: bytes
    warnings: tuple[Diagnostic, ...] = ()


def join(laid_out: Iterable[tuple[Image, str]], library: Library, created: int) -> Joined:
    """Join what is attached to the images; names of files get the prefix their image has.

    Names that two documents give to different things are made different. `created` is in seconds
    since 1970.
    """
    whole = _Whole()
    warnings: list[Diagnostic] = []
    seen: set[tuple[str, str]] = set()
    for image, prefix in laid_out:
        for found in documents(image, library):
            if isinstance(found, Diagnostic):
                if found not in warnings:
                    warnings.append(found)
            elif (found.digest, prefix) not in seen:
                seen.add((found.digest, prefix))
                whole.add(found.document, prefix)
    return Joined(whole.rendered(created, warnings), tuple(warnings))


class _Whole:
    """The document so far."""

    def __init__(self) -> None:
        self._lists: dict[str, list[Any]] = {name: [] for name in LISTS}
        self._ids = {_DOCUMENT}
        self._licenses: dict[str, object] = {}
        self._foreign: dict[str, object] = {}
        self._license_list = ""

    def add(self, document: Mapping[str, Any], prefix: str) -> None:
        """Take over all that a document says, below the prefix."""
        names = _Names(
            self._new_ids(document),
            self._new_keys(document, "hasExtractedLicensingInfos", "licenseId", self._licenses),
            self._new_keys(document, "externalDocumentRefs", "externalDocumentId", self._foreign),
        )
        for name in LISTS:
            for entry in document.get(name) or ():
                taken = names.applied(entry)
                for key in _NAMES_OF_FILES:
                    if prefix and isinstance(taken.get(key), str):
                        taken[key] = _below(prefix, taken[key])
                if name not in _SHARED or taken not in self._lists[name]:
                    self._lists[name].append(taken)
        self._describe(document, names)
        info = document.get("creationInfo")
        version = info.get("licenseListVersion") if isinstance(info, dict) else None
        if isinstance(version, str):
            self._license_list = max(self._license_list, version, key=_version)

    def _new_ids(self, document: Mapping[str, Any]) -> dict[str, str]:
        """Return new names for those of the document's elements whose names are taken."""
        listed = [
            entry["SPDXID"]
            for name in ("packages", "files", "snippets")
            for entry in document.get(name) or ()
        ]
        own = dict.fromkeys(listed)
        renamed: dict[str, str] = {}
        for name in own:
            if name in self._ids:
                renamed[name] = _free(name, self._ids, own)
            self._ids.add(renamed.get(name, name))
        return renamed

    @staticmethod
    def _new_keys(
        document: Mapping[str, Any], field: str, key: str, taken: dict[str, object]
    ) -> dict[str, str]:
        """Return new names for what another document means something else by."""
        renamed: dict[str, str] = {}
        for entry in document.get(field) or ():
            name = entry.get(key)
            if not isinstance(name, str):
                continue
            meaning = {k: v for k, v in entry.items() if k != key}
            while name in taken and taken[name] != meaning:
                name = _free(name, taken)
            taken[name] = meaning
            if name != entry[key]:
                renamed[entry[key]] = name
        return renamed

    def _describe(self, document: Mapping[str, Any], names: _Names) -> None:
        """Turn the old way to say what a document describes into relationships."""
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

    def rendered(self, created: int, left_out: Iterable[Diagnostic]) -> bytes:
        """Return the document; its name is made of its content."""
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
        # Of a UUID only the form is wanted: version 8 leaves the content to its maker.
        name = uuid.UUID(int=int.from_bytes(digest[:16]) & ~(0xF << 76) | 8 << 76)
        document["documentNamespace"] = f"{_NAMESPACE}{name}"
        return _bytes(document)


@dataclass(frozen=True, slots=True)
class _Names:
    """New names for things of one document."""

    ids: Mapping[str, str]
    licenses: Mapping[str, str]
    foreign: Mapping[str, str]

    def applied(self, entry: Mapping[str, Any]) -> dict[str, Any]:
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


def _below(prefix: str, name: str) -> str:
    """Return the name of a file of an image as it is in the system."""
    return prefix + posixpath.normpath(f"/{name}").lstrip("/")


def _free(name: str, *taken: Container[str]) -> str:
    """Return a name like this one that nothing has yet."""
    number = 2
    while any(f"{name}-{number}" in names for names in taken):
        number += 1
    return f"{name}-{number}"


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"[0-9]{1,9}", text))


def _bytes(document: Mapping[str, Any]) -> bytes:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")
