"""Whatever a program puts into a Config, planning gives a plan or says what is wrong."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from assembler.config.model import (
    BindNS,
    Config,
    Container,
    Device,
    IdMapping,
    Interface,
    Mount,
    RootfsFile,
    Runtime,
    Volume,
)
from assembler.errors import PlanError
from assembler.oci.image import Image
from assembler.oci.manifest import Descriptor, ImageConfig, Manifest
from assembler.oci.platform import Platform
from assembler.oci.reference import Reference
from assembler.rootfs import PlanOptions, ResolvedImages, make_plan
from assembler.rootfs.plan import GeneratedEntry, GeneratedPart

BLOB = Descriptor("x", "sha256:" + "0" * 64, 0)
NAME = Reference.parse("x/y:1")
KNOWN_TEXTS = [
    "",
    "/",
    "/a",
    "a",
    "..",
    "all",
    "none",
    "host",
    "new",
    "proc",
    "bind",
    "v",
    "v:/v:ro",
    "/a:/b",
    "CAP_CHOWN",
    "root",
    "0644",
    "x/y:1",
]
TEXTS = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(
    [*KNOWN_TEXTS, "nofile,1,2"]
)
NUMBERS = st.integers(-2, 1 << 33)
WORDS = st.lists(TEXTS, max_size=2).map(tuple)


def maybe(kind: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | kind


def many(kind: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return maybe(st.lists(kind, max_size=2).map(tuple))


MAPPINGS = many(st.builds(IdMapping, maybe(NUMBERS), maybe(NUMBERS), maybe(NUMBERS)))
MOUNTS = many(
    st.builds(Mount, maybe(TEXTS), maybe(TEXTS), maybe(TEXTS), maybe(WORDS), MAPPINGS, MAPPINGS)
)
DEVICES = many(
    st.builds(Device, maybe(TEXTS), maybe(TEXTS), maybe(NUMBERS), maybe(NUMBERS), maybe(TEXTS))
)
RUNTIMES = maybe(
    st.builds(
        Runtime,
        cgroups=maybe(WORDS),
        mounts=MOUNTS,
        interfaces=many(st.builds(Interface, maybe(TEXTS), maybe(TEXTS))),
        bind_ns=maybe(st.builds(BindNS, net=maybe(TEXTS))),
    )
)
RESOURCES = maybe(
    st.fixed_dictionaries(
        {},
        optional={
            "memory": st.fixed_dictionaries({}, optional={"limit": NUMBERS, "kernelTCP": NUMBERS}),
            "blockIO": st.fixed_dictionaries({}, optional={"weight": NUMBERS}),
            "devices": st.lists(st.fixed_dictionaries({"allow": st.booleans()}), max_size=2),
            "hugepageLimits": st.just([{"pageSize": "2MB", "limit": 1}]),
        },
    )
)
IDS = maybe(TEXTS | NUMBERS)
CONTAINERS = st.builds(
    Container,
    name=TEXTS,
    image=st.just("x/y:1"),
    capabilities=maybe(WORDS),
    ambient=maybe(WORDS),
    mounts=MOUNTS,
    binds=maybe(WORDS),
    devices=DEVICES,
    tmpfs=maybe(WORDS),
    command=maybe(WORDS),
    net=maybe(TEXTS),
    readonly=maybe(st.booleans()),
    uid=IDS,
    additional_gids=many(TEXTS | NUMBERS),
    resources=RESOURCES,
    rlimits=maybe(WORDS),
    uid_mappings=MAPPINGS,
    runtime=RUNTIMES,
)
FILES = st.builds(
    RootfsFile,
    path=maybe(TEXTS),
    directory=maybe(st.booleans()),
    symlink=maybe(TEXTS),
    contents=maybe(TEXTS),
    mode=maybe(TEXTS),
    uid=IDS,
)
CONFIGS = st.builds(
    Config,
    volumes=st.lists(st.builds(Volume, TEXTS, readonly=maybe(st.booleans())), max_size=2).map(
        tuple
    ),
    onboot=st.lists(CONTAINERS, max_size=1).map(tuple),
    services=st.lists(CONTAINERS, max_size=2).map(tuple),
    files=st.lists(FILES, max_size=2).map(tuple),
)


@given(CONFIGS)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_planning_gives_a_plan_or_says_what_is_wrong(config: Config) -> None:
    image = Image(NAME, BLOB, Manifest("x", BLOB, ()), ImageConfig(Platform()))
    resolved = ResolvedImages({NAME: image}, lambda _, what: what.encode())
    with suppress(PlanError):
        plan = make_plan(config, resolved, PlanOptions("amd64"))
        for part in plan.parts:
            for entry in part.entries if isinstance(part, GeneratedPart) else ():
                check(entry)


def check(entry: GeneratedEntry) -> None:
    parts = entry.path.split("/")
    assert not {"", ".", ".."} & set(parts)
    assert 0 <= entry.mode <= 0o7777
    assert 0 <= entry.uid < 1 << 32
    if entry.path.endswith("config.json") and isinstance(entry.content, bytes):
        json.loads(entry.content)
