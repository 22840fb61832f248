"""Uploading blobs and manifests to a registry, or mounting blobs from another repository."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import oras.container
import oras.utils

from assembler.codes import registries
from assembler.oci import digest as digests
from assembler.oci.registry.failures import RegistryFailure, registry_failure, wrong_content

if TYPE_CHECKING:
    from collections.abc import Callable

    from assembler.oci.manifest import Descriptor
    from assembler.oci.registry.client import Client
    from assembler.oci.store import Store

# oras reads a blob of this size into memory before it sends it.
_SMALL = 1 << 20
_PIECE = 8 << 20
_TOO_LARGE = 413


@dataclass(frozen=True, slots=True)
class BlobUpload:
    """A blob of the store to upload into a repository."""

    store: Store
    client: Client
    repository: str
    descriptor: Descriptor
    # A repository of the same registry that may have the blob.
    mount_from: str = ""

    def send(self, sent: Callable[[int], None]) -> str:
        """Upload the blob, and return how: "there", "mounted" or "pushed"."""
        container = self.client.container(self.repository)
        if self.client.blob_exists(self._layer, container):
            return "there"
        # Mounting is tried once; after any failure the blob is uploaded.
        location = self._mounted(container) if self.mount_from else ""
        if location is None:
            return "mounted"
        began = [location] if location else []

        def attempt() -> None:
            self._report(container, began.pop() if began else "", sent)

        self.client.retries.with_retries(attempt)
        return "pushed"

    @property
    def _layer(self) -> dict[str, str | int]:
        """Return the descriptor as oras wants it."""
        return {"digest": self.descriptor.digest, "size": self.descriptor.size}

    def _mounted(self, container: oras.container.Container) -> str | None:
        """Return None if the registry has mounted the blob, else where to send it."""
        origin = self.client.endpoint.repository(self.mount_from)
        query = {"mount": self.descriptor.digest, "from": origin}
        url = oras.utils.append_url_params(self.client.url(container.upload_blob_url()), query)
        try:
            response = self.client.do_request(url, "POST")
        except RegistryFailure:
            return ""
        if response.status_code == 201:
            return None
        return self.client.location(response, url)

    def _report(
        self, container: oras.container.Container, location: str, sent: Callable[[int], None]
    ) -> None:
        sent(0)
        if self.descriptor.size <= _SMALL and not location:
            path = str(self.store.path(self.descriptor.digest))
            self.client.put_upload(path, container, self._layer)
            sent(self.descriptor.size)
            return
        if not location:
            url = self.client.url(container.upload_blob_url())
            location = self.client.location(self.client.do_request(url, "POST"), url)
        target = oras.utils.append_url_params(location, {"digest": self.descriptor.digest})
        with self.store.open(self.descriptor) as file:
            body = _ProgressFile(file, self.descriptor.size, sent)
            headers = {"Content-Type": "application/octet-stream"}
            try:
                self.client.do_request(target, "PUT", data=body, headers=headers)
            except RegistryFailure as error:
                if error.status != _TOO_LARGE:
                    raise
                self._send_in_chunks(container)
        sent(self.descriptor.size)

    def _send_in_chunks(self, container: oras.container.Container) -> None:
        """Send the blob in several requests, for proxies that limit their size."""
        path = str(self.store.path(self.descriptor.digest))
        try:
            self.client.chunked_upload(path, container, self._layer, chunk_size=_PIECE)
        except ValueError as error:  # oras raises it for an unexpected response
            raise registry_failure(
                registries.PUSH_REFUSED,
                f"{container.registry}/{container.api_prefix}: {self.client.endpoint.host} takes "
                f"the blob {self.descriptor.digest} neither whole nor in pieces",
            ) from error


def push_manifest(client: Client, repository: str, name: str, kind: str, data: bytes) -> None:
    """Push a manifest or index with its exact bytes."""
    url = client.url(client.container(repository, name).manifest_url())
    response = client.do_request(url, "PUT", data=data, headers={"Content-Type": kind})
    claimed = response.headers.get("Docker-Content-Digest", "")
    digest = digests.digest_of(data)
    if digests.is_digest(claimed) and claimed != digest:
        raise wrong_content(
            client.describe(url), client.endpoint.host, f"it says it took {claimed} for {digest}"
        )


class _ProgressFile(io.RawIOBase):
    """A request body that reports how much has been read."""

    def __init__(self, file: IO[bytes], size: int, sent: Callable[[int], None]) -> None:
        super().__init__()
        self._file = file
        self._report = sent
        # requests makes Content-Length of it.
        self.len = size

    def read(self, size: int = -1) -> bytes:
        """Read the next bytes."""
        chunk = self._file.read(size)
        self._report(self._file.tell())
        return chunk

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Seek, to send the body again after a 401."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def readable(self) -> bool:
        """Return True."""
        return True
