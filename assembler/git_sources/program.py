"""The git program: refs and commits of other repositories, fetched without prompts and hooks.

Only this machine's git configuration applies (proxies, credential helpers, certificates): nothing
of a repository is configuration here, since its objects come into a new, bare one.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler import tools
from assembler.codes import packages
from assembler.errors import PackageError
from assembler.files import disk_usage
from assembler.git_sources.reference import COMMIT, ref_hint
from assembler.git_sources.tree import CommitTree, object_hash, parse_listing
from assembler.printable import printable
from assembler.quantities import size_text
from assembler.spelling import nearest_words
from assembler.tools import (
    ProcessLimits,
    ProcessResult,
    StallLimits,
    program_error,
    run_program,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from assembler.git_sources.reference import GitReference, PackageReference
    from assembler.git_sources.tree import TreeEntry

_LIST_LIMITS = ProcessLimits(120.0, 8 << 20, StallLimits(60.0))
_FETCH_LIMITS = ProcessLimits(3600.0, 64 << 20, StallLimits(120.0))
_TREE_LIMITS = ProcessLimits(600.0, 64 << 20)
_READ_LIMITS = ProcessLimits(600.0, 1 << 30)
_MAX_REPOSITORY = 4 << 30
_BATCH = 32 << 20
_TAIL = 8 << 10
_MAX_LINES = 6
_NO_COMMIT = re.compile(r"not our ref|unadvertised object|no such remote ref")
_NO_ACCESS = re.compile(
    r"could not read (?:Username|Password)|Authentication failed|Permission denied|"
    r"terminal prompts disabled|error: 40[13]|Host key verification failed",
    re.IGNORECASE,
)
_NO_REPOSITORY = re.compile(
    r"does not appear to be a git repository|not found|error: 404|not valid: is this a git",
    re.IGNORECASE,
)
_FOREIGN_OWNER = re.compile(r"dubious ownership|owned by someone else")
# The schemes that git may use for a URL; https and ssh are the same for `insteadOf` of users.
_REMOTE_PROTOCOLS = "https"
_PROTOCOLS = {"https": "https:ssh", "http": "http:https", "ssh": "ssh:https"}


@dataclass(frozen=True, slots=True)
class GitAccess:
    """How repositories may be reached."""

    # A YAML file from a URL may not make this machine log in anywhere.
    credentials: bool = True


def resolve_ref(reference: GitReference, access: GitAccess) -> str:
    """Return the commit that a branch or a tag is at now."""
    if reference.commit is not None:
        return reference.commit
    ref = reference.ref
    names = [ref] if ref.startswith("refs/") or ref == "HEAD" else [f"refs/heads/{ref}"]
    if names[0].startswith("refs/heads/") and not ref.startswith("refs/"):
        names.append(f"refs/tags/{ref}")
    found = _list_refs(reference, access, *names, *(f"{name}^{{}}" for name in names))
    matches = {name: found.get(f"{name}^{{}}", found[name]) for name in names if name in found}
    if len(set(matches.values())) > 1:
        raise PackageError.of(
            packages.GIT_REF_NOT_FOUND,
            f"{reference.url} has a branch and a tag named {ref!r}",
            "write #refs/heads/… or #refs/tags/…",
        )
    if not matches:
        raise _missing_ref(reference, access)
    commit = next(iter(matches.values()))
    if not COMMIT.fullmatch(commit):
        raise PackageError.of(
            packages.GIT_REFUSED, f"{reference.url} does not have SHA-1 hashes, which tags need"
        )
    return commit


def _missing_ref(reference: GitReference, access: GitAccess) -> PackageError:
    every = _list_refs(reference, access, "refs/heads/*", "refs/tags/*")
    short = {n.removeprefix("refs/heads/").removeprefix("refs/tags/") for n in every}
    near = nearest_words(reference.ref, sorted(n for n in short if "^" not in n), 1)
    hints = ref_hint(reference.ref) or ((f"did you mean {near[0]}?",) if near else ())
    return PackageError.of(
        packages.GIT_REF_NOT_FOUND,
        f"{reference.url} has no branch or tag {reference.ref!r}",
        *hints,
    )


def _list_refs(reference: GitReference, access: GitAccess, *patterns: str) -> dict[str, str]:
    done = _run(reference, access, ["ls-remote", "--", reference.url, *patterns], _LIST_LIMITS)
    if done.status:
        raise _failure(reference, done.errors)
    rows = (line.partition("\t") for line in done.output.decode("utf-8", "replace").splitlines())
    return {name: commit for commit, _, name in rows}


def make_repository(repository: Path) -> None:
    """Create an empty bare repository."""
    options = ["--quiet", "--bare", "--template=", "--object-format=sha1"]
    command = _command(GitAccess(), ["init", *options, "--", str(repository)])
    done = run_program(command, _plain_environment(), limits=_LIST_LIMITS)
    if done.status:
        raise program_error(command, done)


def unpack_objects(reference: PackageReference, pack: Path) -> None:
    """Check a pack in a repository, and make it usable."""
    words = ["--git-dir", str(pack.parents[2]), "index-pack", "--fsck-objects", str(pack)]
    done = _run(reference, GitAccess(credentials=False), words, _FETCH_LIMITS)
    if done.status:
        raise _failure(reference, done.errors)


def read_own(directory: Path, *words: str) -> bytes:
    """Return what git prints about a repository of the user."""
    return _run_own(directory, words, _READ_LIMITS)


def pack_objects(directory: Path, objects: bytes, base: Path) -> None:
    """Write objects of a repository of the user to one pack, whose path begins with `base`."""
    # The same bytes for the same commit: no deltas, which depend on threads and earlier packs.
    words = ("-q", "--threads=1", "--window=0", "--no-reuse-delta", "--no-reuse-object")
    # A setting of the user could divide the pack.
    one = ("-c", "pack.packSizeLimit=0", "pack-objects", *words, "--", str(base))
    _run_own(directory, one, _FETCH_LIMITS, objects, (base.parent,))


def _run_own(
    directory: Path,
    words: Sequence[str],
    limits: ProcessLimits,
    stdin: bytes = b"",
    writes: Sequence[Path] = (),
) -> bytes:
    options = ("--no-pager", "--no-replace-objects", "-c", "core.fsmonitor=false")
    command = [str(tools.require_program("git")), "-C", str(directory), *options, *words]
    done = run_program(command, _plain_environment(), limits=limits, stdin=stdin, writes=writes)
    if done.status:
        raise program_error(command, done)
    return done.output


def _plain_environment() -> dict[str, str]:
    return {n: v for n, v in os.environ.items() if not n.startswith("GIT_")} | {
        "LC_ALL": "C",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
    }


def fetch_commit(reference: GitReference, commit: str, access: GitAccess, repository: Path) -> None:
    """Fetch a commit into a new bare repository, without its history if the server allows that."""
    make_repository(repository)
    fetch = ["fetch", "--progress", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"]
    fetch += ["--no-recurse-submodules"]
    status, text = _fetch(reference, access, repository, [*fetch, "--depth=1"], commit)
    if status and _NO_COMMIT.search(text) and reference.commit is None:
        # An old server gives only commits that have a name: then with the history.
        status, text = _fetch(reference, access, repository, fetch, reference.ref)
        found = ["--git-dir", str(repository), "cat-file", "-e", f"{commit}^{{commit}}"]
        if not status and _run(reference, GitAccess(credentials=False), found, _TREE_LIMITS).status:
            status, text = 1, "not our ref"
    if status and _NO_COMMIT.search(text):
        raise PackageError.of(
            packages.GIT_REF_NOT_FOUND,
            f"{reference.url} has no commit {commit}, or does not give it",
            *(() if reference.commit else ("`dolmen lock --update` moves to one that it has",)),
        )
    if status:
        raise _failure(reference, text)


def _fetch(
    reference: GitReference,
    access: GitAccess,
    repository: Path,
    words: Sequence[str],
    wanted: str,
) -> tuple[int, str]:
    """Fetch, and return git's status and the end of its messages; too much data is an error."""
    tail = b""
    checked = time.monotonic()

    def see(chunk: bytes) -> None:
        nonlocal tail, checked
        tail = (tail + chunk)[-_TAIL:]
        if time.monotonic() - checked > 1:
            _check_size(reference, repository)
            checked = time.monotonic()

    command = _command(access, ["--git-dir", str(repository), *words, "--", reference.url, wanted])
    done = run_program(
        command,
        _environment(reference, access),
        limits=_FETCH_LIMITS,
        on_output=see,
        writes=(repository,),
    )
    _check_size(reference, repository)
    return done.status, tail.decode("utf-8", "replace")


def _check_size(reference: GitReference, repository: Path) -> None:
    if disk_usage(repository) > _MAX_REPOSITORY:
        raise PackageError.of(
            packages.GIT_REFUSED,
            f"{reference.url} is larger than {size_text(_MAX_REPOSITORY)}",
            "put the packages into a repository of their own",
        )


def read_tree(reference: PackageReference, commit: str, repository: Path) -> CommitTree:
    """Return the tree of a commit that was fetched; all hashes are checked."""
    header = _read(reference, repository, ["cat-file", "commit", commit], _TREE_LIMITS)
    words = ["ls-tree", "-r", "-t", "-l", "-z", "--full-tree", commit]
    listing = _read(reference, repository, words, _TREE_LIMITS)
    tree = CommitTree(commit, header, parse_listing(listing))
    tree.check()
    return tree


def read_blobs(
    reference: PackageReference, repository: Path, entries: Sequence[TreeEntry]
) -> Iterator[tuple[TreeEntry, bytes]]:
    """Yield the contents of files and links; each is checked against its hash."""
    for batch in _batches(entries):
        names = "".join(f"{entry.hash}\n" for entry in batch).encode()
        output = _read(reference, repository, ["cat-file", "--batch"], _READ_LIMITS, names)
        at = 0
        for entry in batch:
            end = output.find(b"\n", at)
            head = output[at:end].split()
            if end < 0 or len(head) != 3 or head[1] != b"blob":
                raise _broken(reference, entry)
            start, size = end + 1, int(head[2])
            content = output[start : start + size]
            if object_hash(b"blob", content) != entry.hash:
                raise _broken(reference, entry)
            at = start + size + 1
            yield entry, content


def _batches(entries: Sequence[TreeEntry]) -> Iterator[list[TreeEntry]]:
    batch: list[TreeEntry] = []
    size = 0
    for entry in entries:
        if batch and size + entry.size > _BATCH:
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += entry.size
    if batch:
        yield batch


def _broken(reference: PackageReference, entry: TreeEntry) -> PackageError:
    return PackageError.of(
        packages.GIT_REFUSED, f"{reference.url} lacks the content of {entry.path!r}"
    )


def _read(
    reference: PackageReference,
    repository: Path,
    words: Sequence[str],
    limits: ProcessLimits,
    stdin: bytes = b"",
) -> bytes:
    access = GitAccess(credentials=False)
    done = _run(reference, access, ["--git-dir", str(repository), *words], limits, stdin)
    if done.status:
        raise _failure(reference, done.errors)
    return done.output


def _run(
    reference: PackageReference,
    access: GitAccess,
    words: Sequence[str],
    limits: ProcessLimits,
    stdin: bytes = b"",
) -> ProcessResult:
    environment = _environment(reference, access)
    return run_program(_command(access, words), environment, limits=limits, stdin=stdin)


def _command(access: GitAccess, words: Sequence[str]) -> list[str]:
    settings = [
        "core.hooksPath=/dev/null",
        "core.fsmonitor=false",
        "core.askPass=",
        "fetch.fsckObjects=true",
        "fetch.unpackLimit=1",
        "fetch.recurseSubmodules=false",
        "gc.auto=0",
        "maintenance.auto=false",
        "http.followRedirects=initial",
        "http.lowSpeedLimit=1000",
        "http.lowSpeedTime=60",
    ]
    if not access.credentials:
        settings.append("credential.helper=")
    options = [word for setting in settings for word in ("-c", setting)]
    # With a directory that is no repository: git would look for the configuration of one.
    return [str(tools.require_program("git")), "-C", "/", "--no-pager", *options, *words]


def _environment(reference: PackageReference, access: GitAccess) -> dict[str, str]:
    kept = ("GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSL_", "GIT_CONFIG_", "GIT_PROXY", "GIT_EXEC_PATH")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name.startswith(kept)
    }
    if not access.credentials:
        # No ~/.netrc, and no settings, which may have headers with tokens.
        settings = ("GIT_CONFIG_", "XDG_CONFIG_HOME")
        environment = {n: v for n, v in environment.items() if not n.startswith(settings)}
        environment |= {"HOME": "/nonexistent", "GIT_CONFIG_GLOBAL": "/dev/null"}
        environment["GIT_CONFIG_NOSYSTEM"] = "1"
    protocols = _PROTOCOLS.get(reference.scheme, reference.scheme)
    return environment | {
        "LC_ALL": "C",
        "GIT_ALLOW_PROTOCOL": protocols if access.credentials else _REMOTE_PROTOCOLS,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        "SSH_ASKPASS_REQUIRE": "never",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_LFS_SKIP_SMUDGE": "1",
    }


def _failure(reference: PackageReference, text: str) -> PackageError:
    """Return the error for a repository that cannot be reached, with what git said."""
    lines = [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]
    told = [n for n in lines if n.startswith(("fatal:", "error:", "remote:", "ssh:"))] or lines
    said = "\n".join(printable(line) for line in told[-_MAX_LINES:])
    hints: tuple[str, ...] = ()
    if _FOREIGN_OWNER.search(text):
        hints = ("if you trust it: git config --global --add safe.directory DIRECTORY",)
    elif _NO_ACCESS.search(text):
        hints = (
            "Dolmen never asks for a password: set up a credential helper of git, or an ssh agent",
            f"try it: GIT_TERMINAL_PROMPT=0 git ls-remote {reference.url}",
        )
    elif _NO_REPOSITORY.search(text):
        hints = ("check the URL; a private repository may look like a missing one",)
    message = f"cannot fetch {reference.url}" + (f":\n{said}" if said else "")
    return PackageError.of(packages.GIT_FETCH_FAILED, message, *hints)
