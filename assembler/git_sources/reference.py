"""The reference `@git:URL#REF:DIR`: a package in a git repository, and which forms are refused."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from assembler.codes import packages
from assembler.config import GIT_PREFIX, OCI_PREFIX
from assembler.errors import PackageError
from assembler.oci import Reference

COMMIT = re.compile(r"[0-9a-f]{40}")
SCHEMES = ("https", "ssh", "git", "file")
_SHAPE = "write it as @git:URL#REF:DIR, such as @git:https://example.org/packages.git#v1.2:pkg/web"
_SHORT_COMMIT = re.compile(r"[0-9a-f]{7,39}")
_SCP = re.compile(r"(?P<host>[\w.-]+@[\w.-]+):(?P<path>[^/].*)")
_HELPER = re.compile(r"(?P<name>[A-Za-z0-9+.-]+)::")
# The rules of `git check-ref-format`.
_BAD_REF = re.compile(
    r"[\x00-\x20\x7f\ud800-\udfff~^:?*\[\\]|\.\.|@\{|//|^[-/.]|/\.|[/.]$|\.lock(?:/|$)|^@$"
)
_BAD_CHARACTER = re.compile(r"[\x00-\x20\x7f\ud800-\udfff]")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*)|\[[0-9A-Fa-f:.]+\]")
_MAX_LENGTH = 2000


@dataclass(frozen=True, slots=True)
class GitReference:
    """A directory in a git repository at a branch, a tag or a commit."""

    url: str
    ref: str
    # Without slashes at its ends; empty for the top of the repository.
    directory: str

    @classmethod
    def parse(cls, text: str) -> GitReference:
        """Return the reference that `@git:…` states; a form that is not allowed is an error."""
        rest = text.removeprefix(GIT_PREFIX)
        if len(rest) > _MAX_LENGTH:
            raise _error(f"the reference is longer than {_MAX_LENGTH} characters")
        url, _, fragment = rest.partition("#")
        ref, colon, directory = fragment.partition(":")
        _check_url(url)
        if not ref:
            raise _error("the reference has no branch, tag or commit", _SHAPE)
        _check_ref(ref)
        return cls(url, ref, _clean_directory(directory) if colon else "")

    def __str__(self) -> str:
        """Return the reference as it is written in a YAML file."""
        return f"{GIT_PREFIX}{self.source}" + (f":{self.directory}" if self.directory else "")

    @property
    def source(self) -> str:
        """Return URL and ref: packages of one source come from one commit."""
        return f"{self.url}#{self.ref}"

    @property
    def key(self) -> str:
        """Return the name of the source in locks."""
        return GIT_PREFIX + self.source

    @property
    def scheme(self) -> str:
        """Return the scheme of the URL in lower case."""
        return urlsplit(self.url).scheme

    @property
    def commit(self) -> str | None:
        """Return the commit if the reference names one itself."""
        return self.ref if COMMIT.fullmatch(self.ref) else None


@dataclass(frozen=True, slots=True)
class OciReference:
    """A directory of a catalogue at a registry: `@oci:NAME//DIR`, with a tag or a digest."""

    # The full name.
    image: str
    directory: str

    @classmethod
    def parse(cls, text: str) -> OciReference:
        """Return the reference that `@oci:…` states; the name is that of an image."""
        name, _, directory = text.removeprefix(OCI_PREFIX).partition("//")
        return cls(str(Reference.parse(name)), _clean_directory(directory))

    def __str__(self) -> str:
        """Return the reference as it is written in a YAML file."""
        return self.key + (f"//{self.directory}" if self.directory else "")

    @property
    def url(self) -> str:
        """Return the name, for messages."""
        return self.image

    @property
    def source(self) -> str:
        """Return the name: packages of one source come from one commit."""
        return self.image

    @property
    def key(self) -> str:
        """Return the name of the source in locks."""
        return OCI_PREFIX + self.image

    @property
    def scheme(self) -> str:
        """Return the scheme, which no URL has."""
        return "oci"

    @property
    def ref(self) -> str:
        """Return the tag."""
        return Reference.parse(self.image).tag

    @property
    def digest(self) -> str:
        """Return the digest, if the reference has one."""
        return Reference.parse(self.image).digest

    @property
    def commit(self) -> str | None:
        """Return None: the artifact has the commit."""
        return None


PackageReference = GitReference | OciReference


def parse_reference(text: str) -> PackageReference:
    """Return the reference to a package that `@git:…` or `@oci:…` states."""
    return (OciReference if text.startswith(OCI_PREFIX) else GitReference).parse(text)


def _error(message: str, *hints: str) -> PackageError:
    return PackageError.of(packages.BAD_GIT_REFERENCE, message, *hints)


def _check_url(url: str) -> None:
    if not url:
        raise _error("the reference has no URL", _SHAPE)
    if _BAD_CHARACTER.search(url):
        raise _error(f"the URL {url!r} has a blank or a control character", "write it as %20")
    if helper := _HELPER.match(url):
        raise _error(
            f"{helper['name']}:: starts a program of git, which a YAML file may not do",
            f"use one of {', '.join(f'{scheme}:' for scheme in SCHEMES)}",
        )
    if scp := _SCP.fullmatch(url):
        raise _error(f"{url!r} is not a URL", f"write ssh://{scp['host']}/{scp['path']}")
    try:
        parts = urlsplit(url)
        host, password = parts.hostname or "", parts.password
        _ = parts.port
    except ValueError as error:
        raise _error(f"{url!r} is not a URL: {error}", _SHAPE) from error
    if password is not None:
        raise _error(
            "the URL contains a password, which would be written to the lock and to messages",
            "use a credential helper of git, or an ssh key",
        )
    if parts.scheme and not url.startswith(f"{parts.scheme}:"):
        raise _error(f"the scheme of {url!r} is not in lower case", f"write {parts.scheme}:")
    if parts.query:
        raise _error("the URL of a repository has no query", _SHAPE)
    if parts.scheme == "file":
        if host or not parts.path.startswith("/"):
            raise _error(f"{url!r} has no absolute path", "write file:///PATH")
        return
    if parts.scheme == "http" and _is_loopback(host):
        return
    if parts.scheme not in SCHEMES:
        raise _error(*_scheme_problem(parts))
    netloc = parts.netloc.rpartition("@")
    port_free = re.sub(r":\d*\Z", "", netloc[2])
    if not _HOST.fullmatch(port_free) or netloc[0].startswith("-"):
        raise _error(f"the URL has no valid host: {url!r}", _SHAPE)


def _scheme_problem(parts: SplitResult) -> tuple[str, str]:
    known = ", ".join(f"{scheme}:" for scheme in SCHEMES)
    if parts.scheme == "http":
        return "with http, anyone on the network can replace the repository", "use https:"
    if not parts.scheme:
        return (
            f"{parts.geturl()!r} is not a URL",
            "a repository of this machine is file:///PATH, a package beside the YAML file @pkg:DIR",
        )
    return f"a repository cannot be fetched by {parts.scheme}:", f"use one of {known}"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _check_ref(ref: str) -> None:
    if _BAD_REF.search(ref):
        raise _error(f"{ref!r} is not the name of a branch, a tag or a commit", _SHAPE)


def _clean_directory(text: str) -> str:
    if "\0" in text or text.startswith("/") or ".." in text.split("/"):
        raise _error(
            f"{text!r} is not a directory inside the repository",
            "write its path from the top of the repository, without `..`",
        )
    clean = posixpath.normpath(text)
    return "" if clean == "." else clean


def ref_hint(ref: str) -> tuple[str, ...]:
    """Return the hint for a ref that looks like a short commit."""
    return ("a commit needs all of its 40 digits",) if _SHORT_COMMIT.fullmatch(ref) else ()
