"""The SPDX document of an image made of Debian packages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assembler.sbom import package_documents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.debian.control import Control
    from assembler.debian.engine import Chosen
    from assembler.debian.layer import Ingredient


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
    return package_documents.document(name, digest, created, packages)


def known(control: Control, distribution: str, release: str) -> package_documents.Known:
    """Return what a control file says of its package."""
    return package_documents.Known(
        kind="deb",
        distribution=distribution,
        name=control.name,
        version=control.version,
        architecture=control.architecture,
        release=release,
        supplier=control.fields.get("Maintainer", ""),
        homepage=control.fields.get("Homepage", ""),
        summary=control.fields.get("Description", "").split("\n", 1)[0],
        source=f"built from the Debian source package {control.source}",
    )


def _package(ingredient: Ingredient, chosen: Chosen, suite: str) -> dict[str, Any]:
    return {
        **package_documents.described(known(ingredient.control, "debian", suite)),
        "packageFileName": chosen.path,
        "checksums": [{"algorithm": "SHA256", "checksumValue": chosen.sha256}],
    }
