"""SPDX documents of images: the packages in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from assembler.oci import format_timestamp

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAMESPACE = "https://dolmen.invalid/spdx/"


@dataclass(frozen=True, slots=True)
class PackageFacts:
    """The facts about a package of a distribution."""

    # The type in package URLs: deb or apk.
    kind: str
    distribution: str
    name: str
    version: str
    architecture: str
    # The release of the distribution, if known.
    release: str = ""
    supplier: str = ""
    homepage: str = ""
    summary: str = ""
    license: str = ""
    source: str = ""

    @property
    def purl(self) -> str:
        """Return the package URL."""
        version = quote(self.version, safe=":~.-_")
        of = f"&distro={quote(self.release, safe='')}" if self.release else ""
        return (
            f"pkg:{self.kind}/{self.distribution}/{quote(self.name, safe='.-')}@{version}"
            f"?arch={self.architecture}{of}"
        )


def image_document(
    name: str, digest: str, created: int, packages: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Return the document of an image; `digest` is that of its manifest."""
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        # Derived from the image, so that the same image has the same document.
        "documentNamespace": _NAMESPACE + digest.replace(":", "-"),
        "creationInfo": {"created": format_timestamp(created), "creators": ["Tool: dolmen"]},
        "packages": list(packages),
        "relationships": [
            {
                "spdxElementId": "SPDXRef-DOCUMENT",
                "relationshipType": "DESCRIBES",
                "relatedSpdxElement": package["SPDXID"],
            }
            for package in packages
        ],
    }


def describe_package(facts: PackageFacts) -> dict[str, Any]:
    """Return a package in SPDX form."""
    package: dict[str, Any] = {
        "SPDXID": f"SPDXRef-Package-{facts.kind}-{spdx_identifier(facts.name)}",
        "name": facts.name,
        "versionInfo": facts.version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": facts.purl,
            }
        ],
    }
    if facts.source:
        package["sourceInfo"] = facts.source
    if facts.supplier:
        package["supplier"] = f"Organization: {facts.supplier}"
    if facts.homepage.startswith(("http://", "https://")):
        package["homepage"] = facts.homepage
    if facts.summary:
        package["summary"] = facts.summary
    if facts.license:
        package["licenseComments"] = f"the package says of its license: {facts.license}"
    return package


def spdx_identifier(name: str) -> str:
    """Return a name as an SPDX identifier: letters, digits, dots and dashes."""
    return "".join(c if c.isalnum() or c in ".-" else f"-{ord(c):x}-" for c in name)
