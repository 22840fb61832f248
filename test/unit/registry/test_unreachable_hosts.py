"""A host that cannot be reached is tried once for all images, and reported once."""

from __future__ import annotations

import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from assembler.codes import registries as codes
from assembler.errors import DolmenError
from assembler.oci.image_pull import PullOptions, pull
from assembler.oci.reference import Reference
from assembler.oci.registry.options import RegistryOptions
from assembler.oci.registry.unreachable import UnreachableHosts
from support.faulty_registry import QUICK

if TYPE_CHECKING:
    from assembler.diagnostics import Diagnostic
    from assembler.oci.store import Store

HOST = "registry.invalid"


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the list of the hosts that are looked up, for which no resolver answers."""
    hosts: list[str] = []

    def getaddrinfo(host: str, *_: Any, **__: Any) -> list[Any]:
        hosts.append(host)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return hosts


def refused(store: Store, options: RegistryOptions, *names: str) -> list[Diagnostic]:
    """Pull images, in vain; return the diagnostics."""
    with pytest.raises(DolmenError) as caught:
        pull(store, [Reference.parse(name) for name in names], PullOptions(options))
    return [*caught.value.diagnostics]


def test_one_message_for_all_images(store: Store, resolved: list[str]) -> None:
    names = [f"{HOST}/app:{number}" for number in range(7)]
    began = time.monotonic()
    (diagnostic,) = refused(store, RegistryOptions(), *names)
    assert time.monotonic() - began < 10
    assert diagnostic.code is codes.UNKNOWN_HOST
    assert f"there is no host {HOST}" in diagnostic.message
    (hint,) = [hint for hint in diagnostic.hints if "other images" in hint]
    assert hint.startswith("6 other images cannot be pulled for this reason: ")
    # By each of four threads twice at most, and not for every image.
    assert len(resolved) <= 8


def test_one_attempt_by_a_single_thread(store: Store, resolved: list[str]) -> None:
    refused(store, replace(QUICK, jobs=1), *(f"{HOST}/app:{number}" for number in range(7)))
    assert len(resolved) == 2


def test_later_runs_know_the_host(store: Store, resolved: list[str]) -> None:
    """The packages of a build are looked up in a run each."""
    options = replace(QUICK, jobs=1, unreachable=UnreachableHosts())
    refused(store, options, f"{HOST}/app:1")
    before = len(resolved)
    (diagnostic,) = refused(store, options, f"{HOST}/app:2")
    assert diagnostic.code is codes.UNKNOWN_HOST
    assert len(resolved) == before
    forgotten = replace(QUICK, jobs=1, unreachable=UnreachableHosts(seconds=0))
    refused(store, forgotten, f"{HOST}/app:1")
    before = len(resolved)
    refused(store, forgotten, f"{HOST}/app:2")
    assert len(resolved) > before


def test_a_slow_resolver_is_asked_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        nonlocal asked
        asked += 1
        time.sleep(2.1)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    refused(store, replace(QUICK, jobs=1), f"{HOST}/app:1")
    assert asked == 1


def test_a_host_that_does_not_answer_is_tried_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    def create_connection(*_: Any, **__: Any) -> socket.socket:
        nonlocal asked
        asked += 1
        raise TimeoutError("timed out")

    monkeypatch.setattr("urllib3.util.connection.create_connection", create_connection)
    names = [f"{HOST}/app:{number}" for number in range(3)]
    (diagnostic,) = refused(store, replace(QUICK, jobs=1), *names)
    assert diagnostic.code is codes.UNREACHABLE
    assert f"cannot connect to {HOST}" in diagnostic.message
    assert asked == 1
