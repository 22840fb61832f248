"""Whatever registries send, nothing but errors for users comes of it, and the store stays whole."""

from __future__ import annotations

import copy
import itertools
import json
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assembler.errors import DolmenError
from assembler.events import NullReporter
from assembler.oci.image_pull import PullOptions, pull
from assembler.oci.reference import Reference
from assembler.oci.registry.options import RetryPolicy
from assembler.oci.store import Store, find_image, verify_store
from support.faulty_registry import QUICK, FaultyRegistry
from support.pictures import AMD64

if TYPE_CHECKING:
    from collections.abc import Iterator

ONCE = replace(QUICK, retry_policy=RetryPolicy(attempts=1, max_retry_after=0))
bounded = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

numbers = itertools.count()
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 1 << 70),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["sha256:" + "0" * 64, "sha256:../../x", "sha512:" + "a" * 128, "linux"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.sampled_from(["digest", "size", "mediaType"]), st.integers(), max_size=3),
)


def paths(document: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value in a document."""
    items: Any = ()
    if isinstance(document, dict):
        items = document.items()
    elif isinstance(document, list):
        items = enumerate(document)
    for key, value in items:
        yield (*here, key)
        yield from paths(value, (*here, key))


def pulls_or_says_why(store: Store, name: str) -> None:
    """Pull an image into a fresh store; if that fails, only a user's error may come of it."""
    store = Store(store.root / str(next(numbers)))
    with suppress(DolmenError):
        pull(store, [Reference.parse(name)], PullOptions(ONCE))
    assert verify_store(store, NullReporter()).clean


@bounded
@given(data=st.data())
def test_documents(
    data: st.DataObject, registry: FaultyRegistry, remote: Store, store: Store, app: str
) -> None:
    top = registry.tags["org/app", "1.0"]
    manifest = find_image(remote, Reference.parse(app), AMD64).descriptor
    chosen = data.draw(st.sampled_from([top, manifest]))
    document = json.loads(remote.path(chosen.digest).read_bytes())
    way = data.draw(st.sampled_from(list(paths(document))))
    changed = copy.deepcopy(document)
    inner = changed
    for key in way[:-1]:
        inner = inner[key]
    if data.draw(st.booleans()):
        inner[way[-1]] = data.draw(values)
    else:
        del inner[way[-1]]
    added = remote.add_bytes(json.dumps(changed).encode(), chosen.media_type)
    registry.tags["org/app", "odd"] = added
    pulls_or_says_why(store, app.replace(":1.0", ":odd"))


header = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)


@bounded
@given(
    where=st.sampled_from(["GET .*/manifests/1", "GET .*/manifests/sha", "GET .*/blobs/", "tags"]),
    status=st.sampled_from([0, 200, 204, 206, 302, 304, 401, 403, 404, 416, 418, 429, 503]),
    headers=st.fixed_dictionaries(
        {},
        optional={
            "Content-Range": st.one_of(header, st.just("bytes 0-0/1"), st.just("bytes 9-1/*")),
            "Retry-After": st.one_of(header, st.just("-1"), st.just("Fri, 31 Feb 2025 99:99 GMT")),
            "WWW-Authenticate": st.one_of(header, header.map("Bearer realm={}".format)),
            "Location": st.one_of(header, header.map("http://{}".format), header.map("/{}".format)),
            "Content-Type": header,
            "Content-Encoding": st.sampled_from(["gzip", "br", "x", "deflate, gzip"]),
            "Docker-Content-Digest": header,
            "Link": header.map("<{}>; rel=next".format),
        },
    ),
    body=st.one_of(st.none(), st.binary(max_size=40), st.just(b"{}"), st.just(b'{"errors": 1}')),
)
def test_answers(
    registry: FaultyRegistry,
    store: Store,
    app: str,
    where: str,
    status: int,
    headers: dict[str, str],
    body: bytes | None,
) -> None:
    registry.forget()
    registry.fail(where, status=status, headers=headers, body=body, times=3)
    if where == "tags":
        registry.fail("manifests/1.0", status=404)
    pulls_or_says_why(store, app)
    registry.forget()


@pytest.mark.parametrize(
    "body",
    [b'{"tags": 7}', b'{"tags": [7, null]}', b"[]", b'{"tags": null}', b"{" * 10_000, b'"x"'],
)
def test_lists_of_tags(registry: FaultyRegistry, store: Store, app: str, body: bytes) -> None:
    registry.fail("tags", body=body)
    pulls_or_says_why(store, app.replace(":1.0", ":gone"))
