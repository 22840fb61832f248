"""Documents that nobody checked before us: whatever they hold, the only errors are ours."""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assembler.errors import DolmenError
from assembler.events import NullReporter
from assembler.oci import media_types
from assembler.oci.manifest import parse_image_config, parse_manifest
from assembler.oci.reference import Reference
from assembler.oci.store import (
    GcLimits,
    Store,
    collect_garbage,
    list_images,
    look_up_image,
    verify_store,
)
from support.pictures import AMD64

_DIGEST = "sha256:" + "0" * 64
_WORDS = st.sampled_from(
    [
        *(
            "",
            "latest",
            "docker.io/library/x:1",
            "x:1",
            _DIGEST,
            "sha256:../x",
            "\ud800",
            "\x1b[2J",
        ),
        *("linux", "amd64", "v7", "v" + "9" * 5000, "unknown", media_types.ATTESTATION_MANIFEST),
        *(
            media_types.OCI_INDEX,
            media_types.OCI_MANIFEST,
            media_types.DOCKER_MANIFEST,
            media_types.OCI_LAYER_GZIP,
        ),
    ]
)
_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 1 << 70), st.floats(), _WORDS, st.text(max_size=5)
)
_KEYS = st.one_of(
    st.sampled_from(
        [
            *("schemaVersion", "mediaType", "manifests", "config", "layers", "digest", "size"),
            *("platform", "os", "architecture", "variant", "annotations", "subject", "fsLayers"),
            *("Cmd", "Env", "Labels", "User", "rootfs", "created"),
            *(
                media_types.REF_NAME,
                media_types.CONTAINERD_NAME,
                media_types.ATTESTATION,
                media_types.ATTESTED_DIGEST,
            ),
        ]
    ),
    st.text(max_size=3),
)
ANYTHING = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=6),
    max_leaves=25,
)
# Nearly a descriptor, so that what follows after it is met as well.
DESCRIPTORS = st.fixed_dictionaries(
    {"mediaType": _WORDS, "digest": st.just(_DIGEST), "size": st.integers(0, 100)},
    optional={
        "platform": st.fixed_dictionaries(
            {"os": _WORDS, "architecture": _WORDS, "variant": _WORDS}
        ),
        "annotations": st.dictionaries(_KEYS, _WORDS, max_size=4),
        "x": ANYTHING,
    },
)
DOCUMENTS = st.one_of(
    ANYTHING,
    st.fixed_dictionaries(
        {
            "manifests": st.lists(DESCRIPTORS | ANYTHING, max_size=4),
            "layers": st.lists(DESCRIPTORS, max_size=3),
            "config": DESCRIPTORS | ANYTHING,
        }
    ),
)
QUICK = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


def encoded(document: Any) -> bytes:
    return json.dumps(document).encode()


@QUICK
@given(DOCUMENTS, _WORDS)
def test_manifests_and_configs(document: Any, media_type: str) -> None:
    for parse in (
        lambda d: parse_manifest(d, "x", media_type),
        lambda d: parse_image_config(d, "x"),
    ):
        with suppress(DolmenError):
            parse(encoded(document))


@QUICK
@given(st.binary(max_size=60))
def test_bytes(data: bytes) -> None:
    with suppress(DolmenError):
        parse_manifest(data, "x")


@QUICK
@given(DOCUMENTS, DOCUMENTS, DOCUMENTS)
def test_a_store_full_of_nonsense(index: Any, manifest: Any, config: Any) -> None:
    with tempfile.TemporaryDirectory() as directory:
        store = Store(Path(directory))
        inner = store.add_bytes(encoded(config), media_types.OCI_CONFIG)
        data = encoded(manifest).replace(_DIGEST.encode(), inner.digest.encode())
        top = store.add_bytes(data, media_types.OCI_MANIFEST)
        text = encoded(index).replace(_DIGEST.encode(), top.digest.encode())
        store.layout.index.write_bytes(text)
        for use in (
            lambda: look_up_image(store, Reference.parse("x:1"), AMD64),
            lambda: list_images(store),
            lambda: store.put("docker.io/library/y:1", top),
            lambda: collect_garbage(store, GcLimits(dry_run=True, everything=True)),
            lambda: verify_store(store, NullReporter(), repair=True),
        ):
            with suppress(DolmenError):
                use()
        assert store.names().broken == ()
