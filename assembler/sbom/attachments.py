"""The SPDX documents attached to images: untrusted attestations in their index."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from assembler.codes import rootfs
from assembler.diagnostics import Diagnostic, Severity
from assembler.errors import ImageError
from assembler.oci import IN_TOTO, PREDICATE_TYPE, SPDX_DOCUMENT, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from assembler.oci import Descriptor, Image, Manifest

# The largest known document has 20 MiB, for an image of one gigabyte.
LARGEST_SBOM = 64 << 20
_DEEPEST = 32
# The lists of a document that are copied, each a list of maps.
LISTS = (
    "packages",
    "files",
    "snippets",
    "hasExtractedLicensingInfos",
    "externalDocumentRefs",
    "relationships",
    "annotations",
)
_WITH_ID = ("packages", "files", "snippets")


@dataclass(frozen=True, slots=True)
class AttestationSource:
    """The source of attestations and blobs, such as a store."""

    attestations: Callable[[Image], Sequence[Manifest]]
    # Opens a blob; the text names it in errors.
    open: Callable[[Descriptor, str], IO[bytes]]


@dataclass(frozen=True, slots=True)
class AttachedDocument:
    """An SPDX document; the members in use are checked."""

    digest: str
    document: Mapping[str, Any]


def attached_documents(
    image: Image, library: AttestationSource
) -> Iterator[AttachedDocument | Diagnostic]:
    """Yield the documents of an image, and a warning for each unreadable one."""
    for manifest in library.attestations(image):
        for layer in manifest.layers:
            if (
                layer.media_type == IN_TOTO
                and layer.annotations.get(PREDICATE_TYPE) == SPDX_DOCUMENT
            ):
                yield _read_document(image, layer, library)


def _read_document(
    image: Image, layer: Descriptor, library: AttestationSource
) -> AttachedDocument | Diagnostic:
    what = f"the SBOM of {image.reference}"

    def unusable(why: str) -> Diagnostic:
        message = f"{what} is left out: {why}"
        return Diagnostic(rootfs.BAD_SBOM, message, severity=Severity.WARNING)

    if layer.size > LARGEST_SBOM:
        return unusable(f"it is larger than {LARGEST_SBOM >> 20} MiB")
    try:
        with library.open(layer, what) as file:
            data = file.read(layer.size + 1)
    except ImageError as error:
        return unusable(error.diagnostics[0].message)
    if len(data) != layer.size or digest_of(data) != layer.digest:
        return unusable("its content does not match its digest")
    try:
        statement = json.loads(data)
    except (ValueError, RecursionError):
        return unusable("it is not JSON")
    document = statement.get("predicate") if isinstance(statement, dict) else None
    why = _document_problem(document)
    if why or not isinstance(document, dict):
        return unusable(why)
    return AttachedDocument(layer.digest, document)


def _document_problem(document: object) -> str:
    """Return the mistake in the document, or the empty text."""
    if _is_nested_deeper(document, _DEEPEST):
        return "it is nested too deeply"
    if not isinstance(document, dict):
        return "it holds no document"
    version = document.get("spdxVersion")
    if not isinstance(version, str) or not version.startswith("SPDX-2."):
        return f"it is not SPDX 2 but {str(version)[:40]!r}"
    for name in LISTS:
        entries = document.get(name) or []
        if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            return f"{name} is not a list of maps"
        if name in _WITH_ID:
            for entry in entries:
                if not isinstance(entry.get("SPDXID"), str):
                    return f"something in {name} has no SPDXID"
    return ""


def _is_nested_deeper(value: object, levels: int) -> bool:
    """Tell whether maps and lists are nested deeper than `levels`."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return False
    return not levels or any(_is_nested_deeper(inner, levels - 1) for inner in value)
