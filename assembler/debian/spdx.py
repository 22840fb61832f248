"""The SPDX document of an image made of Debian packages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assembler.sbom import PackageFacts, describe_package, image_document

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.debian.control import ControlFile
    from assembler.debian.engine_protocol import PinnedPackage
    from assembler.debian.package_files import PackageFile


def recipe_document(
    name: str,
    digest: str,
    created: int,
    suite: str,
    contents: Sequence[tuple[PackageFile, PinnedPackage]],
) -> dict[str, Any]:
    """Return the SPDX document for an image; `digest` is that of its manifest."""
    ordered = sorted(contents, key=lambda pair: pair[0].control.name)
    packages = [
        _describe_package_file(package_file, package, suite) for package_file, package in ordered
    ]
    return image_document(name, digest, created, packages)


def control_package(control: ControlFile, distribution: str, release: str) -> PackageFacts:
    """Return the facts of a control file for SPDX."""
    return PackageFacts(
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


def _describe_package_file(
    package_file: PackageFile, package: PinnedPackage, suite: str
) -> dict[str, Any]:
    return {
        **describe_package(control_package(package_file.control, "debian", suite)),
        "packageFileName": package.path,
        "checksums": [{"algorithm": "SHA256", "checksumValue": package.sha256}],
    }
