"""SBOMs: one SPDX document for a system, and SPDX documents of images.

join_sboms(laid_out, source, created)    the documents of images -> SystemSbom
AttestationSource                        reads attestations and blobs, such as a store
DEFAULT_NAME                             the name of the document in a system
LARGEST_SBOM                             the limit for documents of images

describe_package(facts)                  PackageFacts -> a package in SPDX form
image_document(name, digest, created, packages)   the document of an image
spdx_identifier(name)                    a name as an SPDX identifier
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.sbom.attachments import LARGEST_SBOM, AttestationSource
    from assembler.sbom.package_documents import (
        PackageFacts,
        describe_package,
        image_document,
        spdx_identifier,
    )
    from assembler.sbom.system_sbom import DEFAULT_NAME, SystemSbom, join_sboms

_HOMES = {
    "AttestationSource": "attachments",
    "DEFAULT_NAME": "system_sbom",
    "LARGEST_SBOM": "attachments",
    "PackageFacts": "package_documents",
    "SystemSbom": "system_sbom",
    "describe_package": "package_documents",
    "image_document": "package_documents",
    "join_sboms": "system_sbom",
    "spdx_identifier": "package_documents",
}

__all__ = [
    "DEFAULT_NAME",
    "LARGEST_SBOM",
    "AttestationSource",
    "PackageFacts",
    "SystemSbom",
    "describe_package",
    "image_document",
    "join_sboms",
    "spdx_identifier",
]

if not TYPE_CHECKING:  # Else a type checker would take any name for granted.
    __getattr__ = front(__name__, _HOMES)
