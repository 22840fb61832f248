"""References: the names of images, completed by the rules of Docker and LinuxKit."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from assembler.codes import images
from assembler.errors import ImageError
from assembler.oci.digest import is_digest

_LONGEST = 255 + 128 + 72
_REGISTRY = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
)
_PATH_PART = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
DEFAULT_REGISTRY = "docker.io"


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A registry, a repository in it, and a tag, a digest, or both."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""
    # A name such as a/b/c:1 means docker.io; caches of LinuxKit list it without the registry.
    bare: bool = False

    def __str__(self) -> str:
        """Return the full name, which the store lists the image under."""
        return self.name + (f":{self.tag}" if self.tag else "") + self._at_digest

    @property
    def name(self) -> str:
        """Return registry and repository, without tag and digest."""
        return self.repository if self.bare else f"{self.registry}/{self.repository}"

    @property
    def _at_digest(self) -> str:
        return f"@{self.digest}" if self.digest else ""

    @property
    def pinned(self) -> bool:
        """Tell whether the reference has a digest, so that it always means the same image."""
        return bool(self.digest)

    @property
    def tag_or_digest(self) -> str:
        """Return the digest if there is one, else the tag: the name in requests to registries."""
        return self.digest or self.tag or "latest"

    @property
    def untagged(self) -> Reference:
        """Return the name without a tag, as caches of LinuxKit list it."""
        return replace(self, tag="")

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Parse a reference as users write it; without tag and digest it means `latest`."""
        rest, at, digest = text.partition("@")
        if at and not is_digest(digest):
            raise _bad(text, f"{digest!r} is not a sha256 digest")
        head, colon, tag = rest.rpartition(":")
        if not colon or "/" in tag:
            head, tag = rest, ""
        elif not _TAG.fullmatch(tag):
            raise _bad(text, f"{tag!r} is not a tag")
        registry, repository, bare = _split(head)
        if not head:
            raise _bad(text, "it is empty")
        if len(text) > _LONGEST:
            raise _bad(text[:60] + "…", "it is too long")
        if not _REGISTRY.fullmatch(registry):
            raise _bad(text, f"{registry!r} is not the name of a registry")
        for part in repository.split("/"):
            if not _PATH_PART.fullmatch(part):
                why = "must be in lower case" if part != part.lower() else "is not allowed there"
                raise _bad(text, f"{part!r} {why}" if part else "a part of it is empty")
        return cls(registry, repository, tag or ("" if digest else "latest"), digest, bare)


def _split(head: str) -> tuple[str, str, bool]:
    """Split registry and repository by the rules of Docker."""
    first, slash, rest = head.partition("/")
    if not slash:
        return DEFAULT_REGISTRY, f"library/{head}", False
    if "." in first or ":" in first or first == "localhost":
        return first, rest, False
    return DEFAULT_REGISTRY, head, "/" in rest


def _bad(text: str, why: str) -> ImageError:
    return ImageError.of(
        images.BAD_REFERENCE,
        f"not an image name: {text!r}: {why}",
        "an image name looks like nginx:1.27, org/name:tag or reg.example.com:5000/org/name:tag",
    )
