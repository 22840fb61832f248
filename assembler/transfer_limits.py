"""Limits of transfers: the time of the head of an answer, and the rate of a long body."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from functools import partial
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

import requests.adapters
import urllib3.connection
import urllib3.connectionpool

from assembler.thread_waits import time_limit

if TYPE_CHECKING:
    from collections.abc import Callable


class RateWatch:
    """Calls `cut` as soon as less than a rate has arrived in a window of time."""

    def __init__(self, rate: int, window: float, cut: Callable[[], object]) -> None:
        """Prepare; `with` starts it."""
        self.too_slow = False
        self._least = rate * window
        self._window = window
        self._cut = cut
        self._arrived = 0
        self._done = threading.Event()

    def __enter__(self) -> RateWatch:
        """Start to measure."""
        threading.Thread(target=self._measure, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop to measure."""
        self._done.set()

    def advance(self, size: int) -> None:
        """Count bytes that have arrived."""
        self._arrived += size

    def _measure(self) -> None:
        before = 0
        while not self._done.wait(self._window):
            arrived = self._arrived
            if arrived - before < self._least:
                self.too_slow = True
                with suppress(Exception):  # the transfer may end at this moment, in any state
                    self._cut()
                return
            before = arrived


class BoundedAdapter(requests.adapters.HTTPAdapter):
    """Connections whose read timeout is also the limit for the whole head of an answer."""

    def init_poolmanager(self, *args: Any, **keywords: Any) -> None:  # noqa: ANN401 - of requests
        """Use bounded connections."""
        super().init_poolmanager(*args, **keywords)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **keywords: Any) -> Any:  # noqa: ANN401 - of requests
        """Use bounded connections through a proxy, too."""
        manager = super().proxy_manager_for(*args, **keywords)
        manager.pool_classes_by_scheme = _POOLS
        return manager


class _BoundedHead(urllib3.connection.HTTPConnection):
    """Reads the head of an answer within the read timeout."""

    def getresponse(self) -> Any:  # noqa: ANN401 - of urllib3
        if self.sock is None or not isinstance(self.timeout, int | float):
            return super().getresponse()
        # Not the method of a TLS socket, which is not made for other threads.
        cut = partial(socket.socket.shutdown, self.sock, socket.SHUT_RDWR)
        with time_limit(self.timeout, cut) as is_cut:
            try:
                return super().getresponse()
            except (OSError, HTTPException) as error:
                if is_cut.is_set():
                    raise TimeoutError("the head of the answer is not complete") from error
                raise


class _HttpConnection(_BoundedHead):
    """A connection without TLS."""


class _HttpsConnection(_BoundedHead, urllib3.connection.HTTPSConnection):
    """A connection with TLS."""


class _HttpPool(urllib3.connectionpool.HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(urllib3.connectionpool.HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


_POOLS = {"http": _HttpPool, "https": _HttpsPool}
