"""The package sources: the mirrors in the options, or those of the machine's apt.

No mirror is built in. Of the machine's sources, those of Debian itself are used, with the recipe's
suite instead of the machine's (`bookworm-security` becomes `trixie-security`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.errors import PackageError, wrap_os_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

INSTALLED_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# The keys of bookworm and trixie, for hosts without that package.
SHIPPED_KEYRING = Path(__file__).with_name("debian-archive-keys.asc")
_ETC_APT = Path("/etc/apt")
_OS_RELEASE = Path("/etc/os-release")
_MAX_FILE_SIZE = 1 << 20
# The suites without -updates and -security.
_ROLLING = frozenset({"sid", "unstable", "experimental", "rc-buggy"})
_ALIASES = frozenset({"stable", "oldstable", "oldoldstable", "testing", *_ROLLING})
# The suites that belong to a release; backports do not.
_SUITE_SUFFIXES = ("", "-updates", "-security")
# They are beside a release in its archive, and add to it.
_BACKPORTS = re.compile(r"(?P<release>.+)-backports(?:-sloppy)?")
_SUITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]*(?:/[A-Za-z0-9.+_-]+)*")
_MIRROR_HINT = (
    "name a mirror with --debian-mirror URL, DOLMEN_DEBIAN_MIRROR or debian.mirror in the "
    "configuration file, as in sources.list: [signed-by=KEYRING] URL SUITE..., where {suite} "
    "is the recipe's suite"
)


@dataclass(frozen=True, slots=True)
class AptSource:
    """An entry of sources.list: URI, suites, components and keyring."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...] = ("main",)
    signed_by: str = ""
    # Other options of the one-line format, such as `trusted=yes`; only from `DebianMirrors.specs`.
    options: tuple[str, ...] = ()

    @property
    def is_local(self) -> bool:
        """Tell whether the archive is a directory of this machine: reading it opens no socket."""
        return self.uri.partition(":")[0] in ("file", "copy")

    def lines(self) -> Iterator[str]:
        """Yield the entry in the one-line format."""
        options = [*self.options, *([f"signed-by={self.signed_by}"] if self.signed_by else [])]
        option_text = f"[{' '.join(options)}] " if options else ""
        for suite in self.suites:
            yield f"deb {option_text}{self.uri} {suite} {' '.join(self.components)}"


@dataclass(frozen=True, slots=True)
class DebianMirrors:
    """The mirrors to use: those in `specs`, or by default those of the machine's apt."""

    # A sources.list entry without `deb` and without components: `[trusted=yes] URL {suite}`.
    specs: tuple[str, ...] = ()
    keyring: Path | None = None
    etc_apt: Path = field(default=_ETC_APT, repr=False)
    os_release: Path = field(default=_OS_RELEASE, repr=False)

    def entries(self, suite: str, components: tuple[str, ...]) -> tuple[AptSource, ...]:
        """Return the sources for a suite; raise PackageError if there are none."""
        if not _SUITE.fullmatch(suite):
            raise PackageError.of(packages.BAD_RECIPE, f"{suite!r} is not the name of a suite")
        if self.specs:
            sources = [_parse_mirror(text, suite) for text in self.specs]
        else:
            sources = list(self._system_entries(suite))
        if not sources:
            raise PackageError.of(
                packages.NO_MIRROR,
                f"the configuration of this machine's apt has no Debian archive for {suite}",
                _MIRROR_HINT,
            )
        keyring = str(self.keyring or default_keyring())
        trusted = any("trusted=yes" in entry.options for entry in sources)
        if not trusted and self.keyring is not None and not self.keyring.is_file():
            raise PackageError.of(packages.NO_KEYRING, f"there is no keyring {self.keyring}")
        return tuple(
            replace(
                entry,
                components=components,
                signed_by="" if "trusted=yes" in entry.options else entry.signed_by or keyring,
            )
            for entry in sources
        )

    def _system_entries(self, suite: str) -> Iterator[AptSource]:
        system = _read_os_release(self.os_release)
        codename = system.get("VERSION_CODENAME", "")
        seen = set()
        for entry in read_apt_sources(self.etc_apt):
            if not _serves_debian(entry, codename, is_debian=system.get("ID") == "debian"):
                continue
            suites = tuple(dict.fromkeys(_translate_suites(entry.suites, codename, suite)))
            if suites and (entry.uri, suites) not in seen:
                seen.add((entry.uri, suites))
                keyring = str(self.keyring) if self.keyring else entry.signed_by
                yield replace(entry, suites=suites, signed_by=keyring)


def default_keyring() -> Path:
    """Return the keyring of Debian's archives on this host, or else the one in Dolmen."""
    return INSTALLED_KEYRING if INSTALLED_KEYRING.is_file() else SHIPPED_KEYRING


def read_apt_sources(etc_apt: Path) -> Iterator[AptSource]:
    """Yield the enabled `deb` entries of sources.list and sources.list.d."""
    for path in (etc_apt / "sources.list", *sorted((etc_apt / "sources.list.d").glob("*"))):
        if path.suffix not in (".list", ".sources") or not path.is_file():
            continue
        with wrap_os_errors(path, "read"), path.open("rb") as file:
            text = file.read(_MAX_FILE_SIZE).decode("utf-8", "replace")
        yield from (_parse_deb822_file if path.suffix == ".sources" else _parse_list_file)(text)


def _parse_deb822_file(text: str) -> Iterator[AptSource]:
    content = "\n".join(line.rstrip() for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\n+", content):
        fields: dict[str, str] = {}
        key = ""
        for line in stanza.splitlines():
            if line[:1] in (" ", "\t"):
                fields[key] = fields.get(key, "") + "\n" + line
            elif line.strip():
                key, _, value = line.partition(":")
                key = key.strip().lower()
                fields[key] = value.strip()
        if fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        if "deb" in fields.get("types", "").split():
            # Signed-By may hold a key instead of a path: then the default keyring is used.
            signed_by = fields.get("signed-by", "").strip()
            for uri in fields.get("uris", "").split():
                yield AptSource(
                    uri,
                    tuple(fields.get("suites", "").split()),
                    tuple(fields.get("components", "").split()),
                    signed_by if signed_by.startswith("/") else "",
                )


_ONE_LINE_ENTRY = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<rest>.*)")


def _parse_list_file(text: str) -> Iterator[AptSource]:
    for line in text.splitlines():
        match = _ONE_LINE_ENTRY.fullmatch(line.partition("#")[0].strip())
        if match is None:
            continue
        suite, *components = match["rest"].split() or [""]
        options = _parse_options(match["options"] or "")
        yield AptSource(match["uri"], (suite,), tuple(components), options.get("signed-by", ""))


def _parse_options(text: str) -> Mapping[str, str]:
    return {key.lower(): value for key, _, value in (o.partition("=") for o in text.split())}


_MIRROR = re.compile(r"(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>[a-z0-9+]+:/\S*|/\S+)(?P<suites>.*)")


def _parse_mirror(text: str, suite: str) -> AptSource:
    match = _MIRROR.fullmatch(text.strip().removeprefix("deb "))
    if match is None:
        raise PackageError.of(packages.NO_MIRROR, f"not a mirror: {text!r}", _MIRROR_HINT)
    options = dict(_parse_options(match["options"] or ""))
    signed_by = options.pop("signed-by", "")
    uri = match["uri"] if "://" in match["uri"] or ":" in match["uri"] else f"file:{match['uri']}"
    suites = tuple(s.replace("{suite}", suite) for s in match["suites"].split()) or (suite,)
    if not all(_SUITE.fullmatch(s) for s in suites):
        raise PackageError.of(packages.NO_MIRROR, f"not a mirror: {text!r}", _MIRROR_HINT)
    return AptSource(
        uri, suites, signed_by=signed_by, options=tuple(f"{k}={v}" for k, v in options.items())
    )


def _serves_debian(entry: AptSource, codename: str, *, is_debian: bool) -> bool:
    """Tell whether the entry is for Debian itself, and not for a third party's packages.

    The name of the keyring decides. An entry without a keyring is for the machine's system, so
    it is for Debian if `is_debian`.
    """
    if "main" not in entry.components or not any(_suite_suffix(s, codename) for s in entry.suites):
        return False
    return "debian-archive" in entry.signed_by if entry.signed_by else is_debian


def _suite_suffix(suite: str, codename: str) -> str | None:
    """Return `-security` for `bookworm-security`, `-` for `bookworm`, None for other suites."""
    for base in (codename, *_ALIASES):
        if base and suite in (f"{base}{suffix}" for suffix in _SUITE_SUFFIXES):
            return suite[len(base) :] or "-"
        if base and suite == f"{base}/updates":
            return "-security"
    return None


def _translate_suites(suites: Iterable[str], codename: str, target: str) -> Iterator[str]:
    backports = _BACKPORTS.fullmatch(target)
    release = backports["release"] if backports else target
    for suite in suites:
        suffix = _suite_suffix(suite, codename)
        if suffix == "-":
            yield release
            if backports:
                yield target
        elif suffix is not None and target not in _ROLLING:
            yield release + suffix


def _read_os_release(os_release: Path) -> Mapping[str, str]:
    try:
        text = os_release.read_text("utf-8", "replace")
    except OSError:
        return {}
    return dict(re.findall(r'^(ID|VERSION_CODENAME)="?([A-Za-z0-9._-]+)"?$', text, re.MULTILINE))
