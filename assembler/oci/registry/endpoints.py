"""Endpoints: the addresses of a registry, mirrors first, and the meaning of request paths."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urljoin, urlsplit

from assembler.oci.reference import DEFAULT_REGISTRY

if TYPE_CHECKING:
    from assembler.oci.registry.options import RegistryOptions

# docker.io is a name in references; its API is elsewhere.
_API_HOSTS = {DEFAULT_REGISTRY: "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}
_NETLOC = re.compile(r"[A-Za-z0-9._%:\[\]-]+")
_PATH = re.compile(r"/v2/(?P<repository>.+)/(?P<kind>manifests|blobs|tags)/(?P<name>.*)")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address that serves images of a registry."""

    registry: str
    host: str
    # Empty until known: loopback and insecure hosts may use either.
    scheme: str = "https"
    prefix: str = ""
    is_mirror: bool = False

    def __str__(self) -> str:
        """Return the name for messages."""
        if not self.is_mirror:
            return self.registry
        return f"mirror {self.scheme}://{self.host}" + (f"/{self.prefix}" if self.prefix else "")

    def repository(self, name: str) -> str:
        """Return the endpoint's repository for the registry's repository `name`."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def image_name(self, repository: str) -> str:
        """Return the registry's name for a repository of the endpoint."""
        inner = repository.removeprefix(f"{self.prefix}/") if self.prefix else repository
        return f"{self.registry}/{inner}"


def registry_endpoints(registry: str, options: RegistryOptions) -> tuple[Endpoint, ...]:
    """Return the mirrors of a registry in order, and last the registry itself."""
    mirrors = (
        Endpoint(registry, m.host, m.scheme, m.prefix, is_mirror=True)
        for m in options.mirrors_of(registry)
    )
    return (*mirrors, origin_endpoint(registry, options))


def origin_endpoint(registry: str, options: RegistryOptions) -> Endpoint:
    """Return the registry itself."""
    host = _API_HOSTS.get(registry, registry)
    plain = is_loopback(host) or is_insecure(host, options)
    return Endpoint(registry, host, "" if plain else "https")


def is_insecure(host: str, options: RegistryOptions) -> bool:
    """Tell whether the user has allowed plain http and unknown certificates for the host."""
    return host in options.insecure or without_port(host) in options.insecure


def is_loopback(host: str) -> bool:
    """Tell whether the host is this machine, by its name or address."""
    name = without_port(host)
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def without_port(host: str) -> str:
    """Return the host's name without a port."""
    return re.sub(r":\d+\Z", "", host)


def parse_address(text: str, base: str = "") -> SplitResult | None:
    """Parse a URL of a server, without user and fragment; None if it is invalid."""
    try:
        parts = urlsplit(urljoin(base, text))
        parts.port  # noqa: B018 - raises if it is no number
    except ValueError:
        return None
    netloc = parts.netloc.rpartition("@")[2]
    # urllib3 ends a host at other characters, such as a backslash, and connects to that host.
    if not parts.hostname or not _NETLOC.fullmatch(netloc):
        return None
    return parts._replace(netloc=netloc, fragment="")


@dataclass(frozen=True, slots=True)
class RequestSubject:
    """The subject of a request, from its path."""

    repository: str = ""
    kind: str = ""
    name: str = ""

    @classmethod
    def of_path(cls, path: str) -> RequestSubject:
        """Parse the path of a URL."""
        match = _PATH.fullmatch(path)
        return cls(**match.groupdict()) if match else cls()

    def describe(self, endpoint: Endpoint) -> str:
        """Describe the subject for messages."""
        if not self.kind:
            return endpoint.host
        image = endpoint.image_name(self.repository)
        if self.kind == "manifests":
            return f"{image}{'@' if ':' in self.name else ':'}{self.name}"
        if self.kind == "tags":
            return f"the tags of {image}"
        if self.name.startswith("uploads"):
            return f"an upload to {image}"
        return f"{image}, blob {self.name}"
