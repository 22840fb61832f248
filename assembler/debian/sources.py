"""Where Debian packages come from: the machine's own apt configuration, or mirrors given.

No mirror's name is built in. The entries of the machine that serve Debian itself are used for the
recipe's suite: what they say of the machine's own suite is carried over (`bookworm-security`
becomes `trixie-security`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from assembler.codes import packages
from assembler.errors import PackageError, wrap_os_errors

DEFAULT_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_ETC_APT = Path("/etc/apt")
_OS_RELEASE = Path("/etc/os-release")
_MAX_FILE_SIZE = 1 << 20
# Suites that have neither updates nor security archives beside them.
_ROLLING = frozenset({"sid", "unstable", "experimental", "rc-buggy"})
_ALIASES = frozenset({"stable", "oldstable", "oldoldstable", "testing", *_ROLLING})
# Beside a suite, what belongs to it; backports are somebody's choice and no part of a release.
_SUITE_SUFFIXES = ("", "-updates", "-security")
_SUITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]*(?:/[A-Za-z0-9.+_-]+)*")
_MIRROR_HINT = (
    "name a mirror with --debian-mirror URL or DOLMEN_DEBIAN_MIRROR, as apt would be told: "
    "[signed-by=KEYRING] URL SUITE..., where {suite} stands for the recipe's"
)


@dataclass(frozen=True, slots=True)
class AptSource:
    """An archive as apt knows it: its address, its suites, and whose signature it has."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...] = ("main",)
    signed_by: str = ""
    # Further options of the one-line format, as `trusted=yes`; only of mirrors given.
    options: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield the entry in the one-line format."""
        options = [*self.options, *([f"signed-by={self.signed_by}"] if self.signed_by else [])]
        shown = f"[{' '.join(options)}] " if options else ""
        for suite in self.suites:
            yield f"deb {shown}{self.uri} {suite} {' '.join(self.components)}"


@dataclass(frozen=True, slots=True)
class DebianMirrors:
    """What was said about mirrors; nothing said means the machine's own."""

    # Each as after `deb` in sources.list, without components: `[trusted=yes] URL {suite}`.
    given: tuple[str, ...] = ()
    keyring: Path | None = None
    etc_apt: Path = field(default=_ETC_APT, repr=False)
    os_release: Path = field(default=_OS_RELEASE, repr=False)

    def entries(self, suite: str, components: tuple[str, ...]) -> tuple[AptSource, ...]:
        """Return the archives to use for a suite; an error says what to do if there are none."""
        if not _SUITE.fullmatch(suite):
            raise PackageError.of(packages.BAD_RECIPE, f"{suite!r} is not the name of a suite")
        if self.given:
            found = [_parse_mirror(text, suite) for text in self.given]
        else:
            found = list(self._of_machine(suite))
        if not found:
            raise PackageError.of(
                packages.NO_MIRROR,
                f"this machine's apt is told of no archive of Debian's that could have {suite}",
                _MIRROR_HINT,
            )
        default = str(self.keyring or DEFAULT_KEYRING)
        trusted = any("trusted=yes" in entry.options for entry in found)
        if not trusted and self.keyring is not None and not self.keyring.is_file():
            raise PackageError.of(packages.NO_KEYRING, f"there is no keyring {self.keyring}")
        return tuple(
            replace(
                entry,
                components=components,
                signed_by="" if "trusted=yes" in entry.options else entry.signed_by or default,
            )
            for entry in found
        )

    def _of_machine(self, suite: str) -> Iterator[AptSource]:
        system = _read_os_release(self.os_release)
        own = system.get("VERSION_CODENAME", "")
        seen = set()
        for entry in read_apt_sources(self.etc_apt):
            if not _serves_debian(entry, own, default=system.get("ID") == "debian"):
                continue
            suites = tuple(dict.fromkeys(_translate_suites(entry.suites, own, suite)))
            if suites and (entry.uri, suites) not in seen:
                seen.add((entry.uri, suites))
                keyring = str(self.keyring) if self.keyring else entry.signed_by
                yield replace(entry, suites=suites, signed_by=keyring)


def read_apt_sources(etc_apt: Path) -> Iterator[AptSource]:
    """Yield the archives of binary packages that the machine's apt is told of."""
    for path in (etc_apt / "sources.list", *sorted((etc_apt / "sources.list.d").glob("*"))):
        if path.suffix not in (".list", ".sources") or not path.is_file():
            continue
        with wrap_os_errors(path, "read"), path.open("rb") as file:
            text = file.read(_MAX_FILE_SIZE).decode("utf-8", "replace")
        yield from (_parse_deb822_file if path.suffix == ".sources" else _parse_list_file)(text)


def _parse_deb822_file(text: str) -> Iterator[AptSource]:
    kept = "\n".join(line.rstrip() for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\n+", kept):
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
            # A key given in the text itself, and not as a file, is left to the default keyring.
            signed_by = fields.get("signed-by", "").strip()
            for uri in fields.get("uris", "").split():
                yield AptSource(
                    uri,
                    tuple(fields.get("suites", "").split()),
                    tuple(fields.get("components", "").split()),
                    signed_by if signed_by.startswith("/") else "",
                )


_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<rest>.*)")


def _parse_list_file(text: str) -> Iterator[AptSource]:
    for line in text.splitlines():
        match = _ONE_LINE.fullmatch(line.partition("#")[0].strip())
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


def _serves_debian(entry: AptSource, own: str, *, default: bool) -> bool:
    """Tell whether the entry serves Debian itself, and not somebody's packages for Debian.

    The keyring tells; an entry without one is the system's own, so by `default` Debian's on Debian.
    """
    if "main" not in entry.components or not any(_suite_suffix(s, own) for s in entry.suites):
        return False
    return "debian-archive" in entry.signed_by if entry.signed_by else default


def _suite_suffix(suite: str, own: str) -> str | None:
    """Return `-security` for `bookworm-security`, an empty text for `bookworm` itself."""
    for base in (own, *_ALIASES):
        if base and suite in (f"{base}{kind}" for kind in _SUITE_SUFFIXES):
            return suite[len(base) :] or "-"
        if base and suite == f"{base}/updates":
            return "-security"
    return None


def _translate_suites(suites: Iterable[str], own: str, wanted: str) -> Iterator[str]:
    for suite in suites:
        kind = _suite_suffix(suite, own)
        if kind == "-":
            yield wanted
        elif kind is not None and wanted not in _ROLLING:
            yield wanted + kind


def _read_os_release(os_release: Path) -> Mapping[str, str]:
    try:
        text = os_release.read_text("utf-8", "replace")
    except OSError:
        return {}
    return dict(re.findall(r'^(ID|VERSION_CODENAME)="?([A-Za-z0-9._-]+)"?$', text, re.MULTILINE))
