"""SPDX documents of images: packages described, and put together into what is attested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from assembler.oci import format_timestamp

_NAMESPACE = "https://dolmen.invalid/spdx/"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a package of a distribution."""

    # As package URLs have it: deb or apk.
    kind: str
    distribution: str
    name: str
    version: str
    architecture: str
    # The release of the distribution, if it is known.
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


def document(
    name: str, digest: str, created: int, packages: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Return the document for an image; `digest` is that of its manifest."""
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        # Made of the image, so that the same image has the same document.
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


def described(known: Known) -> dict[str, Any]:
    """Return a package as documents have it."""
    found: dict[str, Any] = {
        "SPDXID": f"SPDXRef-Package-{known.kind}-{identifier(known.name)}",
        "name": known.name,
        "versionInfo": known.version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": known.purl,
            }
        ],
    }
    if known.source:
        found["sourceInfo"] = known.source
    if known.supplier:
        found["supplier"] = f"Organization: {known.supplier}"
    if known.homepage.startswith(("http://", "https://")):
        found["homepage"] = known.homepage
    if known.summary:
        found["summary"] = known.summary
    if known.license:
        found["licenseComments"] = f"the package says of its license: {known.license}"
    return found


def identifier(name: str) -> str:
    """Return a name as an SPDX identifier may have it: letters, digits, dots and dashes."""
    return "".join(c if c.isalnum() or c in ".-" else f"-{ord(c):x}-" for c in name)
