"""Redirects: to other hosts, in circles, to plain http; credentials stay with their host."""

from __future__ import annotations

import base64
import re
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.oci.store import Store
from faults.kind import Outcome
from faults.material import HOST
from faults.namespaces import ELSEWHERE
from faults.scenarios import ONLINE_BUILD, PULL
from faults.servers import registry, tags_of
from faults.slow_server import QUICK
from support.faulty_registry import Answer, FaultyRegistry, Request, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faults.bench import Bench

_SECRET = "open-sesame-4711"
_LOGIN = f"user:{_SECRET}"
# The login of all other hosts.
_OTHER_LOGIN = "user:other-sesame"
_STATUSES = (301, 302, 303, 307, 308)
_HOSTS = (("127.0.0.2", 5000), ("127.0.0.1", 5001), (ELSEWHERE, 5000))


@dataclass(repr=False)
class OtherHost(FaultyRegistry):
    """A host that redirects lead to; it serves without asking, or asks in one of many ways."""

    challenge: str = ""
    # Where it redirects further, or empty.
    further: str = ""
    status: int = 307
    seen: list[Request] = field(default_factory=list)

    def answer(self, request: Request) -> Answer:
        """Answer, and keep what was sent."""
        self.seen.append(request)
        if self.further:
            return Answer(self.status, {"Location": f"{self.further}{request.path}"})
        if self.challenge and not request.authorization:
            return Answer(401, {"WWW-Authenticate": self.challenge}, b"{}")
        if request.path == "/token":
            return Answer(200, {"Content-Type": "application/json"}, b'{"token": "bait"}')
        return super().answer(request)


class Redirect:
    """A registry with a login leads to other hosts."""

    name = "redirect"

    def run(self, bench: Bench) -> Outcome:
        """Pull with credentials from a registry that redirects, then from one that does not."""
        chance = bench.chance
        scenario = chance.choice((PULL, ONLINE_BUILD))
        bench.reference(scenario)
        bench.begin(scenario)
        logins = [f"{HOST}={_LOGIN}"]
        if chance.random() < 0.3:
            logins += [f"{host}:{port}={_OTHER_LOGIN}" for host, port in _HOSTS]
        environment = [("DOLMEN_REGISTRY_CREDS", " ".join(logins))]
        is_insecure = chance.random() < 0.5
        if is_insecure:
            environment.append(("DOLMEN_INSECURE", ",".join(f"{h}:{p}" for h, p in _HOSTS)))
        bench.note(f"environment: {environment}")
        with registry(bench.material) as home, ExitStack() as stack:
            home.login, home.tokens = _LOGIN, chance.random() < 0.5
            others = [
                stack.enter_context(serve(OtherHost(Store(bench.material.images)), *where))
                for where in chance.sample(_HOSTS, chance.randint(1, len(_HOSTS)))
            ]
            _connect(bench, home, [o for o in others if isinstance(o, OtherHost)])
            # The token service that a registry names gets the password, but not over any network.
            is_plain_fine = is_insecure or not home.token_host.startswith(ELSEWHERE)
            ended = bench.run(scenario.words, env=environment, program=QUICK)
            bench.judge(scenario, whole=ended.status == 0)
            bench.complain(_leaks(others, home.token_host if is_plain_fine else ""))
            if _SECRET in ended.said:
                bench.complain(["the password is printed"])
            home.forget()
            vars(home).pop("answer", None)
            home.login, home.token_host = "", ""
            bench.recover(scenario)
        return Outcome.RIGHT if ended.status == 0 else Outcome.REFUSED


def _connect(bench: Bench, home: FaultyRegistry, others: list[OtherHost]) -> None:
    """Draw where the redirects lead to."""
    chance = bench.chance
    first = others[0]
    where = chance.choice(("GET .*/blobs/", "(GET|HEAD) .*/manifests/", "GET .*/(blobs|manifests)"))
    for number, other in enumerate(others):
        other.tags |= tags_of(bench.material.images)
        other.challenge = chance.choice(
            (
                *("", "", "", "", ""),
                'Basic realm="there"',
                f'Bearer realm="http://{other.host}/token",service="s",scope="x"',
                f'Bearer realm="http://{home.host}/token",service="s",scope="x"',
                f'Basic realm="{HOST}"',
                "Negotiate",
                'Bearer realm="file:///etc/passwd"',
            )
        )
        other.status = chance.choice(_STATUSES)
        if number + 1 < len(others):
            other.further = f"http://{others[number + 1].host}"
        elif chance.random() < 0.3:
            # A circle.
            other.further = f"http://{chance.choice([home.host, first.host, other.host])}"
        bench.note(f"{other.host}: {other.challenge or 'open'}, further {other.further or '-'}")
    if home.tokens and chance.random() < 0.3:
        home.token_host = first.host
        bench.note(f"the token service is on {first.host}")
    _redirect(bench, home, where, first.host)


def _redirect(bench: Bench, home: FaultyRegistry, where: str, host: str) -> None:
    """Let the registry redirect, to the same path on another host, or to odd places."""
    chance = bench.chance
    status = chance.choice(_STATUSES)
    odd = ("/", "//", "file:///etc/passwd", "ftp://127.0.0.2/x", "http://user:pw@127.0.0.2:5000/x")
    if chance.random() < 0.2:
        target = chance.choice(odd)
        bench.note(f"{where}: {status} to {target}")
        home.fail(where, status=status, headers={"Location": target})
        return
    bench.note(f"{where}: {status} to the same path of {host}")
    answer = home.answer

    def redirecting(request: Request) -> Answer:
        given = answer(request)
        if given.status == 200 and re.search(where, str(request)):
            return Answer(status, {"Location": f"http://{host}{request.path}"})
        return given

    home.answer = redirecting  # type: ignore[method-assign]


def _leaks(others: list[FaultyRegistry], token_host: str) -> Iterator[str]:
    """Yield where another host got what belongs to the first."""
    packed = base64.b64encode(_LOGIN.encode()).decode()
    for other in others:
        for request in other.requests:
            text = f"{request.path} {request.query} {request.headers} {request.body!r}"
            if request.path == "/token" and other.host == token_host:
                continue
            if _SECRET in text or packed in text:
                yield f"the password goes to {other.host}: {request}"
            elif "Bearer t-" in text:
                yield f"a token goes to {other.host}: {request}"
