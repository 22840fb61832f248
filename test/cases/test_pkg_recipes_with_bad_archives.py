"""Recipes use archives that are unreachable, expired, forged, or have hostile packages."""

from __future__ import annotations

import http.server
import lzma
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

from assembler.oci.store import Store
from support.debian import Deb, File, Key, Link, Shape, ar, make_archive, tar
from support.recipes import ENGINES, LIBRARY, TOOL, Packages, both, make_package

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.cli import Dolmen

pytestmark = pytest.mark.slow
DEBS = [*both(LIBRARY), *both(TOOL)]
AMD64 = ("--platforms", "amd64")


@pytest.fixture(scope="module")
def key() -> Key:
    return Key()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return make_package(tmp_path / "work" / "tool")


@pytest.fixture(params=ENGINES)
def pkg(dolmen: Dolmen, tmp_path: Path, request: pytest.FixtureRequest, key: Key) -> Packages:
    pkg = Packages(dolmen, tmp_path / "archive", tmp_path / "store", request.param)
    pkg.env["DOLMEN_DEBIAN_MIRROR"] = f"file:{tmp_path}/archive"
    pkg.env["DOLMEN_DEBIAN_KEYRING"] = str(key.keyring(tmp_path / "keys.gpg"))
    # Whatever this machine's apt is told of old archives.
    (tmp_path / "apt.conf").write_text('Dir::Etc::parts "/dev/null"; Acquire::Retries "0";\n')
    pkg.env["APT_CONFIG"] = str(tmp_path / "apt.conf")
    return pkg


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "archive"


def refused(pkg: Packages, package: Path, *words: str, **env: str) -> str:
    """Build what cannot be built, and return what is said about it."""
    done = pkg.run("build", *AMD64, package, **env)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert Store(pkg.store).names().entries == ()
    assert leftovers(pkg) == []
    return done.stderr


def leftovers(pkg: Packages) -> list[Path]:
    """Return what is neither a whole package nor an engine's own knowledge."""
    debs = pkg.store / "debs"
    parts = [p for p in debs.rglob("*") if p.name.endswith(".part")]
    pool = [p for p in (debs / "pool").glob("*") if p.suffix != ".deb"]
    return [*parts, *pool, *(debs / "tmp").glob("*")]


@pytest.mark.parametrize("detached", [False, True])
def test_a_signed_archive(
    pkg: Packages, package: Path, archive: Path, key: Key, *, detached: bool
) -> None:
    make_archive(archive, DEBS, shape=Shape(key, detached=detached))
    pkg.build(*AMD64, package)


@pytest.mark.parametrize("compression", ["", ".gz", ".zst"])
def test_an_index_in_any_compression(
    pkg: Packages, package: Path, archive: Path, key: Key, compression: str
) -> None:
    make_archive(archive, DEBS, shape=Shape(key, compressions=(compression,)))
    pkg.build(*AMD64, package)


@pytest.mark.parametrize("detached", [False, True])
def test_a_signature_of_somebody_else(
    pkg: Packages, package: Path, archive: Path, *, detached: bool
) -> None:
    make_archive(archive, DEBS, shape=Shape(Key(), detached=detached))
    said = refused(pkg, package)
    assert "DM0725" in said or "DM0722" in said
    assert "--debian-keyring" in said


def test_a_signature_of_a_key_that_has_expired(pkg: Packages, package: Path, archive: Path) -> None:
    key = Key()
    make_archive(archive, DEBS, shape=Shape(key))
    key.expire(datetime.now(UTC) - timedelta(seconds=1))
    keyring = str(key.keyring(archive.parent / "expired.gpg"))
    said = refused(pkg, package, "DM0725", "xpired", DOLMEN_DEBIAN_KEYRING=keyring)
    assert "--debian-keyring" in said


@pytest.mark.parametrize("detached", [False, True])
def test_an_archive_that_was_changed_after_it_was_signed(
    pkg: Packages, package: Path, archive: Path, key: Key, *, detached: bool
) -> None:
    make_archive(archive, DEBS, shape=Shape(key, detached=detached))
    path = archive / "dists/trixie" / ("Release" if detached else "InRelease")
    path.write_bytes(path.read_bytes().replace(b"Origin: Test", b"Origin: Toast"))
    refused(pkg, package, "DM0725")


def test_an_archive_that_is_no_longer_valid(
    pkg: Packages, package: Path, archive: Path, key: Key
) -> None:
    until = {"Valid-Until": "Wed, 15 Nov 2023 22:13:20 UTC"}
    make_archive(archive, DEBS, shape=Shape(key, fields=until))
    refused(pkg, package, "DM0725", "expired", "[check-valid-until=no]")
    mirror = f"[check-valid-until=no] {pkg.env['DOLMEN_DEBIAN_MIRROR']}"
    pkg.build(*AMD64, package, DOLMEN_DEBIAN_MIRROR=mirror)


def test_an_index_that_is_not_the_one_that_was_signed(
    pkg: Packages, package: Path, archive: Path, key: Key
) -> None:
    make_archive(archive, DEBS, shape=Shape(key))
    for name in ("Packages", "Packages.xz"):
        path = archive / "dists/trixie/main/binary-amd64" / name
        data = path.read_bytes()
        path.write_bytes(data[:-10] + b"x" * 10)
    refused(pkg, package, "DM0721")


def test_an_invalid_keyring(pkg: Packages, package: Path, archive: Path, key: Key) -> None:
    make_archive(archive, DEBS, shape=Shape(key))
    nothing = str(archive.parent / "nothing.gpg")
    refused(pkg, package, "DM0722", nothing, DOLMEN_DEBIAN_KEYRING=nothing)


def test_an_unreachable_mirror(pkg: Packages, package: Path) -> None:
    refused(pkg, package, "DM0721")
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        port = server.server_port
    gone = f"[trusted=yes] http://127.0.0.1:{port}/"
    refused(pkg, package, "DM0721", DOLMEN_DEBIAN_MIRROR=gone)


@pytest.mark.parametrize(
    "files",
    [
        {"../../etc/passwd": b"x"},
        {"usr/../../etc/passwd": b"x"},
        {"etc": Link("/etc"), "etc/../../x": b"y"},
        {"usr/x": Link("../../../etc/shadow", hard=True)},
        {"usr/bin/x": b"1", "usr/bin/x/y": b"2"},
        {"a": Link("b"), "b": Link("a"), "a/x": b"y"},
    ],
    ids=["up", "up from below", "through a link", "hard link", "file as directory", "circle"],
)
def test_a_package_with_hostile_paths(
    dolmen: Dolmen, package: Path, archive: Path, tmp_path: Path, files: dict[str, bytes | Link]
) -> None:
    make_archive(archive, [Deb("tool", files=files)])
    said = refused(Packages(dolmen, archive, tmp_path / "store"), package)
    assert "DM0723" in said or "DM0728" in said


def test_invalid_packages(dolmen: Dolmen, package: Path, archive: Path, tmp_path: Path) -> None:
    bomb = Deb("tool", files={"usr/zeros": File(bytes(1 << 20))})
    whole = bomb.build()
    cases = (
        (whole[: len(whole) // 2], ("DM0723", "broken")),
        (b"hello\n", ("DM0723", "ar archive")),
        (whole.replace(b"data.tar.xz", b"data.tar.br"), ("DM0723", "compression of data.tar.br")),
        (with_zeros(), ("DM0723", "more than")),
    )
    for number, (content, words) in enumerate(cases):
        # apt takes an archive of the same second for the one that it knows.
        pkg = Packages(dolmen, archive, tmp_path / f"store{number}")
        make_archive(archive, [Forged(content)])
        refused(pkg, package, *words, DOLMEN_DEBIAN_MIRROR=f"[trusted=yes] file:{archive}")
        for index in (pkg.store / "debs" / "python").glob("*/known"):
            index.unlink()


class Forged(Deb):
    """A package whose file is something else."""

    def __init__(self, content: bytes) -> None:
        super().__init__("tool")
        object.__setattr__(self, "content", content)

    def build(self) -> bytes:
        content: bytes = self.content  # type: ignore[attr-defined]
        return content


def with_zeros() -> bytes:
    """Return a package that is small, and has a file of 320 MB."""
    import zstandard

    size = 320 << 20
    archive = tar({"usr/zeros": b""})
    header = bytearray(archive[512:1024])
    header[124:136] = b"%011o\0" % size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    compressor = zstandard.ZstdCompressor(level=1).compressobj()
    data = [compressor.compress(archive[:512] + bytes(header))]
    data += [compressor.compress(bytes(1 << 20)) for _ in range(size >> 20)]
    data.append(compressor.flush())
    control = lzma.compress(tar({"control": Deb("tool").control.encode()}))
    members = [("control.tar.xz", control), ("data.tar.zst", b"".join(data))]
    return ar([("debian-binary", b"2.0\n"), *members])


class Halting(http.server.BaseHTTPRequestHandler):
    """A mirror that sends half of a package, and then waits or hangs up."""

    archive: Path
    halted: threading.Event
    wait: threading.Event | None

    def do_GET(self) -> None:
        path = self.archive / unquote(self.path).lstrip("/")
        content = path.read_bytes() if path.is_file() else b""
        self.send_response(200 if path.is_file() else 404)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if path.name.startswith("tool") and path.suffix == ".deb":
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            self.halted.set()
            if self.wait is not None:
                self.wait.wait(60)
            self.close_connection = True
            return
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def halting(archive: Path, wait: threading.Event | None) -> Iterator[tuple[str, threading.Event]]:
    halted = threading.Event()
    kind = type("Handler", (Halting,), {"archive": archive, "halted": halted, "wait": wait})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", halted
        finally:
            server.shutdown()


def test_a_mirror_that_closes_the_connection(
    pkg: Packages, package: Path, archive: Path, key: Key
) -> None:
    make_archive(archive, DEBS, shape=Shape(key))
    with halting(archive, None) as (mirror, _):
        said = refused(pkg, package, DOLMEN_DEBIAN_MIRROR=mirror)
    assert any(code in said for code in ("DM0721", "DM0724", "DM0727"))
    assert not any("tool" in p.name for p in (pkg.store / "debs" / "pool").glob("*"))
    pkg.build(*AMD64, package)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_download_leaves_no_partial_file(
    pkg: Packages, package: Path, archive: Path, key: Key, number: signal.Signals
) -> None:
    make_archive(archive, DEBS, shape=Shape(key))
    done = threading.Event()
    with halting(archive, done) as (mirror, halted):
        words = ["pkg", "build", "--cache", str(pkg.store), *AMD64, str(package)]
        process = subprocess.Popen(
            [sys.executable, "-m", "dolmen", *words],
            env=pkg.dolmen.environment(pkg.env | {"DOLMEN_DEBIAN_MIRROR": mirror}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert halted.wait(60)
        began = time.monotonic()
        process.send_signal(number)
        out, errors = process.communicate(timeout=30)
        done.set()
    assert (process.returncode, out) == (128 + number, "")
    assert time.monotonic() - began < 5
    assert "Traceback" not in errors
    assert leftovers(pkg) == []
    sizes = {len(LIBRARY.build())}
    assert {p.stat().st_size for p in (pkg.store / "debs" / "pool").glob("*")} <= sizes
    pkg.build(*AMD64, package)
