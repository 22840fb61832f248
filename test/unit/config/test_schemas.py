"""The schemas: complete, explained, and the same as the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from assembler.config import model
from assembler.config.conversion import yaml_fields
from assembler.config.schemas import KINDS, load_schema, resolve_reference

if TYPE_CHECKING:
    from collections.abc import Iterator


def pieces(kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every described part of a schema with its path."""

    def look(name: str, piece: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        if "$ref" in piece:
            return
        yield name, piece
        for key, inner in piece.get("properties", {}).items():
            yield from look(f"{name}.{key}", inner)
        if piece.get("items", {}).get("properties"):
            yield from look(f"{name}[]", piece["items"])

    whole = load_schema(kind)
    yield from look(kind, whole)
    for name, piece in whole.get("$defs", {}).items():
        yield from look(name, piece)


@pytest.mark.parametrize("kind", [*KINDS, "seccomp"])
def test_a_schema_is_a_valid_json_schema(kind: str) -> None:
    """Each is a schema of draft 2020-12, also with what it shares brought in."""
    assert load_schema(kind)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(load_schema(kind))


@pytest.mark.parametrize("kind", [*KINDS, "seccomp"])
def test_every_field_is_explained(kind: str) -> None:
    """Each has a title, a description that is a sentence, and an example that fits."""
    whole = load_schema(kind)
    for name, piece in pieces(kind):
        assert piece.get("title"), name
        assert piece.get("description", "").endswith("."), name
        assert piece.get("examples"), name
        validator = Draft202012Validator({**piece, "$defs": whole.get("$defs", {})})
        for example in piece["examples"]:
            assert not list(validator.iter_errors(example)), name


@pytest.mark.parametrize("kind", [*KINDS, "seccomp"])
def test_every_mapping_refuses_unknown_keys(kind: str) -> None:
    """Every mapping either has known keys only, or texts as values."""
    for name, piece in pieces(kind):
        if "object" in str(piece.get("type")):
            assert piece["additionalProperties"] in (False, {"type": "string"}), name


@pytest.mark.parametrize(
    ("part", "definition"),
    [
        (model.Volume, "volume"),
        (model.RootfsFile, "file"),
        (model.Container, "container"),
        (model.ContainerSpec, "spec"),
        (model.ExposedPort, "port"),
        (model.DataPartition, "partition"),
        (model.Mount, "mount"),
        (model.Device, "device"),
        (model.IdMapping, "idMapping"),
        (model.Runtime, "runtime"),
    ],
)
def test_the_model_has_the_keys_of_the_schema(part: type, definition: str) -> None:
    """A key in one and not in the other would be lost."""
    properties = load_schema("image")["$defs"][definition]["properties"]
    assert {key for key, _ in yaml_fields(part)} == set(properties)


def test_the_whole_model_has_the_keys_of_the_schema() -> None:
    """Also at the top, and in the parts that are not shared."""
    whole = load_schema("image")["properties"]
    assert {key for key, _ in yaml_fields(model.Config)} == set(whole)
    parts = {
        "disk": model.DiskSection,
        "firewall": model.Firewall,
        "kernel": model.Kernel,
        "trust": model.TrustSection,
        "verified": model.Verified,
    }
    for key, part in parts.items():
        assert {k for k, _ in yaml_fields(part)} == set(whole[key]["properties"])
    inner = {("disk", "slots"): model.Slots, ("verified", "healthy"): model.Healthy}
    for (key, below), kind in inner.items():
        found = whole[key]["properties"][below]["properties"]
        assert {k for k, _ in yaml_fields(kind)} == set(found)


def test_containers_and_labels_have_the_same_keys() -> None:
    """What the label may say is what a container may say, except name and image."""
    definitions = load_schema("image")["$defs"]
    container, spec = definitions["container"]["properties"], definitions["spec"]["properties"]
    assert list(container) == ["name", "image", *spec]
    for key in spec:
        assert resolve_reference("image", container[key]) == resolve_reference("image", spec[key])


def test_a_package_configures_containers_like_a_label() -> None:
    """build.yml's `config` is the same definition, in a schema that needs no other file."""
    build = load_schema("build")
    assert (
        resolve_reference("build", build["properties"]["config"])["title"]
        == "Container without a name"
    )
    assert "image.schema.json" not in str(build).replace("'$id': 'image.schema.json'", "")


def test_keys_that_linuxkit_refuses_are_in_a_label_of_their_own() -> None:
    """LinuxKit would refuse the whole label of an image with such a key."""
    spec = load_schema("image")["$defs"]["spec"]["properties"]
    refused = [key for key, piece in spec.items() if piece.get("x-linuxkit") == "refused"]
    assert sorted(refused) == sorted(model.LABEL_EXTENSIONS)
