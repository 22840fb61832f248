"""Downloading blobs from a registry into the store: streamed, resumable, verified."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from assembler.codes import images, registries
from assembler.errors import ImageError
from assembler.oci.registry.failures import RegistryFailure, registry_failure, wrong_content

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests

    from assembler.oci.registry.client import Client
    from assembler.oci.store import IncomingBlob
    from assembler.transfer_limits import RateWatch

_CHUNK = 512 << 10
# An attempt that received this much does not count as failed.
_PROGRESS = 64 << 10
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


def download_blob(
    client: Client, repository: str, incoming: IncomingBlob, arrived: Callable[[int], None]
) -> None:
    """Download a blob into the store; `arrived` receives its length so far."""
    digest = incoming.descriptor.digest
    url = client.url(client.container(repository).get_blob_url(digest))
    tried, afresh = 0, False
    while True:
        before = incoming.offset
        try:
            _attempt(client, url, incoming, arrived)
        except RegistryFailure as error:
            tried = 1 if incoming.offset - before >= _PROGRESS else tried + 1
            client.retries.after(error, tried, client.attempts)
            continue
        pieced = before > 0 and not afresh
        try:
            incoming.commit()
        except ImageError as error:
            if error.diagnostics[0].code is not images.CORRUPT_BLOB:
                raise
            if pieced:
                # The part of an earlier attempt may be wrong: download all of it again.
                afresh = True
                arrived(0)
                continue
            why = "its digest is another one"
            raise wrong_content(client.describe(url), client.endpoint.host, why) from None
        return


def _attempt(
    client: Client, url: str, incoming: IncomingBlob, arrived: Callable[[int], None]
) -> None:
    """Request the missing part, and write it."""
    size = incoming.descriptor.size
    if incoming.offset == size:
        return  # empty, or cut after its last byte
    what = client.describe(url)
    headers = {"Range": f"bytes={incoming.offset}-"} if incoming.offset else {}
    try:
        response = client.do_request(url, headers=headers, stream=True)
    except RegistryFailure as error:
        if error.status != 416:
            # Transient failures have been retried already.
            error.transient = False
            raise
        incoming.restart()
        response = client.do_request(url, stream=True)
    with response, client.transport.abortable(response):
        _check_range(client, what, response, incoming)
        with client.transport.watch(response, what) as watch:
            _receive(client, what, response, incoming, arrived, watch)
    if incoming.offset < size:
        raise registry_failure(
            registries.UNREACHABLE,
            f"{what}: the connection to {client.endpoint.host} broke "
            f"after {incoming.offset} of {size} bytes",
            "try again: what has arrived is kept",
            transient=True,
        )


def _check_range(
    client: Client, what: str, response: requests.Response, incoming: IncomingBlob
) -> None:
    """Raise if the response is not the requested range, before any of it is read."""
    size, host = incoming.descriptor.size, client.endpoint.host
    if response.status_code != 206:
        if incoming.offset:
            incoming.restart()  # the server ignores ranges and sends everything
    else:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
        if match is None or int(match[1]) != incoming.offset:
            raise wrong_content(what, host, "another part of it than was asked for")
        if match[3] not in ("*", str(size)):
            raise wrong_content(what, host, f"{match[3]} bytes where {size} are expected")
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) != size - incoming.offset:
        raise wrong_content(
            what, host, f"{length} bytes where {size - incoming.offset} are expected"
        )


def _receive(
    client: Client,
    what: str,
    response: requests.Response,
    incoming: IncomingBlob,
    arrived: Callable[[int], None],
    watch: RateWatch,
) -> None:
    host = client.endpoint.host
    while True:
        client.retries.check()
        with client.transport.network_errors(what, host):
            # Take any amount: a killed process keeps what it received.
            chunk = response.raw.read1(_CHUNK, decode_content=False)
        if not chunk:
            return
        if incoming.offset + len(chunk) > incoming.descriptor.size:
            incoming.restart()
            raise wrong_content(
                what, host, f"more than the {incoming.descriptor.size} bytes it should have"
            )
        incoming.write(chunk)
        watch.advance(len(chunk))
        arrived(incoming.offset)
