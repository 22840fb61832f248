"""The kinds of faults: a new one is a module with the protocol of `faults.kind`, and a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faults.full_disk import FullDisk
from faults.hostile_layer import HostileLayer
from faults.kill import Kill
from faults.redirect import Redirect
from faults.rot import Rot
from faults.slow_server import SlowServer

if TYPE_CHECKING:
    from faults.kind import FaultKind

KINDS: tuple[FaultKind, ...] = (
    Kill(),
    FullDisk(),
    Rot(),
    SlowServer(),
    Redirect(),
    HostileLayer(),
)
