"""Mirrors: asked in order before the registry itself, never a reason to fail."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from assembler.codes import registries as codes
from assembler.errors import DolmenError, UsageError
from assembler.events import EventRecorder, TaskEnded, WarningEmitted
from assembler.oci.image_pull import PullOptions, pull
from assembler.oci.reference import Reference
from assembler.oci.registry.endpoints import registry_endpoints
from assembler.oci.registry.options import Mirror, RegistryOptions, parse_mirror
from support.faulty_registry import QUICK, FaultyRegistry, faulty_registry
from support.pictures import AMD64

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.oci.store import Store


@pytest.fixture
def mirror(registry: FaultyRegistry, remote: Store, app: str) -> Iterator[FaultyRegistry]:
    """Give a mirror that has what the registry has."""
    assert app
    with faulty_registry(remote) as made:
        made.tags = registry.tags
        yield made


def through(*mirrors: str) -> RegistryOptions:
    """Return options with mirrors."""
    return replace(QUICK, mirrors=tuple(parse_mirror(m) for m in mirrors))


def pulled(store: Store, name: str, options: RegistryOptions) -> EventRecorder:
    """Pull an image and return what was told."""
    recorder = EventRecorder()
    pull(store, [Reference.parse(name)], PullOptions(options, (AMD64,)), recorder)
    return recorder


def warnings(recorder: EventRecorder) -> list[str]:
    """Return what was warned of."""
    return [e.diagnostic.message for e in recorder.events if isinstance(e, WarningEmitted)]


def test_the_mirror_replaces_the_registry(
    registry: FaultyRegistry, mirror: FaultyRegistry, store: Store, app: str
) -> None:
    told = pulled(store, app, through(f"http://{mirror.host}"))
    assert not registry.requests
    assert mirror.requests
    outcomes = {e.outcome for e in told.events if isinstance(e, TaskEnded)}
    assert f"pulled from mirror http://{mirror.host}" in outcomes
    assert warnings(told) == []


def test_a_mirror_of_another_registry(
    registry: FaultyRegistry, mirror: FaultyRegistry, store: Store, app: str
) -> None:
    pulled(store, app, through(f"docker.io=http://{mirror.host}"))
    assert not mirror.requests
    assert registry.requests


def test_a_path_precedes_repository_names(
    registry: FaultyRegistry, mirror: FaultyRegistry, store: Store, app: str
) -> None:
    mirror.tags = {("hub/org/app", tag): top for (_, tag), top in registry.tags.items()}
    pulled(store, app, through(f"http://{mirror.host}/hub"))
    assert {r.path.split("/")[2] for r in mirror.requests} == {"hub"}


def test_a_blob_that_the_mirror_lacks_comes_from_the_registry(
    registry: FaultyRegistry, mirror: FaultyRegistry, store: Store, app: str
) -> None:
    mirror.fail("GET .*/blobs/", status=404)
    told = pulled(store, app, through(f"http://{mirror.host}"))
    assert len(registry.asked("GET .*/blobs/")) == 3
    assert not registry.asked("manifests")
    assert warnings(told) == []


@pytest.mark.parametrize(
    "fault",
    [{"status": 500}, {"status": 401}, {"body": b"<html>"}, {"corrupt": True}, {"cut_after": 5}],
)
def test_a_mirror_that_fails(
    registry: FaultyRegistry,
    mirror: FaultyRegistry,
    store: Store,
    app: str,
    fault: dict[str, object],
) -> None:
    mirror.fail("GET .*/(manifests|blobs)/.", **fault)
    told = pulled(store, app, through(f"http://{mirror.host}"))
    assert registry.asked("GET .*/blobs/")
    # Once for each way in which it fails.
    assert 1 <= len(warnings(told)) <= 2
    assert all(f"mirror http://{mirror.host} did not help" in w for w in warnings(told))


def test_an_unreachable_mirror_is_tried_once(
    registry: FaultyRegistry, mirror: FaultyRegistry, store: Store, app: str
) -> None:
    told = pulled(store, app, through("http://127.0.0.1:1", f"http://{mirror.host}"))
    assert len(warnings(told)) == 1
    assert not registry.requests


def test_wrong_bytes_of_a_mirror_are_not_mixed_with_right_ones(
    registry: FaultyRegistry, mirror: FaultyRegistry, store: Store, app: str
) -> None:
    mirror.fail("GET .*/blobs/", corrupt=True, longer=-5, honest=False)
    pulled(store, app, through(f"http://{mirror.host}"))
    assert registry.asked("GET .*/blobs/")


def test_an_image_that_no_registry_has(
    registry: FaultyRegistry, mirror: FaultyRegistry, store: Store, app: str
) -> None:
    for one in (mirror, registry):
        one.fail("manifests", status=503)
    with pytest.raises(DolmenError) as caught:
        pulled(store, app, through(f"http://{mirror.host}"))
    assert caught.value.diagnostics[0].code is codes.SERVER_ERROR
    assert f"mirror http://{mirror.host} did not help" in str(caught.value)


def test_a_mirror_gets_no_credentials_of_the_registry(
    registry: FaultyRegistry, mirror: FaultyRegistry, store: Store, app: str
) -> None:
    from assembler.oci.registry.credentials import parse_credentials

    registry.login = "me:secret"
    mirror.fail("/v2/.", status=401, headers={"WWW-Authenticate": "Basic realm=x"})
    given = (parse_credentials(f"{registry.host}=me:secret", ""),)
    pulled(store, app, replace(through(f"http://{mirror.host}"), credentials=given))
    assert not any(r.authorization for r in mirror.requests)


@pytest.mark.parametrize(
    ("text", "mirror"),
    [
        ("https://m.example", Mirror("", "https", "m.example")),
        ("docker.io=http://[::1]:5000/", Mirror("docker.io", "http", "[::1]:5000")),
        ("https://m.example/v2/a=b/c/", Mirror("", "https", "m.example", "a=b/c")),
        ("r:5=https://m.example:1/v2", Mirror("r:5", "https", "m.example:1")),
    ],
)
def test_valid_mirror_options(text: str, mirror: Mirror) -> None:
    assert parse_mirror(text) == mirror


@pytest.mark.parametrize(
    "text",
    ["m.example", "ftp://m", "http://", "http://u:secret@m", "http://m:x", "http://m?a=b", ""],
)
def test_invalid_mirror_options(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_mirror(text)
    assert "secret" not in str(caught.value)


def test_a_registry_with_mirrors_of_its_own_has_no_others() -> None:
    options = through("https://all.example", "a.example=https://a1", "a.example=https://a2")
    assert [str(e) for e in registry_endpoints("a.example", options)] == [
        "mirror https://a1",
        "mirror https://a2",
        "a.example",
    ]
    assert [str(e) for e in registry_endpoints("b.example", options)] == [
        "mirror https://all.example",
        "b.example",
    ]
