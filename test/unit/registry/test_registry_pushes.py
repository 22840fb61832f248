"""Pushing to registries that do not do as they should."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assembler.codes import registries as codes
from assembler.errors import DolmenError
from assembler.events import EventRecorder, TaskAdvanced, TaskStarted
from assembler.oci.image_pull import PullOptions, pull
from assembler.oci.image_push import PushedImage, PushOptions, push
from assembler.oci.platform import Platform
from assembler.oci.reference import Reference
from assembler.oci.registry.credentials import parse_credentials
from assembler.oci.registry.options import RetryPolicy
from assembler.oci.store import Store, find_image
from support.faulty_registry import QUICK, FaultyRegistry, faulty_registry, noise
from support.pictures import AMD64, Painter

_LARGE = 1_500_000


@pytest.fixture
def name(store: Store, registry: FaultyRegistry) -> str:
    """Give the name of an image in the store, not yet at the registry."""
    layers = [{"small": noise(1, 9000)}, {"large": noise(2, _LARGE)}]
    made = f"{registry.host}/org/new:1"
    store.put(made, Painter(store, compression="").image(layers, AMD64))
    return made


def pushed(
    store: Store, name: str, recorder: EventRecorder | None = None, **options: object
) -> PushedImage:
    """Push one image."""
    chosen = PushOptions(**{"registries": QUICK} | options)  # type: ignore[arg-type]
    return push(store, [Reference.parse(name)], chosen, recorder)[0]


def is_there(registry: FaultyRegistry, name: str, tmp_path_store: Store) -> None:
    """See that the image can be pulled from where it was pushed to."""
    registry.forget()
    pull(tmp_path_store, [Reference.parse(name)], PullOptions(QUICK))
    find_image(tmp_path_store, Reference.parse(name), AMD64)


@pytest.fixture
def elsewhere(remote: Store) -> Store:
    """Give an empty store to pull into."""
    return Store(remote.root.parent / "elsewhere")


def test_a_push_succeeds(
    registry: FaultyRegistry, store: Store, elsewhere: Store, name: str
) -> None:
    recorder = EventRecorder()
    done = pushed(store, name, recorder)
    assert done.tags == ("1",)
    assert done.blobs == {"pushed": 3}
    # The tag comes last of all.
    assert registry.requests[-1].method == "PUT"
    assert registry.requests[-1].path.endswith("/manifests/1")
    totals = {e.task: e.total for e in recorder.events if isinstance(e, TaskStarted)}
    assert {e.task: e.done for e in recorder.events if isinstance(e, TaskAdvanced)} == totals
    is_there(registry, name, elsewhere)
    assert pushed(store, name).blobs == {}
    assert not registry.asked("POST")


@pytest.mark.parametrize("where", ["HEAD", "POST", "PUT .*/blobs", "PUT .*/manifests"])
@pytest.mark.parametrize("fault", [{"status": 503}, {"cut_after": 0}, {"status": 429}])
def test_temporary_errors_are_retried(
    registry: FaultyRegistry,
    store: Store,
    elsewhere: Store,
    name: str,
    where: str,
    fault: dict[str, object],
) -> None:
    if where == "HEAD" and "cut_after" in fault:
        return  # there is nothing in the answer to cut
    registry.fail(where, times=2, **fault)
    pushed(store, name)
    is_there(registry, name, elsewhere)


@pytest.mark.parametrize("where", ["HEAD", "POST", "PUT .*/blobs", "PUT .*/manifests"])
def test_permanent_errors_are_reported(
    registry: FaultyRegistry, store: Store, elsewhere: Store, name: str, where: str
) -> None:
    registry.fail(where, status=500, body=b'{"errors":[{"message":"the disk is full"}]}')
    with pytest.raises(DolmenError) as caught:
        pushed(store, name)
    assert caught.value.diagnostics[0].code is codes.SERVER_ERROR
    if where != "HEAD":
        assert "the disk is full" in str(caught.value)
    assert ("org/new", "1") not in registry.tags
    registry.forget()
    pushed(store, name)
    is_there(registry, name, elsewhere)


def test_a_refused_push_is_an_error(registry: FaultyRegistry, store: Store, name: str) -> None:
    body = b'{"errors":[{"code":"DENIED","message":"requested access is denied"}]}'
    registry.fail("POST", status=403, body=body)
    with pytest.raises(DolmenError) as caught:
        pushed(store, name)
    assert caught.value.diagnostics[0].code is codes.ACCESS_DENIED
    assert "requested access is denied" in str(caught.value)
    assert len(registry.asked("POST")) <= 3


def test_a_rejected_manifest_is_an_error(registry: FaultyRegistry, store: Store, name: str) -> None:
    body = b'{"errors":[{"code":"MANIFEST_INVALID","message":"unknown media type"}]}'
    registry.fail("PUT .*/manifests", status=400, body=body)
    with pytest.raises(DolmenError) as caught:
        pushed(store, name)
    assert caught.value.diagnostics[0].code is codes.PUSH_REFUSED
    assert "unknown media type" in str(caught.value)


def test_large_blobs_are_uploaded_in_chunks_if_required(
    registry: FaultyRegistry, store: Store, elsewhere: Store, name: str
) -> None:
    # The proxy before the registry does not let a large request pass.
    registry.fail("PUT .*/blobs/uploads", status=413, times=1)
    pushed(store, name, registries=replace(QUICK, jobs=1))
    assert registry.asked("PATCH")
    is_there(registry, name, elsewhere)


def test_large_blobs_are_sent_as_a_stream(
    registry: FaultyRegistry, store: Store, name: str
) -> None:
    pushed(store, name)
    sizes = [int(r.headers["content-length"]) for r in registry.asked("PUT .*/blobs")]
    assert max(sizes) > _LARGE
    assert not registry.asked("PATCH")


def test_a_blob_of_another_repository_is_mounted(
    registry: FaultyRegistry, store: Store, elsewhere: Store, name: str
) -> None:
    registry.strict_repositories = True
    pushed(store, name)
    near = name.replace("org/new", "org/near")
    top = store.names().named(name)[0].descriptor
    store.put(near, top)
    assert pushed(store, near).blobs == {"mounted": 3}
    is_there(registry, near, elsewhere)


@pytest.mark.parametrize("status", [0, 400, 500])
def test_a_registry_without_mounting(
    registry: FaultyRegistry, store: Store, elsewhere: Store, name: str, status: int
) -> None:
    registry.strict_repositories = True
    top = store.names().named(name)[0].descriptor
    store.put(name.replace("org/new", "org/near"), top)
    if status:
        registry.fail("POST", status=status, times=1)
    # The neighbour was never pushed: there is nothing to mount, and the upload has begun.
    assert pushed(store, name).blobs == {"pushed": 3}
    is_there(registry, name, elsewhere)


def test_an_upload_at_another_host_gets_no_credentials(
    registry: FaultyRegistry, store: Store, remote: Store, name: str
) -> None:
    registry.login = "me:secret"
    options = replace(
        QUICK,
        credentials=(parse_credentials(f"{registry.host}=me:secret", ""),),
        retry_policy=RetryPolicy(attempts=1),
    )
    with faulty_registry(remote) as other:
        location = f"http://{other.host}/v2/org/new/blobs/uploads/x"
        registry.fail("POST", status=202, headers={"Location": location}, after=1)
        with pytest.raises(DolmenError):
            pushed(store, name, registries=options)
        assert other.requests
        assert not any(r.authorization for r in other.requests)


def test_an_upload_without_a_location(registry: FaultyRegistry, store: Store, name: str) -> None:
    registry.fail("POST", status=202)
    with pytest.raises(DolmenError) as caught:
        pushed(store, name)
    assert "does not say where to" in str(caught.value)


def test_one_image_of_several(
    registry: FaultyRegistry, store: Store, elsewhere: Store, name: str
) -> None:
    taken = f"{registry.host}/org/taken:1"
    store.put(taken, store.names().named(name)[0].descriptor)
    registry.publish("org/taken", "1", Painter(registry.store).image({"a": b"other"}))
    with pytest.raises(DolmenError) as caught:
        push(store, [Reference.parse(n) for n in (taken, name)], PushOptions(QUICK))
    assert [d.code for d in caught.value.diagnostics] == [codes.TAG_EXISTS]
    is_there(registry, name, elsewhere)


def test_tokens_for_writing(registry: FaultyRegistry, store: Store, name: str) -> None:
    registry.login, registry.tokens = "me:secret", True
    options = replace(QUICK, credentials=(parse_credentials(f"{registry.host}=me:secret", ""),))
    pushed(store, name, registries=options)
    scopes = {r.query.partition("scope=")[2] for r in registry.asked("/token")}
    assert scopes == {"repository%3Aorg%2Fnew%3Apull", "repository%3Aorg%2Fnew%3Apull%2Cpush"}


def variant(text: str) -> Platform:
    return Platform.parse(f"linux/{text}")


def test_images_of_an_index_get_tags_of_their_architectures(
    registry: FaultyRegistry, store: Store, elsewhere: Store
) -> None:
    paint = Painter(store, compression="")
    images = {
        "amd64": paint.image({"a": b"1"}, AMD64),
        "arm-v6": paint.image({"a": b"2"}, variant("arm/v6")),
        "arm-v7": paint.image({"a": b"3"}, variant("arm/v7")),
        "arm64": paint.image({"a": b"4"}, variant("arm64/v8")),
    }
    # One whose index does not say what its config does.
    said = replace(images["amd64"], platform=None)
    index = paint.index(said, *list(images.values())[1:])
    name = f"{registry.host}/org/several:1"
    store.put(name, index)
    done = pushed(store, name, arch_tags=True)
    # The tag of all platforms is written last: until then the old one is whole.
    assert registry.requests[-1].method == "PUT"
    assert registry.requests[-1].path.endswith("/manifests/1")
    assert set(done.tags) == {"1", *(f"1-{suffix}" for suffix in images)}
    for suffix, image in images.items():
        reference = Reference.parse(f"{registry.host}/org/several:1-{suffix}")
        pull(elsewhere, [reference], PullOptions(QUICK))
        (entry,) = elsewhere.names().named(str(reference))
        assert entry.descriptor.digest == image.digest
    assert pushed(store, name, arch_tags=False).tags == ("1",)


def test_an_image_without_a_tag_is_pushed_by_its_digest(
    registry: FaultyRegistry, store: Store, name: str
) -> None:
    (entry,) = store.names().named(name)
    digest = entry.descriptor.digest
    pinned = f"{registry.host}/org/new@{digest}"
    store.put(pinned, entry.descriptor)
    assert pushed(store, pinned, arch_tags=True).tags == (digest,)
    assert registry.asked(f"PUT .*/manifests/{digest}")


def test_an_image_that_is_not_whole_is_not_pushed(
    registry: FaultyRegistry, store: Store, name: str
) -> None:
    paint = Painter(store, compression="")
    amd, arm = paint.image({"a": b"1"}, AMD64), paint.image({"a": b"2"}, variant("arm64"))
    several = f"{registry.host}/org/several:1"
    store.put(several, paint.index(amd, arm))
    # The registry has the missing platform already: the index can refer to it.
    pushed(store, several)
    store.path(arm.digest).unlink()
    assert pushed(store, several).tags == ("1",)
    other = f"{registry.host}/org/other:1"
    nowhere = paint.image({"a": b"3"}, variant("arm64"))
    store.put(other, paint.index(amd, nowhere))
    store.path(nowhere.digest).unlink()
    found = find_image(store, Reference.parse(name), AMD64)
    store.path(found.manifest.layers[0].digest).unlink()
    for image, which in ((other, " (linux/arm64)"), (name, "")):
        with pytest.raises(DolmenError) as caught:
            pushed(store, image)
        (diagnostic,) = caught.value.diagnostics
        assert diagnostic.code is codes.INCOMPLETE_IMAGE
        assert diagnostic.message == f"{image}: 1 part not found in the store{which}"
    assert not registry.asked("PUT .*org/other")


def test_a_name_that_is_not_in_the_store_is_refused_with_similar_ones(
    store: Store, name: str
) -> None:
    with pytest.raises(DolmenError) as caught:
        pushed(store, "example.com/org/new:1")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.message == "example.com/org/new:1 is not in the store"
    assert diagnostic.hints == (f"did you mean {name}?", "`dolmen cache ls` shows what is")
