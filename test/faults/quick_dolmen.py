"""Run `dolmen` as usual, but with short waits for servers: a round has to end in seconds."""

from __future__ import annotations

import runpy
import sys

from assembler.config import download
from assembler.debian.archives import downloads
from assembler.oci.registry import options

CONNECT, STALL = 1.0, 0.6
SECONDS = 3.0


def shorten() -> None:
    """Replace the waits; a name that is gone is an error, for the rounds would then be slow."""
    waits = {"connect_timeout": CONNECT, "stall_timeout": STALL, "document_seconds": SECONDS}
    _replace_defaults(options.RegistryOptions, {**waits, "rate_window": STALL})
    _replace_defaults(downloads.Downloader, {"rate_window": STALL})
    _replace_defaults(options.RetryPolicy, {"first": 0.01, "longest": 0.02, "max_retry_after": 2.0})
    for module, name, value in (
        (downloads, "_TIMEOUT", (CONNECT, STALL)),
        (download, "_CONNECT_TIMEOUT", CONNECT),
        (download, "_READ_TIMEOUT", STALL),
        (download, "_MAX_SECONDS", SECONDS),
    ):
        if not hasattr(module, name):
            raise AttributeError(f"{module.__name__}.{name} is gone")
        setattr(module, name, value)


def _replace_defaults(kind: type, values: dict[str, float]) -> None:
    """Replace defaults of a dataclass."""
    make = kind.__init__  # type: ignore[misc]
    names = make.__code__.co_varnames[1 : make.__code__.co_argcount]
    first = len(names) - len(make.__defaults__)
    missing = values.keys() - set(names)
    if missing:
        raise AttributeError(f"{kind.__name__} has no {missing}")
    make.__defaults__ = tuple(
        values.get(name, value)
        for name, value in zip(names[first:], make.__defaults__, strict=True)
    )


if __name__ == "__main__":
    shorten()
    sys.argv[0] = "dolmen"
    runpy.run_module("dolmen", run_name="__main__", alter_sys=True)
