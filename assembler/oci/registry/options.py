"""Options for registries: mirrors, trust, credentials, retries."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from assembler.codes import registries
from assembler.errors import UsageError
from assembler.oci.registry.credentials import RegistryCredentials, parse_credentials
from assembler.oci.registry.redaction import redacted
from assembler.oci.registry.unreachable import UnreachableHosts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long transient failures are retried."""

    attempts: int = 5
    first: float = 0.25
    longest: float = 8.0
    # The longest Retry-After that is waited for.
    max_retry_after: float = 60.0


@dataclass(frozen=True, slots=True)
class Mirror:
    """A mirror of a registry; `registry` is empty for a mirror of all registries."""

    registry: str
    scheme: str
    host: str
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class RegistryOptions:
    """All options for the access to registries."""

    mirrors: tuple[Mirror, ...] = ()
    # Hosts that may use plain http or an untrusted certificate.
    insecure: frozenset[str] = frozenset()
    cert_files: tuple[Path, ...] = ()
    credentials: tuple[RegistryCredentials, ...] = ()
    # Files like Docker's config.json; the first one with the registry wins.
    config_files: tuple[Path, ...] = ()
    connect_timeout: float = 8.0
    stall_timeout: float = 30.0
    # The longest time for all of a manifest or token.
    document_seconds: float = 30.0
    # The slowest rate of a blob in bytes per second, and how long it is measured.
    min_rate: int = 1024
    rate_window: float = 30.0
    # Shared by all runs with these options; by default, each run has its own.
    unreachable: UnreachableHosts | None = field(default=None, compare=False, repr=False)
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    jobs: int = 4

    def mirrors_of(self, registry: str) -> tuple[Mirror, ...]:
        """Return the mirrors of a registry: its own ones, else those of all registries."""
        own = tuple(m for m in self.mirrors if m.registry == registry)
        return own or tuple(m for m in self.mirrors if not m.registry)


def read_registry_options(
    env: Mapping[str, str],
    *,
    mirrors: Iterable[str] = (),
    insecure: Iterable[str] = (),
    cert_files: Iterable[Path] = (),
    creds: Iterable[str] = (),
) -> RegistryOptions:
    """Make options from the command line and the environment.

    Credentials of the command line precede DOLMEN_REGISTRY_CREDS, which precedes Docker's
    config.json.
    """
    credentials = [parse_credentials(text, "--registry-creds") for text in creds]
    variable = "DOLMEN_REGISTRY_CREDS"
    credentials += [parse_credentials(text, variable) for text in env.get(variable, "").split()]
    hosts = [*insecure, *(h.strip() for h in env.get("DOLMEN_INSECURE", "").split(","))]
    return RegistryOptions(
        mirrors=tuple(parse_mirror(text) for text in mirrors),
        insecure=frozenset(h for h in hosts if h),
        cert_files=tuple(cert_files),
        credentials=tuple(credentials),
        config_files=tuple(_config_files(env)),
        unreachable=UnreachableHosts(),
    )


def parse_mirror(text: str) -> Mirror:
    """Parse `[REGISTRY=]URL`."""
    registry, equals, url = text.rpartition("=")
    # A URL may contain an equals sign, too; a registry's name has no slash.
    if not equals or "/" in registry:
        registry, url = "", text
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _bad_mirror(text, "its URL cannot be read") from None
    if parts.scheme not in ("http", "https"):
        raise _bad_mirror(text, "its URL must begin with https:// or http://")
    if not parts.hostname:
        raise _bad_mirror(text, "its URL has no host")
    if parts.username or parts.password:
        raise _bad_mirror(text, "credentials do not belong in the URL; use --registry-creds")
    if parts.query or parts.fragment:
        raise _bad_mirror(text, "its URL has more than a host and a path")
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    host = f"{name}:{port}" if port else name
    prefix = parts.path.strip("/")
    prefix = "" if prefix == "v2" else prefix.removeprefix("v2/")
    return Mirror(registry, parts.scheme, host, prefix)


def _config_files(env: Mapping[str, str]) -> Iterable[Path]:
    if env.get("DOCKER_CONFIG"):
        yield Path(env["DOCKER_CONFIG"]) / "config.json"
    elif env.get("HOME"):
        yield Path(env["HOME"]) / ".docker" / "config.json"
    if env.get("REGISTRY_AUTH_FILE"):
        yield Path(env["REGISTRY_AUTH_FILE"])
    elif env.get("XDG_RUNTIME_DIR"):
        yield Path(env["XDG_RUNTIME_DIR"]) / "containers" / "auth.json"


def _bad_mirror(text: str, why: str) -> UsageError:
    return UsageError.of(
        registries.BAD_MIRROR,
        f"not a mirror: {redacted(text)}: {why}",
        "--mirror https://mirror.example.com, or --mirror docker.io=http://127.0.0.1:5000",
    )
