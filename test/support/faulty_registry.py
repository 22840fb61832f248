"""A registry in this process that notes what it is asked, and does wrong what it is told to."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import random
import re
import socket
import threading
import time
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from assembler.oci.manifest import Descriptor, parse_manifest
from assembler.oci.registry.options import RegistryOptions, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.oci.store import Store

# Waits as a user would have it, but for a test's time.
QUICK = RegistryOptions(
    connect_timeout=1.0,
    stall_timeout=0.5,
    retry_policy=RetryPolicy(attempts=3, first=0.01, longest=0.02, max_retry_after=2.0),
)


def noise(seed: int, size: int) -> bytes:
    """Return bytes that do not compress, the same every time."""
    return random.Random(seed).randbytes(size)


@dataclass
class Fault:
    """What to do wrong with requests whose `METHOD /path` the pattern is found in."""

    where: str
    # So often; then the registry is well again.
    times: int = 10**9
    # How many such requests are answered well before.
    after: int = 0
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    # Bytes of the body that are sent before the connection is closed, or stands still.
    cut_after: int | None = None
    stall_after: int | None = None
    stall_seconds: float = 5.0
    # Change the body but not its length, or make it longer or shorter, and say so or not.
    corrupt: bool = False
    longer: int = 0
    honest: bool = True
    no_ranges: bool = False
    # Send a byte at a time, so often, from here on: of the body, or of the head.
    drip_after: int | None = None
    drip_head: bool = False
    drip_seconds: float = 0.05
    bytes_per_second: float = 0
    # The bytes that are sent at a time if they are sent slowly.
    step: int = 8 << 10
    # Only requests that would be answered with the blob or document itself.
    only_with_range: bool = False


@dataclass(frozen=True)
class Request:
    """What somebody asked."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def authorization(self) -> str:
        """Return who they said they are."""
        return self.headers.get("authorization", "")

    def __str__(self) -> str:
        """Return the form that patterns are looked for in."""
        return f"{self.method} {self.path}"


@dataclass
class Answer:
    """What a well registry answers."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(repr=False)
class FaultyRegistry:
    """A registry that serves what is in a store, under repositories and tags of its own."""

    store: Store
    tags: dict[tuple[str, str], Descriptor] = field(default_factory=dict)
    # What was pushed to it: digests by repository.
    pushed: dict[str, set[str]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    # "USER:PASS" for basic, or with `tokens` for getting one.
    login: str = ""
    tokens: bool = False
    # A repository anybody may mount from, or that one has no such blob.
    strict_repositories: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)
    uploads: dict[str, bytearray] = field(default_factory=dict)
    host: str = ""
    token_host: str = ""

    def publish(self, repository: str, tag: str, descriptor: Descriptor) -> str:
        """Give something in the store a tag, and return the image's name."""
        self.tags[repository, tag] = descriptor
        name = f"{self.host}/{repository}:{tag}"
        self.store.put(name, descriptor)
        return name

    def fail(self, where: str, **what: Any) -> Fault:
        """Do something wrong from now on."""
        fault = Fault(where, **what)
        self.faults.append(fault)
        return fault

    def asked(self, pattern: str) -> list[Request]:
        """Return the requests in whose `METHOD /path` the pattern is found."""
        with self.lock:
            return [r for r in self.requests if re.search(pattern, str(r))]

    def forget(self) -> None:
        """Be well again, and forget what was asked."""
        self.faults.clear()
        self.requests.clear()

    # Answers of a well registry

    def answer(self, request: Request) -> Answer:
        """Return what a well registry answers."""
        refused = self._who_are_you(request)
        if refused is not None:
            return refused
        if request.path == "/token":
            return self._token(request)
        match = re.fullmatch(r"/v2/(.+)/(manifests|blobs|tags)/(.*)", request.path)
        if match is None:
            return Answer(200 if request.path == "/v2/" else 404, body=b"{}")
        repository, kind, name = match.groups()
        if kind == "tags":
            tags = [t for r, t in self.tags if r == repository]
            return _json({"name": repository, "tags": tags})
        if kind == "manifests":
            return self._manifest(request, repository, name)
        if name.startswith("uploads/"):
            return self._upload(request, repository, name.removeprefix("uploads/"))
        return self._blob(repository, name)

    def _who_are_you(self, request: Request) -> Answer | None:
        if not self.login or request.path == "/token":
            return None
        basic = "Basic " + base64.b64encode(self.login.encode()).decode()
        if not self.tokens:
            if request.authorization == basic:
                return None
            return _error(401, "UNAUTHORIZED", {"WWW-Authenticate": 'Basic realm="here"'})
        match = re.fullmatch(r"/v2/(.+)/(manifests|blobs|tags)/.*", request.path)
        action = "pull" if request.method in ("GET", "HEAD") else "pull,push"
        scope = f"repository:{match[1]}:{action}" if match else ""
        if scope and request.authorization in (
            f"Bearer {_token(scope)}",
            f"Bearer {_token(scope.replace(':pull', ':pull,push'))}",
        ):
            return None
        realm = f"http://{self.token_host or self.host}/token"
        challenge = f'Bearer realm="{realm}",service="a registry",scope="{scope}"'
        return _error(401, "UNAUTHORIZED", {"WWW-Authenticate": challenge})

    def _token(self, request: Request) -> Answer:
        basic = "Basic " + base64.b64encode(self.login.encode()).decode()
        if request.method == "POST":
            form = parse_qs(request.body.decode())
            if form.get("refresh_token") != [self.login]:
                return _error(401, "UNAUTHORIZED")
            return _json({"access_token": _token(form["scope"][0])})
        if request.authorization != basic:
            return _error(401, "UNAUTHORIZED")
        scopes = parse_qs(request.query).get("scope", [])
        return _json({"token": _token(" ".join(scopes)), "expires_in": 300})

    def _manifest(self, request: Request, repository: str, name: str) -> Answer:
        if request.method == "PUT":
            kind = request.headers["content-type"]
            added = self.store.add_bytes(request.body, kind)
            self._note(repository, added.digest)
            if ":" not in name:
                self.tags[repository, name] = added
            return Answer(201, {"Docker-Content-Digest": added.digest})
        if ":" in name:
            path = self.store.path(name)
            if not path.exists() or not self._has(repository, name):
                return _error(404, "MANIFEST_UNKNOWN", message="manifest unknown")
            data = path.read_bytes()
            kind = parse_manifest(data, name).media_type
            return Answer(200, {"Content-Type": kind, "Docker-Content-Digest": name}, data)
        found = self.tags.get((repository, name))
        if found is None:
            return _error(404, "MANIFEST_UNKNOWN", message="manifest unknown")
        headers = {"Content-Type": found.media_type, "Docker-Content-Digest": found.digest}
        return Answer(200, headers, self.store.path(found.digest).read_bytes())

    def _blob(self, repository: str, name: str) -> Answer:
        path = self.store.path(name)
        if not path.exists() or not self._has(repository, name):
            return _error(404, "BLOB_UNKNOWN", message="blob unknown to registry")
        return Answer(200, {"Docker-Content-Digest": name}, path.read_bytes())

    def _upload(self, request: Request, repository: str, number: str) -> Answer:
        query = parse_qs(request.query)
        if request.method == "POST":
            mount, origin = query.get("mount", [""])[0], query.get("from", [""])[0]
            if mount and self.store.path(mount).exists() and self._has(origin, mount):
                self._note(repository, mount)
                return Answer(201, {"Docker-Content-Digest": mount})
            number = uuid.uuid4().hex
            self.uploads[number] = bytearray()
        elif number not in self.uploads:
            return _error(404, "BLOB_UPLOAD_UNKNOWN")
        else:
            self.uploads[number] += request.body
        location = {"Location": f"/v2/{repository}/blobs/uploads/{number}?_state=x"}
        if request.method != "PUT":
            return Answer(202, location)
        data, wanted = bytes(self.uploads.pop(number)), query["digest"][0]
        if "sha256:" + hashlib.sha256(data).hexdigest() != wanted:
            return _error(400, "DIGEST_INVALID", message="provided digest did not match")
        self.store.add_bytes(data)
        self._note(repository, wanted)
        return Answer(201, {"Docker-Content-Digest": wanted})

    def _note(self, repository: str, digest: str) -> None:
        self.pushed.setdefault(repository, set()).add(digest)

    def _has(self, repository: str, digest: str) -> bool:
        return not self.strict_repositories or digest in self.pushed.get(repository, ())

    def take_fault(self, request: Request) -> Fault | None:
        """Return what to do wrong with a request, if anything."""
        with self.lock:
            for fault in self.faults:
                if not re.search(fault.where, str(request)) or not fault.times:
                    continue
                if fault.only_with_range and "range" not in request.headers:
                    continue
                if fault.after:
                    fault.after -= 1
                    continue
                fault.times -= 1
                return fault
        return None


def _token(scope: str) -> str:
    return "t-" + hashlib.sha256(scope.encode()).hexdigest()[:20]


def _json(document: object) -> Answer:
    return Answer(200, {"Content-Type": "application/json"}, json.dumps(document).encode())


def _error(
    status: int, code: str, headers: dict[str, str] | None = None, message: str = ""
) -> Answer:
    answer = _json({"errors": [{"code": code, "message": message or code.lower()}]})
    answer.status = status
    answer.headers |= headers or {}
    return answer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else head and body of an answer, written apart, wait for each other.
    disable_nagle_algorithm = True
    registry: FaultyRegistry

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def _handle(self) -> None:
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        headers = {k.lower(): v for k, v in self.headers.items()}
        request = Request(self.command, url.path, url.query, headers, body)
        with self.registry.lock:
            self.registry.requests.append(request)
        fault = self.registry.take_fault(request) or Fault("")
        # With a status of its own nothing of what was asked is done.
        answer = Answer(fault.status) if fault.status else self.registry.answer(request)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._send(request, answer, fault)

    do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = _handle  # noqa: N815 - names of http.server

    def _send(self, request: Request, answer: Answer, fault: Fault) -> None:
        status, headers = answer.status, answer.headers | fault.headers
        body = answer.body if fault.body is None else fault.body
        if fault.corrupt:
            body = body[:-1] + bytes([body[-1] ^ 1])
        ranged = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        if ranged and status == 200 and not fault.no_ranges:
            start = int(ranged[1])
            if start >= len(body):
                status, body = 416, b""
            else:
                headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
                status, body = 206, body[start:]
        told = len(body)
        if fault.longer > 0:
            body += b"x" * fault.longer
        elif fault.longer < 0:
            body = body[: fault.longer]
        if fault.honest:
            told = len(body)
        self._drip(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000 if fault.drip_head else b"", fault)
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(told))
        self.end_headers()
        if request.method == "HEAD":
            return
        if fault.cut_after is not None:
            self.wfile.write(body[: fault.cut_after])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif fault.drip_after is not None:
            self.wfile.write(body[: fault.drip_after])
            self._drip(body[fault.drip_after :], fault)
        elif fault.stall_after is not None:
            self.wfile.write(body[: fault.stall_after])
            self.wfile.flush()
            time.sleep(fault.stall_seconds)
            self.close_connection = True
        elif fault.bytes_per_second:
            for at in range(0, len(body), fault.step):
                self.wfile.write(body[at : at + fault.step])
                time.sleep(fault.step / fault.bytes_per_second)
        else:
            self.wfile.write(body)
        if len(body) != told:
            self.close_connection = True

    def _drip(self, data: bytes, fault: Fault) -> None:
        for at in range(len(data)):
            self.wfile.write(data[at : at + 1])
            self.wfile.flush()
            time.sleep(fault.drip_seconds)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet about clients that hang up."""


@contextlib.contextmanager
def faulty_registry(store: Store) -> Iterator[FaultyRegistry]:
    """Give a registry on a port of 127.0.0.1."""
    with serve(FaultyRegistry(store)) as registry:
        yield registry


@contextlib.contextmanager
def serve(
    registry: FaultyRegistry, address: str = "127.0.0.1", port: int = 0
) -> Iterator[FaultyRegistry]:
    """Serve a registry, by default on any port."""
    handler = type("Handler", (_Handler,), {"registry": registry})
    server = _Server((address, port), handler)
    registry.host = f"{address}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
