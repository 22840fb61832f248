"""The download of a YAML file from an http(s) URL, limited in size and time."""

from __future__ import annotations

import time

import requests

from assembler.codes import config as codes
from assembler.diagnostics import Place, SourceText
from assembler.errors import ConfigError

_CONNECT_TIMEOUT = 10.0
_READ_TIMEOUT = 20.0
_MAX_SECONDS = 60.0
_CHUNK_SIZE = 1 << 16


def download(url: str, max_size: int) -> bytes:
    """Return the content of the URL; stop as soon as it is longer than `max_size`."""
    deadline = time.monotonic() + _MAX_SECONDS
    try:
        with requests.get(url, stream=True, timeout=(_CONNECT_TIMEOUT, _READ_TIMEOUT)) as response:
            if response.status_code != requests.codes.ok:
                reason = f"the server says {response.status_code} {response.reason}"
                raise _download_error(url, reason.strip())
            content = bytearray()
            for chunk in response.iter_content(_CHUNK_SIZE):
                content += chunk
                if len(content) > max_size:
                    break
                if time.monotonic() > deadline:
                    raise _download_error(url, f"not complete after {_MAX_SECONDS:.0f} seconds")
            return bytes(content)
    except requests.RequestException as error:
        raise _download_error(url, _reason(error)) from error
    except (ValueError, OSError) as error:
        # Raised for host names and ports that no socket accepts.
        raise _download_error(url, str(error)) from error


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate is not trusted"
    if isinstance(error, requests.Timeout):
        return "the server does not answer"
    if isinstance(error, requests.TooManyRedirects):
        return "too many redirects"
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
        return "this is not a URL"
    if isinstance(error, requests.ConnectionError):
        return "cannot connect to the server"
    return str(error)


def _download_error(url: str, reason: str) -> ConfigError:
    place = Place(SourceText(url, ""))
    return ConfigError.of(codes.DOWNLOAD_FAILED, f"cannot fetch {url}: {reason}", place=place)
