"""The protocol of terminals: console output, input, and requests to stop."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class ConsoleIO(Protocol):
    """A terminal, or another source of input and sink of console output."""

    @property
    def handles(self) -> Sequence[int]:
        """Return the file descriptors to watch for input and for requests to stop."""

    @property
    def stop_requests(self) -> Sequence[int]:
        """Return the requests to stop so far: signal numbers, or 0 for the detach key.

        The first asks the guest to shut down, the second kills the machine.
        """

    def opened(self) -> AbstractContextManager[object]:
        """Collect requests to stop during the block, from before the machine starts."""

    def attached(self) -> AbstractContextManager[object]:
        """Read input and show output during the block."""

    def read(self, handle: int) -> bytes | None:
        """Return input for the guest from a readable handle, or None at its end."""

    def write(self, data: bytes) -> None:
        """Show output of the console."""


class NullConsole:
    """A console without input that shows nothing."""

    handles: Sequence[int] = ()
    stop_requests: Sequence[int] = ()

    def opened(self) -> AbstractContextManager[object]:
        """Do nothing."""
        return nullcontext()

    def attached(self) -> AbstractContextManager[object]:
        """Do nothing."""
        return nullcontext()

    def read(self, handle: int) -> bytes | None:  # noqa: ARG002 - the protocol's parameter
        """Return the end of input."""
        return None

    def write(self, data: bytes) -> None:
        """Ignore the output."""
