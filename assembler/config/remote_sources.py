"""The sources of a YAML file from a URL: fetched from beside it, within limits for all of them."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin

from assembler.codes import config as codes
from assembler.config.diagnostics import error
from assembler.config.download import DownloadFailure, read_url
from assembler.config.urls import printable_name

if TYPE_CHECKING:
    from assembler.config.model import RootfsFile
    from assembler.diagnostics import Diagnostic

# They are in memory until the system is written.
_MAX_SIZE = 64 << 20
_MAX_SECONDS = 120.0


class RemoteSources:
    """Fetches the sources of one YAML file, and stops at the first one beyond the limits."""

    def __init__(self, url: str) -> None:
        """Start with the whole of the limits."""
        self._url = url
        self._contents: dict[str, bytes | DownloadFailure] = {}
        self._size_left = _MAX_SIZE
        self._deadline = time.monotonic() + _MAX_SECONDS
        self._beyond_limits = False

    def fetch(self, file: RootfsFile, diagnostics: list[Diagnostic]) -> RootfsFile:
        """Return the file with the content of its source; failures are added to diagnostics."""
        # Quoted, so that a name with a colon or question mark is still a path on the same host.
        url = urljoin(self._url, quote(file.source or "", errors="replace"))
        if url not in self._contents:
            if self._beyond_limits:
                return replace(file, source_url=url)  # one error about the limits is enough
            self._contents[url] = self._read(url)
        content = self._contents[url]
        if isinstance(content, bytes):
            return replace(file, source_url=url, source_content=content)
        if not (content.missing and file.optional):
            place = file.positions.place_of("source")
            message = f"cannot fetch {printable_name(url)}: {content}"
            hint = "`optional: true` allows a missing source" if content.missing else ""
            diagnostics.append(error(codes.DOWNLOAD_FAILED, message, place, hint))
        return replace(file, source_url=url)

    def _read(self, url: str) -> bytes | DownloadFailure:
        seconds = self._deadline - time.monotonic()
        if seconds <= 0:
            self._beyond_limits = True
            return DownloadFailure(f"all sources took more than {_MAX_SECONDS:.0f} seconds")
        try:
            content = read_url(url, self._size_left, seconds)
        except DownloadFailure as failure:
            return failure
        if len(content) > self._size_left:
            self._beyond_limits = True
            return DownloadFailure(f"all sources are larger than {_MAX_SIZE >> 20} MiB")
        self._size_left -= len(content)
        return content
