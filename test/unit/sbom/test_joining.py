"""The SBOM of a system: joined from what images carry, the same bytes every time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assembler.codes import rootfs
from assembler.oci import media_types
from assembler.oci.manifest import Descriptor, Manifest
from assembler.oci.platform import Platform
from assembler.oci.reference import Reference
from assembler.oci.store import Store, find_image, read_attestations
from assembler.sbom import AttestationSource, SystemSbom, join_sboms
from assembler.sbom.attachments import LARGEST_SBOM
from support.pictures import Painter

if TYPE_CHECKING:
    from assembler.oci.image import Image

TIME = 1492533000
CASE = Path(__file__).parent.parent.parent / "conformance" / "open" / "246-sbom"


class Images:
    """Images with documents attached, in a store of their own."""

    def __init__(self, root: Path) -> None:
        self.store = Store(root)
        self.painter = Painter(self.store)
        self.attached: dict[str, list[Descriptor]] = {}

    def image(self, name: str, *documents: object) -> Image:
        reference = Reference.parse(name)
        self.store.put(reference, self.painter.image({"a": name.encode()}))
        image = find_image(self.store, reference, Platform())
        self.attached[image.digest] = [self.layer(d) for d in documents]
        return image

    def layer(self, document: object) -> Descriptor:
        if isinstance(document, Descriptor):
            return document
        data = document if isinstance(document, bytes) else statement(document)
        blob = self.store.add_bytes(data, media_types.IN_TOTO)
        note = {media_types.PREDICATE_TYPE: media_types.SPDX_DOCUMENT}
        return Descriptor(media_types.IN_TOTO, blob.digest, blob.size, None, note)

    def join(self, *laid_out: tuple[Image, str], created: int = TIME) -> SystemSbom:
        def manifests(image: Image) -> tuple[Manifest, ...]:
            config = image.manifest.config
            layers = tuple(self.attached[image.digest])
            return (Manifest(media_types.OCI_MANIFEST, config, layers),)

        return join_sboms(laid_out, AttestationSource(manifests, self.store.open), created)


@pytest.fixture
def shelf(tmp_path: Path) -> Images:
    return Images(tmp_path)


def statement(document: object) -> bytes:
    return json.dumps({"_type": "x", "predicate": document}).encode()


def spdx(**members: Any) -> dict[str, Any]:
    return {"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", **members}


def package(name: str, **members: Any) -> dict[str, Any]:
    return {"name": name, "SPDXID": f"SPDXRef-{name}", **members}


def read(joined: SystemSbom) -> dict[str, Any]:
    document = json.loads(joined.content)
    assert isinstance(document, dict)
    return document


def test_the_recorded_case(conformance_layout: Path) -> None:
    store = Store(conformance_layout)
    library = AttestationSource(lambda image: read_attestations(store, image), store.open)
    names = (("spdx-one", ""), ("spdx-two", "containers/services/s/lower/"), ("nocmd", "x/"))
    laid_out = [
        (find_image(store, Reference.parse(f"example/{n}:1"), Platform()), p) for n, p in names
    ]
    mine = read(join_sboms(laid_out, library, TIME))
    (line,) = [
        line for line in (CASE / "expected.jsonl").read_text().splitlines() if "sbom.spdx" in line
    ]
    theirs = json.loads(line)["json"]
    for file in theirs["files"]:
        assert file.pop("copyrightText") == ""
    assert mine["creationInfo"]["created"] == theirs["creationInfo"]["created"]
    # Who made it, and its name, are our own.
    own = ("creationInfo", "documentNamespace")
    assert {k: v for k, v in mine.items() if k not in own} == {
        k: v for k, v in theirs.items() if k not in own
    }


def test_an_sbom_of_nothing(shelf: Images) -> None:
    document = read(shelf.join((shelf.image("x/a:1"), "")))
    assert document["spdxVersion"] == "SPDX-2.3"
    assert document["creationInfo"]["created"] == "2017-04-18T16:30:00Z"
    assert "packages" not in document


def test_the_same_images_make_the_same_bytes_and_others_another_name(shelf: Images) -> None:
    one = shelf.image("x/a:1", spdx(packages=[package("p")]))
    two = shelf.image("x/b:1", spdx(packages=[package("q")]))
    first, again = shelf.join((one, "")), shelf.join((one, ""))
    assert first.content == again.content
    names = {
        read(j)["documentNamespace"]
        for j in (first, shelf.join((two, "")), shelf.join((one, ""), created=0))
    }
    assert len(names) == 3
    assert all(n.startswith("https://spdx.org/spdxdocs/sbom-") for n in names)


def test_colliding_names_are_renamed_with_their_references(shelf: Images) -> None:
    def document(text: str) -> dict[str, Any]:
        return spdx(
            packages=[package("p", licenseDeclared="LicenseRef-1 AND MIT", hasFiles=["SPDXRef-f"])],
            files=[
                {"SPDXID": "SPDXRef-f", "fileName": "./f", "licenseInfoInFiles": ["LicenseRef-1"]}
            ],
            hasExtractedLicensingInfos=[{"licenseId": "LicenseRef-1", "extractedText": text}],
            relationships=[
                {
                    "spdxElementId": "SPDXRef-DOCUMENT",
                    "relatedSpdxElement": "SPDXRef-p",
                    "relationshipType": "DESCRIBES",
                }
            ],
        )

    one, two = shelf.image("x/a:1", document("A")), shelf.image("x/b:1", document("B"))
    whole = read(shelf.join((one, ""), (two, "below/")))
    assert [p["SPDXID"] for p in whole["packages"]] == ["SPDXRef-p", "SPDXRef-p-2"]
    assert whole["packages"][1]["hasFiles"] == ["SPDXRef-f-2"]
    assert whole["packages"][1]["licenseDeclared"] == "LicenseRef-1-2 AND MIT"
    assert whole["files"][1]["licenseInfoInFiles"] == ["LicenseRef-1-2"]
    assert [f["fileName"] for f in whole["files"]] == ["./f", "below/f"]
    licences = [i["licenseId"] for i in whole["hasExtractedLicensingInfos"]]
    assert licences == ["LicenseRef-1", "LicenseRef-1-2"]
    described = [r["relatedSpdxElement"] for r in whole["relationships"]]
    assert described == ["SPDXRef-p", "SPDXRef-p-2"]


def test_a_licence_in_the_same_words_is_the_same(shelf: Images) -> None:
    licence = {"licenseId": "LicenseRef-1", "extractedText": "A"}
    one = shelf.image("x/a:1", spdx(hasExtractedLicensingInfos=[licence]))
    two = shelf.image("x/b:1", spdx(hasExtractedLicensingInfos=[licence], name="other"))
    whole = read(shelf.join((one, ""), (two, "")))
    assert whole["hasExtractedLicensingInfos"] == [licence]


def test_an_image_used_twice_at_one_path_counts_once(shelf: Images) -> None:
    one = shelf.image("x/a:1", spdx(packages=[package("p")]))
    whole = read(shelf.join((one, ""), (one, ""), (one, "below/")))
    assert [p["SPDXID"] for p in whole["packages"]] == ["SPDXRef-p", "SPDXRef-p-2"]


def test_the_older_describes_field(shelf: Images) -> None:
    one = shelf.image("x/a:1", spdx(packages=[package("p")], documentDescribes=["SPDXRef-p", 5]))
    (relation,) = read(shelf.join((one, "")))["relationships"]
    assert relation["relatedSpdxElement"] == "SPDXRef-p"


def test_names_of_files_get_the_prefix_of_their_image(shelf: Images) -> None:
    files = [
        {"SPDXID": f"SPDXRef-{n}", "fileName": name}
        for n, name in enumerate(("../../etc", "/a/./b"))
    ]
    whole = read(shelf.join((shelf.image("x/a:1", spdx(files=files)), "p/q/")))
    assert [f["fileName"] for f in whole["files"]] == ["p/q/etc", "p/q/a/b"]


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (b"{", "it is not JSON"),
        (b"[]", "it holds no document"),
        (statement(5), "it holds no document"),
        (statement({"spdxVersion": "SPDX-3.0"}), "it is not SPDX 2 but 'SPDX-3.0'"),
        (statement(spdx(packages=5)), "packages is not a list of maps"),
        (statement(spdx(files=[{}])), "something in files has no SPDXID"),
        (b'{"predicate":' + b"[" * 5000 + b"]" * 5000 + b"}", "it is n"),
        (
            statement(
                spdx(
                    packages=[{"SPDXID": "a", "x": [[[[[]]]]] * 2}],
                    x=json.loads("[" * 60 + "]" * 60),
                )
            ),
            "it is nested too deeply",
        ),
    ],
)
def test_an_invalid_document_is_omitted_with_a_comment(
    shelf: Images, document: bytes, why: str
) -> None:
    good = shelf.image("x/a:1", spdx(packages=[package("p")]))
    joined = shelf.join((shelf.image("x/b:1", document), ""), (good, ""))
    (warning,) = joined.warnings
    assert warning.code == rootfs.BAD_SBOM
    assert f"docker.io/x/b:1 is left out: {why}" in warning.message
    whole = read(joined)
    assert warning.message in whole["comment"]
    assert [p["name"] for p in whole["packages"]] == ["p"]


def test_sizes_are_bounded_and_digests_checked(shelf: Images) -> None:
    note = {media_types.PREDICATE_TYPE: media_types.SPDX_DOCUMENT}
    huge = Descriptor(media_types.IN_TOTO, "sha256:" + "0" * 64, LARGEST_SBOM + 1, None, note)
    gone = Descriptor(media_types.IN_TOTO, "sha256:" + "0" * 64, 10, None, note)
    changed = shelf.layer(spdx())
    shelf.store.path(changed.digest).chmod(0o644)
    shelf.store.path(changed.digest).write_bytes(b"x" * changed.size)
    image = shelf.image("x/a:1", huge, gone, changed)
    messages = [w.message.partition(": ")[2] for w in shelf.join((image, "")).warnings]
    assert len(messages) == 3
    assert messages[0] == "it is larger than 64 MiB"
    assert messages[2] == "its content does not match its digest"


_KEYS = st.sampled_from(
    [
        "SPDXID",
        "packages",
        "files",
        "relationships",
        "licenseId",
        "fileName",
        "hasExtractedLicensingInfos",
        "externalDocumentRefs",
        "externalDocumentId",
        "documentDescribes",
        "creationInfo",
    ]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(members=st.dictionaries(_KEYS, _JSON, max_size=6))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_no_document_breaks_the_joining(
    members: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    shelf = Images(tmp_path_factory.mktemp("shelf"))
    image = shelf.image("x/a:1", {"spdxVersion": "SPDX-2.2", **members})
    assert read(shelf.join((image, "p/")))["spdxVersion"] == "SPDX-2.3"
