"""Slow and lying servers: what comes in the end is right, or the error is clear and soon."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faults.kind import Outcome
from faults.scenarios import HTTP_RECIPE, ONLINE_BUILD, PULL, URL_BUILD
from faults.servers import archive, registry

if TYPE_CHECKING:
    import random

    from faults.bench import Bench

QUICK = (sys.executable, str(Path(__file__).with_name("quick_dolmen.py")))
_STATUSES = (400, 403, 404, 408, 429, 500, 502, 503, 504)
_REGISTRY = ("GET", "HEAD", "GET .*/blobs/", "GET .*/manifests/")
# By command, the requests that go wrong.
_PLACES = {
    PULL: _REGISTRY,
    ONLINE_BUILD: _REGISTRY,
    HTTP_RECIPE: ("GET", "Packages", "Release", r"GET .*\.deb"),
    URL_BUILD: ("GET", "GET .*image.yml", "GET .*copied.bin"),
}
_ODD_HEADERS = (
    {"Content-Length": "99999999999"},
    {"Content-Type": "text/html"},
    {"Content-Encoding": "gzip"},
    {"Docker-Content-Digest": "sha256:" + "0" * 64},
    {"Docker-Content-Digest": "not a digest"},
    {"Location": "::::"},
    {"Retry-After": "999999999"},
    {"Retry-After": "a while"},
    {"Content-Range": "bytes 5-1/0"},
    {"X-Odd": "\x1b[31m" + "y" * 30_000},
)


class SlowServer:
    """A registry or an archive that stalls, drips, cuts, lies or refuses."""

    name = "slow-server"

    def run(self, bench: Bench) -> Outcome:
        """Run a command with a faulty server, then with a well one."""
        scenario = bench.chance.choice(tuple(_PLACES))
        bench.reference(scenario)
        bench.begin(scenario)
        with registry(bench.material) as images, archive(bench.material) as debs:
            where = _PLACES[scenario]
            server = images if where is _REGISTRY else debs
            for _ in range(bench.chance.choice((1, 1, 2))):
                fault = drawn_fault(bench.chance)
                while scenario is URL_BUILD and _is_another_file(fault):
                    fault = drawn_fault(bench.chance)
                place = bench.chance.choice(where)
                bench.note(f"{place}: {str(fault)[:200]}")
                server.fail(place, **fault)
            ended = bench.command(scenario, program=QUICK)
            bench.judge(scenario, whole=ended.status == 0)
            server.forget()
            bench.recover(scenario)
        return Outcome.RIGHT if ended.status == 0 else Outcome.REFUSED


def _is_another_file(fault: dict[str, Any]) -> bool:
    """Tell whether a server sends another whole file, which only a digest shows: YAML has none."""
    return "body" in fault or "corrupt" in fault or bool(fault.get("honest"))


def drawn_fault(chance: random.Random) -> dict[str, Any]:
    """Draw what a server does wrong."""
    at = chance.choice((0, 1, 10, 1000, 20_000, 100_000))
    faults: tuple[dict[str, Any], ...] = (
        {"stall_after": at, "stall_seconds": chance.choice((0.2, 1.5, 40.0))},
        {"cut_after": at},
        {"bytes_per_second": chance.choice((5.0, 50.0)), "step": 1},
        {"bytes_per_second": 100_000},
        {"status": chance.choice(_STATUSES)},
        {"status": 429, "headers": {"Retry-After": chance.choice(("0", "1", "3600"))}},
        {"corrupt": True},
        {"corrupt": True, "no_ranges": True, "cut_after": at},
        {"longer": chance.choice((1, -1, 5000, -500)), "honest": chance.random() < 0.5},
        {"body": chance.choice((b"", b"{}", b"[" * 5000, b"\x1b]0;x\x07", chance.randbytes(300)))},
        {"headers": chance.choice(_ODD_HEADERS)},
        {"no_ranges": True, "cut_after": at},
    )
    drawn = dict(chance.choice(faults))
    drawn["times"] = chance.choice((1, 2, 10**9))
    drawn["after"] = chance.choice((0, 0, 1, 3))
    return drawn
