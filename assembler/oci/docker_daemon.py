"""The local Docker daemon as a source of images."""

from __future__ import annotations

import io
from typing import IO, TYPE_CHECKING, Any, cast

from assembler.codes import images
from assembler.errors import ImageError
from assembler.events import LogMessage
from assembler.oci.archive_import import ArchiveInput, import_archive
from assembler.oci.platform import Platform, normalize_architecture
from assembler.oci.store import MissingImage, look_up_image
from assembler.tools import require_extra

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from docker import DockerClient
    from docker.models.images import Image as DaemonImage

    from assembler.events import Reporter
    from assembler.oci.reference import Reference
    from assembler.oci.store import Store


def import_from_daemon(
    store: Store, references: Sequence[Reference], platform: Platform, reporter: Reporter
) -> list[Reference]:
    """Import the images that the daemon has for the platform, and return their references.

    References with a digest are skipped: archives of the daemon have other digests.
    """
    require_extra("docker")
    import docker  # noqa: PLC0415 - slow to import, and seldom needed
    import requests  # noqa: PLC0415

    imported = []
    try:
        client = docker.from_env()
        try:
            for reference in references:
                image = None if reference.pinned else _find_in_daemon(client, reference)
                if image is not None and _import_image(store, image, reference, platform, reporter):
                    imported.append(reference)
        finally:
            client.close()
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise ImageError.of(
            images.DAEMON_UNAVAILABLE,
            f"the Docker daemon cannot be asked: {daemon_root_cause(error)}",
            "the images come from the store and registries; see whether `docker info` works",
        ) from None
    return imported


def ping_daemon(timeout: int = 5) -> None:
    """Raise HostError unless the Docker daemon responds."""
    require_extra("docker")
    import docker  # noqa: PLC0415
    import requests  # noqa: PLC0415

    try:
        client = docker.from_env(timeout=timeout)
        try:
            client.ping()
        finally:
            client.close()
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise ImageError.of(
            images.DAEMON_UNAVAILABLE,
            f"the Docker daemon cannot be asked: {daemon_root_cause(error)}",
        ) from None


def _find_in_daemon(client: DockerClient, reference: Reference) -> DaemonImage | None:
    import docker  # noqa: PLC0415

    try:
        return client.images.get(str(reference))
    except docker.errors.NotFound:
        return None


def _import_image(
    store: Store,
    image: DaemonImage,
    reference: Reference,
    platform: Platform,
    reporter: Reporter,
) -> bool:
    """Import one image, unless it is for another platform or already in the store."""
    image_platform = _platform_of(image.attrs)
    if image_platform is not None and not image_platform.satisfies(platform):
        reporter.emit(
            LogMessage(f"{reference} in the Docker daemon is for {image_platform}: not used")
        )
        return False
    if _is_in_store(store, image, reference, platform):
        reporter.emit(LogMessage(f"{reference} in the Docker daemon is the image in the store", 1))
        return True
    # By its ID, since daemons shorten names in their own way.
    stream = image.save()
    file = io.BufferedReader(_ChunkFile(iter(stream)), 1 << 20)
    upload = ArchiveInput(cast("IO[bytes]", file), f"docker {reference}", name=reference)
    import_archive(store, upload, reporter)
    return True


def _platform_of(attrs: dict[str, Any]) -> Platform | None:
    architecture = attrs.get("Architecture")
    if not architecture:
        return None
    system, variant = attrs.get("Os") or "linux", attrs.get("Variant") or ""
    return Platform(str(system), normalize_architecture(str(architecture)), str(variant))


def _is_in_store(
    store: Store, image: DaemonImage, reference: Reference, platform: Platform
) -> bool:
    result = look_up_image(store, reference, platform)
    if isinstance(result, MissingImage):
        return False
    tops = {result.manifest.config.digest, result.digest}
    if result.index is not None:
        tops.add(result.index.digest)
    return image.id in tops


def daemon_root_cause(error: Exception) -> str:
    """Return the message of the innermost cause, without addresses of Python objects."""
    reason: BaseException = error
    while (inner := reason.__cause__ or reason.__context__) is not None:
        reason = inner
    text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return " ".join(str(text).split())[:200]


class _ChunkFile(io.RawIOBase):
    """A readable file made of chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        super().__init__()
        self._chunks = chunks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - any writable buffer
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = chunk
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
