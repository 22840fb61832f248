"""A real registry, the docker-registry of Debian: plain, with a login, with TLS."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOGIN = "me:secret"
# What `htpasswd -Bbn me secret` prints.
_HTPASSWD = "me:$2y$05$QOSqYtjTLbGprd6NQ8XWLuGMwRvYFbSRBkNW0hbPr1.K2Ii4Dy0xS\n"


@dataclass(frozen=True)
class RegistryServer:
    """A docker-registry that is running."""

    host: str
    data: Path
    # Empty if it speaks plain http.
    ca_file: Path | None = None
    login: str = ""

    def name(self, repository_and_tag: str) -> str:
        """Return the full name of an image there."""
        return f"{self.host}/{repository_and_tag}"


@contextlib.contextmanager
def registry_server(
    directory: Path, *, login: bool = False, tls: bool = False
) -> Iterator[RegistryServer]:
    """Run a registry below a directory; the test is skipped where there is none to run."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed (Debian package docker-registry)")
    directory.mkdir(parents=True, exist_ok=True)
    data = directory / "data"
    port = _free_port()
    config = [
        "version: 0.1",
        "log: {level: error, accesslog: {disabled: true}}",
        f"storage: {{filesystem: {{rootdirectory: {data}}}, delete: {{enabled: true}}}}",
        "http:",
        f"  addr: 127.0.0.1:{port}",
    ]
    ca_file = None
    if tls:
        ca_file, certificate, key = certificates(directory)
        config.append(f"  tls: {{certificate: {certificate}, key: {key}}}")
    if login:
        passwords = directory / "htpasswd"
        passwords.write_text(_HTPASSWD)
        config.append(f"auth: {{htpasswd: {{realm: here, path: {passwords}}}}}")
    (directory / "config.yml").write_text("\n".join(config) + "\n")
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve", directory / "config.yml"], stdout=log, stderr=log
        )
        try:
            _wait_for(process, port, directory / "log")
            yield RegistryServer(f"127.0.0.1:{port}", data, ca_file, LOGIN if login else "")
        finally:
            process.terminate()
            process.wait(10)


def certificates(directory: Path) -> tuple[Path, Path, Path]:
    """Make an authority and a certificate for 127.0.0.1, and return their files and the key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    ca, ca_key = directory / "ca.pem", directory / "ca.key"
    certificate, key, request = (directory / f"server.{s}" for s in ("pem", "key", "csr"))
    names = directory / "names"
    names.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    signing = ["-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-extfile", names]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for command in (
        ["req", "-x509", *curve, "-keyout", ca_key, "-out", ca, "-days", "2", "-subj", "/CN=CA"],
        ["req", *curve, "-keyout", key, "-out", request, "-subj", "/CN=127.0.0.1"],
        ["x509", "-req", "-in", request, "-out", certificate, "-days", "2", *signing],
    ):
        subprocess.run([openssl, *map(str, command)], check=True, capture_output=True)
    return ca, certificate, key


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(200):
        if process.poll() is not None:
            pytest.fail(f"docker-registry ended: {log.read_text()[-2000:]}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            contextlib.closing(connection),
        ):
            connection.request("GET", "/")
            connection.getresponse()
            return
        time.sleep(0.05)
    pytest.fail("docker-registry does not answer")
