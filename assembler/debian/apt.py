"""The engine that runs apt with its own state, lists and cache, apart from the machine's.

It needs no root, works for any architecture and installs nothing. It does not read the machine's
apt configuration, so none of its hooks run; it inherits only the options for reaching archives
(proxies, timeouts, credentials).
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
from assembler.debian.engine_protocol import (
    EXPIRED_ARCHIVE_HINTS,
    KEYRING_HINT,
    UNTRUSTED_ARCHIVE_HINT,
    ArchiveSnapshot,
    PackageRequest,
    PinnedPackage,
    check_package_names,
    missing_index_error,
    missing_packages_error,
    unavailable_error,
    unknown_host_error,
)
from assembler.debian.index_hints import broken_index_hints
from assembler.disk_space import temporary_directory
from assembler.errors import PackageError, wrap_os_errors
from assembler.events import pluralize, task
from assembler.files import STORE_MODE, atomic_write
from assembler.oci import hold_lock
from assembler.tools import ProcessLimits, ProcessResult, program_error, run_program

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from assembler.codes import Code
    from assembler.debian.engine_context import EngineContext
    from assembler.debian.sources import AptSource


_APT_HELPER = Path("/usr/lib/apt/apt-helper")
_PRINTED_URI = re.compile(
    r"'(?P<uri>[^'\s]+)' (?P<file>\S+) (?P<size>\d+) SHA256:(?P<sha256>[0-9a-f]{64})"
)
_RELEASE_DATE = re.compile(rb"^Date: *([ -~]+?) *$", re.MULTILINE)
# The machine decides how archives are reached; this engine sets every other option.
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
Acquire::Retries "2";
Acquire::http::Timeout "15";
Acquire::https::Timeout "15";
Dir::Cache::srcpkgcache "";
Debug::NoLocking "true";
"""
_UPDATE_LIMITS = ProcessLimits(seconds=900)
_FETCH_LIMITS = ProcessLimits(seconds=7200)
# The number of packages in one call: the length of a command line is limited.
_BATCH_SIZE = 200


@dataclass(frozen=True, slots=True)
class AptEngine:
    """Resolves and fetches packages with apt, whose state is below the pool."""

    context: EngineContext

    def resolve(self, request: PackageRequest) -> tuple[PinnedPackage, ...]:
        """Return the requested packages and their dependencies, sorted by name."""
        check_package_names(request)
        entries = self.context.mirrors.entries(request.suite, request.components)
        apt = _AptRoot.prepare(self.context.pool.root / "apt", entries, request.architecture)
        with hold_lock(apt.root / "lock"):
            self._update(apt, request)
            status = apt.write_status(request.exclude)
            command = "install" if request.dependencies else "download"
            options = ("--print-uris", "-qq", "-o", f"Dir::State::status={status}")
            result = apt.run("apt-get", command, *options, "--", *request.packages)
        if result.status:
            raise _resolution_error(request, result, apt)
        return tuple(sorted(_parse_uris(result.output, entries)))

    def snapshots(self, request: PackageRequest) -> tuple[ArchiveSnapshot, ...]:
        """Return the state of the archives that `resolve` used."""
        entries = self.context.mirrors.entries(request.suite, request.components)
        apt = _AptRoot.prepare(self.context.pool.root / "apt", entries, request.architecture)
        releases = []
        for suite in dict.fromkeys(suite for entry in entries for suite in entry.suites):
            name = f"*_dists_{suite.replace('/', '_')}_"
            for path in sorted(apt.root.glob(f"lists/{name}InRelease")) or sorted(
                apt.root.glob(f"lists/{name}Release")
            ):
                with wrap_os_errors(path, "read"):
                    data = path.read_bytes()
                date = _RELEASE_DATE.search(data)
                digest = hashlib.sha256(data).hexdigest()
                releases.append(ArchiveSnapshot(suite, date[1].decode() if date else "", digest))
        return tuple(dict.fromkeys(releases))

    def fetch(self, suite: str, packages: Sequence[PinnedPackage]) -> list[Path]:
        """Return a verified file for each package; download those that are not in the pool."""
        missing = [package for package in packages if not self.context.pool.has(package)]
        if missing:
            entries = self.context.archives(suite, ("main",))
            if not entries:
                raise missing_packages_error(missing)
            total = sum(package.size for package in missing)
            what = pluralize(len(missing), "Debian package")
            self.context.pool.check_room(total, what)
            title = f"fetch {what}"
            with (
                task(self.context.reporter, title, total) as progress,
                self.context.pool.temporary_directory() as directory,
            ):
                for start in range(0, len(missing), _BATCH_SIZE):
                    for package in self._download(
                        entries, missing[start : start + _BATCH_SIZE], directory
                    ):
                        progress.advance(package.size)
        return [self.context.pool.use(package) for package in packages]

    def _update(self, apt: _AptRoot, request: PackageRequest) -> None:
        stamp = apt.root / "updated"
        try:
            age = time.time() - stamp.stat().st_mtime
        except OSError:
            age = None
        if not self.context.may_update(request):
            if age is None:
                raise missing_index_error(request)
            return
        if age is not None and 0 <= age < self.context.max_index_age:
            return
        title = f"update the package lists of {request.suite} for {request.architecture}"
        with task(self.context.reporter, title, None):
            command = ("update", "-q", "--error-on=any")
            result = apt.run("apt-get", *command, limits=_UPDATE_LIMITS)
        if result.status:
            raise _update_error(apt, result)
        with atomic_write(stamp, mode=STORE_MODE):
            pass

    def _download(
        self, entries: Sequence[AptSource], batch: Sequence[PinnedPackage], directory: Path
    ) -> Iterator[PinnedPackage]:
        """Download each package from the first archive that has it, and yield it."""
        missing = list(batch)
        result = None
        apt = _AptRoot.prepare(self.context.pool.root / "apt", entries, batch[0].architecture)
        for base in dict.fromkeys(entry.uri.rstrip("/") for entry in entries):
            triples = []
            for package in missing:
                triples += [
                    f"{base}/{quote(package.path, safe='/:')}",
                    str(directory / f"{package.sha256}.deb"),
                    f"SHA256:{package.sha256}",
                ]
            result = apt.run(
                str(_APT_HELPER), "-q", "download-file", *triples, limits=_FETCH_LIMITS
            )
            downloaded = [
                package for package in missing if (directory / f"{package.sha256}.deb").exists()
            ]
            for package in downloaded:
                file = directory / f"{package.sha256}.deb"
                self.context.pool.add(file, package)
                file.unlink()
                yield package
            missing = [package for package in missing if package not in downloaded]
            if not missing:
                return
        raise unavailable_error(missing, _last_error(result) if result else "")


@dataclass(frozen=True, slots=True)
class _AptRoot:
    """The configuration and state of apt for a set of archives and an architecture."""

    root: Path
    program: Path

    @classmethod
    def prepare(cls, parent: Path, entries: Iterable[AptSource], architecture: str) -> _AptRoot:
        program = tools.require_program("apt-get")
        text = "".join(f"{line}\n" for entry in entries for line in entry.lines())
        key = hashlib.sha256(f"{architecture}\n{text}".encode()).hexdigest()[:16]
        root = (parent / key).absolute()
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
        return run_program(
            (path, *arguments),
            environment,
            limits=limits or ProcessLimits(),
            writes=(self.root, temporary_directory()),
        )

    def write_status(self, names: Sequence[str]) -> Path:
        """Return a dpkg status file that lists the excluded packages as installed."""
        if not names:
            return self.root / "status"
        result = self.run("apt-cache", "show", "--no-all-versions", "--", *names)
        if result.status:
            raise PackageError.of(
                packages.UNRESOLVABLE,
                "a package to exclude does not exist: " + _last_error(result),
            )
        stanzas = []
        for stanza in result.output.decode("utf-8", "replace").split("\n\n"):
            fields = [
                line
                for line in stanza.splitlines()
                if line.split(":")[0]
                in ("Package", "Version", "Architecture", "Multi-Arch", "Provides")
            ]
            if fields:
                # On hold: else apt upgrades packages of the same source as a requested one.
                stanzas.append("\n".join([*fields, "Status: hold ok installed", ""]))
        text = "\n".join(stanzas)
        path = self.root / f"status-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        _write_if_changed(path, text)
        return path


def _inherited_config(program: Path) -> str:
    """Return the machine's apt options for reaching archives."""
    config = program.with_name("apt-config")
    result = run_program((config, "dump"), {**os.environ, "LC_ALL": "C"})
    if result.status:
        raise program_error((config, "dump"), result)
    text = result.output.decode("utf-8", "replace")
    lines = [line for line in text.splitlines() if _INHERITED_OPTION.match(line)]
    return "".join(f"{line}\n" for line in lines)


def _write_if_changed(path: Path, text: str) -> None:
    """Write a file unless it has this text already: apt compares modification times."""
    try:
        if path.read_text("utf-8") == text:
            return
    except (OSError, UnicodeDecodeError):
        pass
    with atomic_write(path, mode=STORE_MODE, durable=False) as file:
        file.write(text.encode())


def _parse_uris(output: bytes, entries: Sequence[AptSource]) -> Iterator[PinnedPackage]:
    bases = sorted(
        {unquote(entry.uri.rstrip("/")) + "/" for entry in entries}, key=len, reverse=True
    )
    for line in output.decode("utf-8", "replace").splitlines():
        match = _PRINTED_URI.fullmatch(line)
        if match is None:
            continue
        uri = unquote(match["uri"])
        base = next((base_uri for base_uri in bases if uri.startswith(base_uri)), None)
        parts = unquote(match["file"]).removesuffix(".deb").split("_")
        if base is None or len(parts) != 3:
            raise PackageError.of(
                packages.UNRESOLVABLE, f"apt-get printed an unexpected line: {line}"
            )
        name, version, architecture = parts
        path, size = uri[len(base) :], int(match["size"])
        yield PinnedPackage(name, version, architecture, path, size, match["sha256"])


def _last_error(result: ProcessResult) -> str:
    errors = [line[3:] for line in result.errors.splitlines() if line.startswith("E: ")]
    return "; ".join(errors) or result.errors.strip() or "apt printed no error message"


# Parts of apt's error messages, the code for them, and the hints.
_UPDATE_FAILURES: tuple[tuple[tuple[str, ...], Code, tuple[str, ...]], ...] = (
    (
        ("NO_PUBKEY", "public key is not available"),
        packages.NO_KEYRING,
        (KEYRING_HINT,),
    ),
    (("EXPKEYSIG",), packages.BAD_SIGNATURE, (KEYRING_HINT,)),
    (("is expired (invalid since",), packages.BAD_SIGNATURE, EXPIRED_ARCHIVE_HINTS),
    (
        ("is not signed", "signatures were invalid", "expired"),
        packages.BAD_SIGNATURE,
        (UNTRUSTED_ARCHIVE_HINT,),
    ),
    (("",), packages.NO_MIRROR, ("check that the mirror is reachable and has the suite",)),
)


_INCONSISTENT = ("Mirror sync in progress", "Hash Sum mismatch")
_FAILED_URL = re.compile(r"Failed to fetch (?P<url>\S+)")
_UNRESOLVED = re.compile(r" resolving '(?P<host>[^']+)'")


def _update_error(apt: _AptRoot, result: ProcessResult) -> PackageError:
    unresolved = _UNRESOLVED.search(result.errors)
    if unresolved:
        return unknown_host_error(unresolved["host"])
    sources = (apt.root / "sources.list").read_text("utf-8").strip()
    code, hints = next(
        (code, hints)
        for messages, code, hints in _UPDATE_FAILURES
        if any(message in result.errors for message in messages)
    )
    if code is packages.NO_MIRROR and any(text in result.errors for text in _INCONSISTENT):
        hints = broken_index_hints(_FAILED_URL.findall(result.errors))
    return PackageError.of(
        code,
        f"the archive cannot be used: {_last_error(result)}",
        *hints,
        f"the sources are:\n{sources}",
    )


def _resolution_error(
    request: PackageRequest, result: ProcessResult, apt: _AptRoot
) -> PackageError:
    out = result.output.decode("utf-8", "replace")
    unmet_dependencies = [
        line.strip()
        for line in (out + result.errors).splitlines()
        if re.match(r" \S+ : |  +(?:Pre-)?Depends: ", line)
    ]
    reason = _last_error(result)
    not_found = "was not found" in reason or "Can't find a source" in reason
    code = (
        packages.VERSION_NOT_FOUND
        if not_found and "=" in "".join(request.packages)
        else packages.UNRESOLVABLE
    )
    hint = "to list the packages: APT_CONFIG=" + str(apt.root / "apt.conf")
    return PackageError.of(
        code,
        f"cannot resolve {', '.join(request.packages)} in {request.suite} for "
        f"{request.architecture}: " + "\n".join([reason, *unmet_dependencies]),
        hint + " apt-cache search NAME",
    )
