"""Kills: a command ends by a signal at a random moment; the next one makes everything right."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from contextlib import nullcontext
from typing import TYPE_CHECKING

from faults import processes
from faults.bench import injected
from faults.kind import Outcome
from faults.scenarios import LOCAL, ONLINE_BUILD, PULL
from faults.servers import registry

if TYPE_CHECKING:
    from faults.bench import Bench
    from faults.processes import Ended
    from faults.scenarios import Scenario

# What a command that a signal ended may return: as documented, or by the signal, which shells show
# as the same number; Python has no handlers while it starts and ends.
_STATUSES = {
    signal.SIGKILL: {0, 1, -9},
    signal.SIGTERM: {0, 1, 143, -15},
    signal.SIGINT: {0, 1, 130, -2},
}


class Kill:
    """A command is killed, terminated or interrupted, by time or at a system call."""

    name = "kill"

    def run(self, bench: Bench) -> Outcome:
        """Kill a command once, or several in one store, then run it undisturbed."""
        scenario = bench.chance.choice((*LOCAL, PULL, ONLINE_BUILD))
        reference = bench.reference(scenario)
        bench.begin(scenario)
        served = registry(bench.material) if scenario.served else nullcontext()
        with served as server:
            if server is not None:
                server.fail("GET .*/blobs/", bytes_per_second=2_000_000)
            for _ in range(bench.chance.choice((1, 1, 1, 3))):
                number = bench.chance.choice(list(_STATUSES))
                if bench.chance.random() < 0.5 and reference.calls:
                    ended = _at_a_call(bench, scenario, number)
                else:
                    ended = _at_a_time(bench, scenario, number)
                bench.judge(scenario, whole=ended.status == 0)
                if number != signal.SIGKILL:
                    # A command that is asked to end removes its files itself.
                    bench.complain(
                        f"{signal.Signals(number).name} leaves: out/{path.name}"
                        for path in bench.out.glob(".*")
                    )
            if server is not None:
                server.forget()
            bench.recover(scenario)
        return Outcome.RIGHT if ended.status == 0 else Outcome.REPAIRED


def _at_a_time(bench: Bench, scenario: Scenario, number: signal.Signals) -> Ended:
    """Send a signal after a fraction of the measured duration."""
    moment = bench.reference(scenario).seconds * bench.chance.uniform(0.05, 1.1)
    to_all = bench.chance.random() < 0.5
    bench.note(f"{number.name} after {moment:.3f} s to {'all' if to_all else 'the first'}")

    def disturb(process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(moment)
        processes.send(process.pid, number, to_all=to_all)

    return bench.command(scenario, disturb=disturb, statuses=_STATUSES[number])


def _at_a_call(bench: Bench, scenario: Scenario, number: signal.Signals) -> Ended:
    """Let strace send a signal at the n-th call of a system call in some process."""
    calls = bench.reference(scenario).calls
    call = bench.chance.choice(sorted(calls))
    # The first calls are mostly those of imports.
    nth = max(1, round(calls[call] * bench.chance.random() ** 0.5))
    bench.note(f"{number.name} at {call} number {nth}")
    before = injected(call, f"signal={number.name}:when={nth}")
    return bench.command(scenario, before=before, statuses=_STATUSES[number])
