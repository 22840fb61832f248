"""A YAML file behind an http(s) URL: bounded in size and in time."""

from __future__ import annotations

import time

import requests

from assembler.codes import config as codes
from assembler.config.reading import too_large
from assembler.diagnostics import Place, Source
from assembler.errors import ConfigError

_CONNECT = 10.0
_SILENCE = 20.0
_WHOLE = 60.0
_PIECE = 1 << 16


def fetch(url: str, largest: int) -> bytes:
    """Return what the URL gives, at most `largest` bytes of it."""
    deadline = time.monotonic() + _WHOLE
    try:
        with requests.get(url, stream=True, timeout=(_CONNECT, _SILENCE)) as answer:
            if answer.status_code != requests.codes.ok:
                raise _refusal(url, f"the server says {answer.status_code} {answer.reason}".strip())
            content = bytearray()
            for piece in answer.iter_content(_PIECE):
                content += piece
                if len(content) > largest:
                    raise too_large(url)
                if time.monotonic() > deadline:
                    raise _refusal(url, f"not complete after {_WHOLE:.0f} seconds")
            return bytes(content)
    except requests.RequestException as error:
        raise _refusal(url, _why(error)) from error
    except (ValueError, OSError) as error:
        # Host names and ports that no socket takes.
        raise _refusal(url, str(error)) from error


def _why(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "the certificate is not one that is trusted here"
    if isinstance(error, requests.Timeout):
        return "the server does not answer"
    if isinstance(error, requests.TooManyRedirects):
        return "it is redirected round and round"
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
        return "this is not a URL"
    if isinstance(error, requests.ConnectionError):
        return "there is no connection to the server"
    return str(error)


def _refusal(url: str, why: str) -> ConfigError:
    return ConfigError.of(
        codes.NOT_FETCHED, f"cannot fetch {url}: {why}", place=Place(Source(url, ""))
    )
