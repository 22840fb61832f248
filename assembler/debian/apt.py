"""The engine that is apt itself, kept apart from the machine's: own state, lists and cache.

It runs as whoever runs Dolmen, for any architecture, and nothing is installed by it. The machine's
configuration is not read, so no hook of it is run; only how to reach archives (proxies, timeouts,
credentials) is taken over.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from assembler import tools
from assembler.codes import packages
from assembler.debian.engine import (
    KEYRING_HINT,
    UNTRUSTED_ARCHIVE_HINT,
    ArchiveSnapshot,
    PackageRequest,
    PinnedPackage,
    check_package_names,
    unavailable_error,
)
from assembler.debian.engine_context import EngineContext
from assembler.debian.sources import AptSource
from assembler.errors import PackageError, wrap_os_errors
from assembler.events import pluralize, task
from assembler.files import atomic_write
from assembler.oci import hold_lock
from assembler.tools import ProcessLimits, ProcessResult, program_error, run_program

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


_HELPER = Path("/usr/lib/apt/apt-helper")
_URI = re.compile(r"'(?P<uri>[^'\s]+)' (?P<file>\S+) (?P<size>\d+) SHA256:(?P<sha256>[0-9a-f]{64})")
_DATE = re.compile(rb"^Date: *([ -~]+?) *$", re.MULTILINE)
# How archives are reached is the machine's business; everything else is ours.
_INHERITED_OPTION = re.compile(
    r"Acquire::(?:(?:http|https|ftp|cdrom|file|copy|mirror|tor)(?:::|\s)|Retries\s|ForceIPv[46]\s"
    r"|Check-Valid-Until|Check-Date|Min-ValidTime|Max-ValidTime|Max-FutureTime|Queue-Mode)"
)
_CONFIG = """\
Dir::Etc::parts "/dev/null";
Dir::Etc::main "/dev/null";
Dir::Etc::sourcelist "{root}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "{root}";
Dir::State::lists "{root}/lists";
Dir::State::status "{root}/status";
Dir::Cache "{root}/cache";
Dir::Log "{root}";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Install-Recommends "false";
APT::Install-Suggests "false";
APT::Sandbox::User "";
APT::Get::Assume-Yes "true";
Acquire::Languages "none";
Acquire::ForceHash "SHA256";
Acquire::GzipIndexes "true";
Dir::Cache::srcpkgcache "";
Debug::NoLocking "true";
"""
_UPDATE = ProcessLimits(seconds=900)
_FETCH = ProcessLimits(seconds=7200)
# So many files in one call; a command line has an end.
_BATCH_SIZE = 200


@dataclass(frozen=True, slots=True)
class AptEngine:
    """Resolves and fetches with apt, its state below the pool."""

    supply: EngineContext

    def resolve(self, request: PackageRequest) -> tuple[PinnedPackage, ...]:
        """Return all packages that the request comes to, in order of their names."""
        check_package_names(request)
        entries = self.supply.mirrors.entries(request.suite, request.components)
        apt = _AptRoot.prepare(self.supply.pool.root / "apt", entries, request.architecture)
        with hold_lock(apt.root / "lock"):
            self._update(apt, request)
            status = apt.pretended(request.exclude)
            what = "install" if request.dependencies else "download"
            options = ("--print-uris", "-qq", "-o", f"Dir::State::status={status}")
            outcome = apt.run("apt-get", what, *options, "--", *request.packages)
        if outcome.status:
            raise _resolution_error(request, outcome, apt)
        return tuple(sorted(_parse_uris(outcome.output, entries)))

    def snapshots(self, request: PackageRequest) -> tuple[ArchiveSnapshot, ...]:
        """Return what the archives were that `resolve` has just chosen from."""
        entries = self.supply.mirrors.entries(request.suite, request.components)
        apt = _AptRoot.prepare(self.supply.pool.root / "apt", entries, request.architecture)
        found = []
        for suite in dict.fromkeys(suite for entry in entries for suite in entry.suites):
            name = f"*_dists_{suite.replace('/', '_')}_"
            for path in sorted(apt.root.glob(f"lists/{name}InRelease")) or sorted(
                apt.root.glob(f"lists/{name}Release")
            ):
                with wrap_os_errors(path, "read"):
                    data = path.read_bytes()
                date = _DATE.search(data)
                digest = hashlib.sha256(data).hexdigest()
                found.append(ArchiveSnapshot(suite, date[1].decode() if date else "", digest))
        return tuple(dict.fromkeys(found))

    def fetch(self, suite: str, chosen: Sequence[PinnedPackage]) -> list[Path]:
        """Return a verified file for each package; what is not in the pool comes from a mirror."""
        missing = [c for c in chosen if not self.supply.pool.has(c)]
        if missing:
            entries = self.supply.mirrors.entries(suite, ("main",))
            total = sum(c.size for c in missing)
            title = f"fetch {pluralize(len(missing), 'Debian package')}"
            with (
                task(self.supply.reporter, title, total) as progress,
                self.supply.pool.workspace() as workspace,
            ):
                for start in range(0, len(missing), _BATCH_SIZE):
                    for one in self._fetched(
                        entries, missing[start : start + _BATCH_SIZE], workspace
                    ):
                        progress.advance(one.size)
        return [self.supply.pool.used(c) for c in chosen]

    def _update(self, apt: _AptRoot, request: PackageRequest) -> None:
        stamp = apt.root / "updated"
        try:
            age = time.time() - stamp.stat().st_mtime
        except OSError:
            age = None
        if age is not None and 0 <= age < self.supply.fresh_for:
            return
        what = f"ask what {request.suite} has for {request.architecture}"
        with task(self.supply.reporter, what, None):
            command = ("update", "-q", "--error-on=any")
            outcome = apt.run("apt-get", *command, limits=_UPDATE)
        if outcome.status:
            raise _update_error(apt, outcome)
        with atomic_write(stamp):
            pass

    def _fetched(
        self, entries: Sequence[AptSource], batch: Sequence[PinnedPackage], workspace: Path
    ) -> Iterator[PinnedPackage]:
        """Fetch from the first archive that has a package; yield each that has come."""
        left = list(batch)
        outcome = None
        apt = _AptRoot.prepare(self.supply.pool.root / "apt", entries, batch[0].architecture)
        for base in dict.fromkeys(e.uri.rstrip("/") for e in entries):
            triples = []
            for one in left:
                triples += [
                    f"{base}/{quote(one.path, safe='/:')}",
                    str(workspace / f"{one.sha256}.deb"),
                    f"SHA256:{one.sha256}",
                ]
            outcome = apt.run(str(_HELPER), "-q", "download-file", *triples, limits=_FETCH)
            here = [c for c in left if (workspace / f"{c.sha256}.deb").exists()]
            for one in here:
                file = workspace / f"{one.sha256}.deb"
                self.supply.pool.take(file, one)
                file.unlink()
                yield one
            left = [c for c in left if c not in here]
            if not left:
                return
        raise unavailable_error(left, _last_error(outcome) if outcome else "")


@dataclass(frozen=True, slots=True)
class _AptRoot:
    """The directory of an apt of our own, for a set of archives and an architecture."""

    root: Path
    program: Path

    @classmethod
    def prepare(cls, above: Path, entries: Iterable[AptSource], architecture: str) -> _AptRoot:
        program = tools.require_program("apt-get")
        text = "".join(f"{line}\n" for entry in entries for line in entry.lines())
        key = hashlib.sha256(f"{architecture}\n{text}".encode()).hexdigest()[:16]
        root = (above / key).absolute()
        settings = _CONFIG.format(root=root, architecture=architecture) + _inherited_config(program)
        with wrap_os_errors(root):
            for directory in ("lists/partial", "cache/archives/partial"):
                (root / directory).mkdir(parents=True, exist_ok=True)
        for name, content in (("sources.list", text), ("apt.conf", settings), ("status", "")):
            _write_if_changed(root / name, content)
        return cls(root, program)

    def run(
        self, program: str, *arguments: str, limits: ProcessLimits | None = None
    ) -> ProcessResult:
        path = program if program.startswith("/") else str(self.program.with_name(program))
        environment = {**os.environ, "APT_CONFIG": str(self.root / "apt.conf"), "LC_ALL": "C"}
        return run_program((path, *arguments), environment, limits=limits or ProcessLimits())

    def pretended(self, names: Sequence[str]) -> Path:
        """Return a list of installed packages with those that should not be installed."""
        if not names:
            return self.root / "status"
        outcome = self.run("apt-cache", "show", "--no-all-versions", "--", *names)
        if outcome.status:
            raise PackageError.of(
                packages.UNRESOLVABLE,
                "a package to exclude does not exist: " + _last_error(outcome),
            )
        stanzas = []
        for stanza in outcome.output.decode("utf-8", "replace").split("\n\n"):
            kept = [
                line
                for line in stanza.splitlines()
                if line.split(":")[0]
                in ("Package", "Version", "Architecture", "Multi-Arch", "Provides")
            ]
            if kept:
                # On hold: apt would bring up to date what is of the same source as another.
                stanzas.append("\n".join([*kept, "Status: hold ok installed", ""]))
        text = "\n".join(stanzas)
        path = self.root / f"status-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        _write_if_changed(path, text)
        return path


def _inherited_config(program: Path) -> str:
    """Return what the machine's apt is told of how to reach archives."""
    config = program.with_name("apt-config")
    outcome = run_program((config, "dump"), {**os.environ, "LC_ALL": "C"})
    if outcome.status:
        raise program_error((config, "dump"), outcome)
    text = outcome.output.decode("utf-8", "replace")
    lines = [line for line in text.splitlines() if _INHERITED_OPTION.match(line)]
    return "".join(f"{line}\n" for line in lines)


def _write_if_changed(path: Path, text: str) -> None:
    """Write a file unless it says the same already: apt looks at its age."""
    try:
        if path.read_text("utf-8") == text:
            return
    except (OSError, UnicodeDecodeError):
        pass
    with atomic_write(path, durable=False) as file:
        file.write(text.encode())


def _parse_uris(output: bytes, entries: Sequence[AptSource]) -> Iterator[PinnedPackage]:
    bases = sorted({unquote(e.uri.rstrip("/")) + "/" for e in entries}, key=len, reverse=True)
    for line in output.decode("utf-8", "replace").splitlines():
        match = _URI.fullmatch(line)
        if match is None:
            continue
        uri = unquote(match["uri"])
        base = next((b for b in bases if uri.startswith(b)), None)
        parts = unquote(match["file"]).removesuffix(".deb").split("_")
        if base is None or len(parts) != 3:
            raise PackageError.of(packages.UNRESOLVABLE, f"apt says what is not expected: {line}")
        name, version, architecture = parts
        path, size = uri[len(base) :], int(match["size"])
        yield PinnedPackage(name, version, architecture, path, size, match["sha256"])


def _last_error(outcome: ProcessResult) -> str:
    errors = [line[3:] for line in outcome.errors.splitlines() if line.startswith("E: ")]
    return "; ".join(errors) or outcome.errors.strip() or "apt does not say why"


# What apt says of an archive, what it means, what can be done about it.
_UPDATE_FAILURES = (
    (
        ("NO_PUBKEY", "public key is not available"),
        packages.NO_KEYRING,
        KEYRING_HINT,
    ),
    (("EXPKEYSIG",), packages.BAD_SIGNATURE, KEYRING_HINT),
    (
        ("is not signed", "signatures were invalid", "expired"),
        packages.BAD_SIGNATURE,
        UNTRUSTED_ARCHIVE_HINT,
    ),
    (
        ("Mirror sync in progress", "Hash Sum mismatch"),
        packages.NO_MIRROR,
        "the mirror contradicts itself, as while it is updated: try again, or --debian-mirror",
    ),
    (("",), packages.NO_MIRROR, "is the mirror there, and does it have the suite?"),
)


def _update_error(apt: _AptRoot, outcome: ProcessResult) -> PackageError:
    sources = (apt.root / "sources.list").read_text("utf-8").strip()
    code, hint = next(
        (code, hint)
        for signs, code, hint in _UPDATE_FAILURES
        if any(sign in outcome.errors for sign in signs)
    )
    return PackageError.of(
        code, f"the archive cannot be used: {_last_error(outcome)}", hint, f"asked were:\n{sources}"
    )


def _resolution_error(
    request: PackageRequest, outcome: ProcessResult, apt: _AptRoot
) -> PackageError:
    out = outcome.output.decode("utf-8", "replace")
    unmet = [
        line.strip()
        for line in (out + outcome.errors).splitlines()
        if re.match(r" \S+ : |  +(?:Pre-)?Depends: ", line)
    ]
    said = _last_error(outcome)
    gone = "was not found" in said or "Can't find a source" in said
    code = (
        packages.VERSION_NOT_FOUND
        if gone and "=" in "".join(request.packages)
        else packages.UNRESOLVABLE
    )
    hint = "`apt-cache` shows what there is: APT_CONFIG=" + str(apt.root / "apt.conf")
    return PackageError.of(
        code,
        f"{request.suite} cannot give {', '.join(request.packages)} for {request.architecture}: "
        + "\n".join([said, *unmet]),
        hint + " apt-cache search NAME",
    )
