"""A user reads the SBOM of an image made by a Dockerfile: packages of its bases and its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from assembler.oci import media_types
from assembler.oci.image_writer import add_attestation, tag_images
from assembler.oci.store import read_attestations
from support.dockerfiles import AMD64, Kitchen

if TYPE_CHECKING:
    from pathlib import Path

BASE = "image: base\norg: example\narches: [amd64]\n"
STATUS = """\
Package: libc6
Status: install ok installed
Version: 2.41-12
Architecture: amd64
Maintainer: Somebody <s@example.com>
Homepage: https://example.com/libc
Description: the C library
 and more of it

Package: gone
Status: deinstall ok config-files
Version: 1
Architecture: amd64

Package: half
"""
APK = """\
C:Q1abc=
P:musl
V:1.2.5-r8
A:x86_64
T:the musl C library
U:https://musl.libc.org/
L:MIT
o:musl

P:../bad
V:1
"""


@pytest.fixture
def kitchen(tmp_path: Path) -> Kitchen:
    return Kitchen(tmp_path)


def attested_documents(kitchen: Kitchen, name: str = "example/app:h") -> dict[str, Any] | None:
    """Return the document of an image."""
    image = kitchen.image(name)
    documents = []
    for manifest in read_attestations(kitchen.store, image):
        (layer,) = manifest.layers
        assert layer.annotations[media_types.PREDICATE_TYPE] == media_types.SPDX_DOCUMENT
        statement = json.loads(kitchen.store.read(layer))
        subject = statement["subject"][0]
        assert "sha256:" + subject["digest"]["sha256"] == image.digest
        documents.append(statement["predicate"])
    assert len(documents) <= 1
    return documents[0] if documents else None


def purls(kitchen: Kitchen, name: str = "example/app:h") -> list[str]:
    document = attested_documents(kitchen, name)
    assert document is not None
    ids = [p["SPDXID"] for p in document["packages"]]
    assert len(set(ids)) == len(ids)
    assert [r["relatedSpdxElement"] for r in document["relationships"]] == ids
    found = [p["externalRefs"][0]["referenceLocator"] for p in document["packages"]]
    assert all(isinstance(purl, str) for purl in found)
    return found


def test_the_database_of_dpkg(kitchen: Kitchen) -> None:
    release = b'ID=debian\nVERSION_CODENAME="trixie"\n'
    files = {"root/var/lib/dpkg/status": STATUS.encode(), "root/etc/os-release": release}
    package = kitchen.package("FROM scratch\nCOPY root /\n", files)
    kitchen.build(package)
    assert purls(kitchen) == ["pkg:deb/debian/libc6@2.41-12?arch=amd64&distro=trixie"]
    document = attested_documents(kitchen)
    assert document is not None
    (libc,) = document["packages"]
    assert libc["homepage"] == "https://example.com/libc"
    assert libc["summary"] == "the C library"
    assert document["name"] == "docker.io/example/app:h"


def test_the_database_of_apk(kitchen: Kitchen) -> None:
    files = {
        "root/lib/apk/db/installed": APK.encode(),
        "root/usr/lib/os-release": b"ID=alpine\nVERSION_ID=3.22.1\n",
    }
    kitchen.build(kitchen.package("FROM scratch\nCOPY root /\n", files))
    assert purls(kitchen) == ["pkg:apk/alpine/musl@1.2.5-r8?arch=x86_64&distro=3.22.1"]


def test_the_sbom_of_a_base_image_is_included(kitchen: Kitchen) -> None:
    files = {"root/var/lib/dpkg/status.d/libc6": STATUS.split("\n\n", maxsplit=1)[0].encode()}
    base = kitchen.package("FROM scratch\nCOPY root /\n", files, BASE, "base")
    kitchen.build(base)
    more = {"root/var/lib/dpkg/status.d/tool": b"Package: tool\nVersion: 1\nArchitecture: all\n"}
    middle = kitchen.package(
        "FROM example/base:h\nCOPY root /\n", more, BASE.replace("base", "middle"), "middle"
    )
    kitchen.build(middle)
    both = ["pkg:deb/debian/libc6@2.41-12?arch=amd64", "pkg:deb/debian/tool@1?arch=all"]
    assert purls(kitchen, "example/middle:h") == both
    # A stage on a stage has the same base; what is copied from another image has none.
    app = kitchen.package(
        "FROM example/middle:h AS one\nFROM one\nCOPY --from=example/base:h /var /srv\n"
    )
    kitchen.build(app)
    assert purls(kitchen) == both
    # A whole list says more than what a base told.
    (app / "status").write_bytes(STATUS.replace("2.41", "2.42").encode())
    (app / "Dockerfile").write_text("FROM example/middle:h\nCOPY status /var/lib/dpkg/status\n")
    kitchen.build(app, hash="new")
    assert purls(kitchen, "example/app:new") == ["pkg:deb/debian/libc6@2.42-12?arch=amd64"]


def test_the_sbom_of_a_base_image_overrides_the_scan(kitchen: Kitchen) -> None:
    files = {"root/var/lib/dpkg/status.d/libc6": STATUS.split("\n\n", maxsplit=1)[0].encode()}
    base = kitchen.package("FROM scratch\nCOPY root /\n", files, BASE, "base")
    kitchen.build(base)
    image = kitchen.image("example/base:h")
    statement = attested_documents(kitchen, "example/base:h")
    assert statement is not None
    statement["packages"][0] |= {"licenseDeclared": "LGPL-2.1", "SPDXID": "SPDXRef-mine"}
    statement["packages"].append({"SPDXID": "SPDXRef-go", "name": "stdlib"})
    added = add_attestation(
        kitchen.store, "base", image.descriptor, media_types.SPDX_DOCUMENT, statement
    )
    from dataclasses import replace

    from assembler.oci.image_writer import WrittenImage

    made = WrittenImage(replace(image.descriptor, platform=AMD64), (added,))
    tag_images(kitchen.store, ["docker.io/example/base:h"], [made])
    kitchen.build(kitchen.package("FROM example/base:h\nCOPY x /\n", {"x": b""}))
    document = attested_documents(kitchen)
    assert document is not None
    assert [p["SPDXID"] for p in document["packages"]] == ["SPDXRef-mine", "SPDXRef-go"]
    assert document["packages"][0]["licenseDeclared"] == "LGPL-2.1"


def test_no_sbom_without_packages(kitchen: Kitchen) -> None:
    kitchen.build(kitchen.package("FROM scratch\nCOPY x /\n", {"x": b"1"}))
    assert attested_documents(kitchen) is None


@pytest.mark.parametrize("status", [b"\xff\xfe", b"", b"Package: x\n", b"a\n\n\n\nb", b":" * 99])
def test_databases_that_are_broken(kitchen: Kitchen, status: bytes) -> None:
    files = {"status": status, "installed": status}
    text = "FROM scratch\nCOPY status /var/lib/dpkg/status\nCOPY installed /lib/apk/db/installed\n"
    kitchen.build(kitchen.package(text, files))
    assert attested_documents(kitchen) is None
