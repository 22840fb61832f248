"""Credentials for registries, from options, Docker's config.json and its helpers."""

from __future__ import annotations

import base64
import binascii
import json
import re
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assembler.codes import registries
from assembler.errors import RegistryError, UsageError, host_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_LARGEST_CONFIG = 8 << 20
_HELPER_SECONDS = 30.0
_HELPER_NAME = re.compile(r"[A-Za-z0-9_.-]+")
# Docker stores the credentials of docker.io under these names.
_DOCKER_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
_IDENTITY_USER = "<token>"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and a password, or a token; `source` says where they come from."""

    source: str
    user: str = ""
    password: str = field(default="", repr=False)
    # For the token service, instead of a password.
    identity_token: str = field(default="", repr=False)
    # For the registry, unchanged.
    registry_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """Return the value after `Basic` in a header, or nothing."""
        if not self.user and not self.password:
            return ""
        return base64.b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")


@dataclass(frozen=True, slots=True)
class RegistryCredentials:
    """Credentials for one registry, from an option or the environment."""

    registry: str
    credentials: Credentials


@dataclass(frozen=True, slots=True)
class CredentialSearch:
    """The result of a search for credentials, and the sources tried."""

    found: Credentials | None
    tried: tuple[str, ...] = ()


def parse_credentials(text: str, source: str) -> RegistryCredentials:
    """Parse `REGISTRY=USER:PASSWORD` or `REGISTRY=TOKEN`; errors never show the text."""
    registry, equals, secret = text.partition("=")
    if not equals or not registry or not secret or "/" in registry:
        raise UsageError.of(
            registries.BAD_CREDENTIALS,
            f"{source}: not credentials of the form REGISTRY=USER:PASS or REGISTRY=TOKEN",
        )
    user, colon, password = secret.partition(":")
    if not colon:
        return RegistryCredentials(registry, Credentials(source, registry_token=secret))
    return RegistryCredentials(registry, Credentials(source, user, password))


def find_credentials(
    host: str, given: Sequence[RegistryCredentials], config_files: Sequence[Path]
) -> CredentialSearch:
    """Return the credentials for a registry's host, and only for that host."""
    tried: list[str] = []
    names = _DOCKER_HUB if host in _DOCKER_HUB else (host,)
    for one in given:
        if one.registry in names:
            return CredentialSearch(one.credentials, (one.credentials.source,))
    for path in config_files:
        config = _read_config(path)
        if config is None:
            continue
        for source, credentials in _in_config(path, config, names):
            tried.append(source)
            if credentials is not None:
                return CredentialSearch(credentials, tuple(tried))
        if not any(str(path) in t for t in tried):
            tried.append(f"{path} (has none for {host})")
    return CredentialSearch(None, tuple(tried))


def _in_config(
    path: Path, config: Mapping[str, Any], names: Sequence[str]
) -> Iterator[tuple[str, Credentials | None]]:
    """Yield every source that the config names for the registry, with its credentials."""
    helpers = _map(config, "credHelpers", path)
    keys = [*names, f"https://{names[0]}"]
    if names is _DOCKER_HUB:
        keys.insert(0, "https://index.docker.io/v1/")
    helper = next((helpers[k] for k in keys if helpers.get(k)), None)
    store = config.get("credsStore")
    for program in (helper, store):
        if isinstance(program, str) and program:
            yield from _from_helper(path, program, keys[:1])
    auths = _map(config, "auths", path)
    for key, entry in auths.items():
        if _host_of(key) in names and isinstance(entry, dict):
            credentials = _from_entry(path, key, entry)
            if credentials is not None:
                yield str(path), credentials


def _from_entry(path: Path, key: str, entry: Mapping[str, Any]) -> Credentials | None:
    user, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    packed = entry.get("auth")
    if packed:
        try:
            text = base64.b64decode(str(packed), validate=True).decode()
        except (binascii.Error, ValueError):
            raise _bad(path, f"the entry of {_host_of(key)} is not base64 of USER:PASS") from None
        user, _, password = text.partition(":")
        password = password.rstrip("\0")
    identity, token = str(entry.get("identitytoken") or ""), str(entry.get("registrytoken") or "")
    if not (user or identity or token):
        return None
    return Credentials(str(path), user, password, identity, token)


def _from_helper(
    path: Path, name: str, servers: Sequence[str]
) -> Iterator[tuple[str, Credentials | None]]:
    program = f"docker-credential-{name}"
    source = f"{program} (named in {path})"
    if not _HELPER_NAME.fullmatch(name):
        raise _bad(path, f"{name!r} is not the name of a credential helper")
    for server in servers:
        try:
            done = subprocess.run(  # named by the user's own configuration, not by an image
                [program, "get"],
                input=server.encode(),
                capture_output=True,
                timeout=_HELPER_SECONDS,
                check=False,
            )
        except FileNotFoundError:
            yield f"{source}: it is not in the PATH", None
            return
        except subprocess.TimeoutExpired:
            yield f"{source}: no answer within {_HELPER_SECONDS:.0f} s", None
            return
        except OSError as error:
            yield f"{source}: {error.strerror}", None
            return
        yield _answer(source, done)


def _answer(
    source: str, done: subprocess.CompletedProcess[bytes]
) -> tuple[str, Credentials | None]:
    if done.returncode:
        # Helpers report missing credentials on standard output.
        known = b"not found" in done.stdout + done.stderr
        return f"{source}: {'has none' if known else f'failed ({done.returncode})'}", None
    try:
        answer = json.loads(done.stdout[:_LARGEST_CONFIG])
        user, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"{source}: its answer cannot be read", None
    if not secret:
        return f"{source}: has none", None
    if user == _IDENTITY_USER:
        return source, Credentials(source, identity_token=secret)
    return source, Credentials(source, user, secret)


def _read_config(path: Path) -> Mapping[str, Any] | None:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_CONFIG)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise host_error(error, path, "read") from error
    try:
        config = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        raise _bad(path, "it is not JSON") from None
    if not isinstance(config, dict):
        raise _bad(path, "it is not a JSON object")
    return config


def _map(config: Mapping[str, Any], key: str, path: Path) -> Mapping[str, Any]:
    value = config.get(key) or {}
    if not isinstance(value, dict):
        raise _bad(path, f"{key} is not a map")
    return value


def _host_of(key: str) -> str:
    """Return the host of a key in `auths`, which may be a URL."""
    return key.partition("://")[2].partition("/")[0] if "://" in key else key.partition("/")[0]


def _bad(path: Path, why: str) -> RegistryError:
    return RegistryError.of(registries.BAD_CREDENTIALS, f"{path}: {why}")
