"""The SPDX document of an image made of Debian packages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from assembler.packages.images import timestamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.packages.debs.engine import Chosen
    from assembler.packages.debs.layer import Ingredient

_NAMESPACE = "https://dolmen.invalid/spdx/"


def document(
    name: str,
    digest: str,
    created: int,
    suite: str,
    contents: Sequence[tuple[Ingredient, Chosen]],
) -> dict[str, Any]:
    """Return the document for an image; `digest` is that of its manifest."""
    found = sorted(contents, key=lambda pair: pair[0].control.name)
    packages = [_package(ingredient, chosen, suite) for ingredient, chosen in found]
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        # Made of the image, so that the same image has the same document.
        "documentNamespace": _NAMESPACE + digest.replace(":", "-"),
        "creationInfo": {"created": timestamp(created), "creators": ["Tool: dolmen"]},
        "packages": packages,
        "relationships": [
            {
                "spdxElementId": "SPDXRef-DOCUMENT",
                "relationshipType": "DESCRIBES",
                "relatedSpdxElement": package["SPDXID"],
            }
            for package in packages
        ],
    }


def _package(ingredient: Ingredient, chosen: Chosen, suite: str) -> dict[str, Any]:
    control = ingredient.control
    version = quote(control.version, safe=":~.-_")
    purl = (
        f"pkg:deb/debian/{quote(control.name, safe='.-')}@{version}"
        f"?arch={control.architecture}&distro={quote(suite, safe='')}"
    )
    found: dict[str, Any] = {
        "SPDXID": f"SPDXRef-Package-deb-{_identifier(control.name)}",
        "name": control.name,
        "versionInfo": control.version,
        "packageFileName": chosen.path,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "checksums": [{"algorithm": "SHA256", "checksumValue": chosen.sha256}],
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "sourceInfo": f"built from the Debian source package {control.source}",
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": purl,
            }
        ],
    }
    if "Maintainer" in control.fields:
        found["supplier"] = f"Organization: {control.fields['Maintainer']}"
    if control.fields.get("Homepage", "").startswith(("http://", "https://")):
        found["homepage"] = control.fields["Homepage"]
    summary = control.fields.get("Description", "").split("\n", 1)[0]
    if summary:
        found["summary"] = summary
    return found


def _identifier(name: str) -> str:
    """Return a name as an SPDX identifier may have it: letters, digits, dots and dashes."""
    return "".join(c if c.isalnum() or c in ".-" else f"-{ord(c):x}-" for c in name)
