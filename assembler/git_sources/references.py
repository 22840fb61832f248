"""The directories that `@git:` references name: resolved once, locked, fetched into the store."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.errors import PackageError
from assembler.events import LogMessage, NullReporter, task
from assembler.git_sources.checkout import (
    Checkout,
    checkouts_directory,
    make_checkout,
    open_checkout,
)
from assembler.git_sources.lock_file import (
    LockedCommit,
    lock_path,
    read_lock,
    write_lock,
)
from assembler.git_sources.program import GitAccess, fetch_commit, resolve_ref
from assembler.git_sources.reference import (
    GitReference,
    OciReference,
    PackageReference,
    parse_reference,
)
from assembler.oci import hold_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from assembler.config import ConfigInput
    from assembler.events import Reporter
    from assembler.oci import ImageSources, Store

_STDIN = "<stdin>"
# The same failure for every package of a repository.
_OF_REPOSITORY = (packages.GIT_FETCH_FAILED, packages.GIT_NOT_IN_STORE)


@dataclass
class GitReferences:
    """Finds the directories of references, and keeps their commits in the locks of YAML files."""

    sources: ImageSources
    reporter: Reporter = field(default_factory=NullReporter)
    # Without it, only what the store has is found.
    fetch: bool = True
    # Whether new commits are written to the locks.
    write_locks: bool = True
    # Whether the commit of a source is resolved again, although the lock has it.
    updates: Callable[[PackageReference], bool] = lambda _reference: False
    # The commits that were used, by lock and source.
    used: dict[Path, dict[str, LockedCommit]] = field(default_factory=dict)
    _moved: dict[tuple[Path, str], LockedCommit] = field(default_factory=dict)
    _failures: dict[str, PackageError] = field(default_factory=dict)

    def directory(self, text: str, given: ConfigInput) -> Path | None:
        """Return the package's directory in the store; None if it is not there to be found."""
        reference = parse_reference(text)
        if given.url and reference.scheme != "https":
            raise PackageError.of(
                packages.BAD_GIT_REFERENCE,
                f"a YAML file from a URL may not use {reference.scheme}: for a repository",
                "use https:",
            )
        if reference.url in self._failures:
            raise self._failures[reference.url]
        try:
            return self._find(reference, given)
        except PackageError as error:
            if error.diagnostics[0].code in _OF_REPOSITORY:
                self._failures[reference.url] = error
            raise

    def _find(self, reference: PackageReference, given: ConfigInput) -> Path | None:
        access = GitAccess(credentials=not given.url)
        lock = None if given.url or given.name == _STDIN else lock_path(Path(given.name))
        locked = self._commit(reference, lock, access)
        checkout = self._checkout(reference, locked, access) if locked is not None else None
        if checkout is None:
            return None
        checkout.tree.require_directory(reference.directory, reference.url)
        return checkout.files / reference.directory

    def _commit(
        self, reference: PackageReference, lock: Path | None, access: GitAccess
    ) -> LockedCommit | None:
        if reference.commit is not None:
            return LockedCommit(reference.commit, "")
        if lock is None and isinstance(reference, OciReference) and reference.digest:
            return self._ask(reference, access) if self.fetch else None
        if lock is None:
            raise PackageError.of(
                packages.BAD_GIT_REFERENCE,
                f"{reference.ref!r} may move, and only a YAML file on this machine has a lock",
                "name the commit with all of its 40 digits, or the digest",
            )
        moved = self._moved.get((lock, reference.key))
        if moved is not None:
            return moved
        renew = self.updates(reference)
        locked = read_lock(lock).get(reference.key)
        if locked is None or renew:
            locked = self._resolve(reference, lock, access, renew=renew)
        if locked is None:
            return None
        self.used.setdefault(lock, {})[reference.key] = locked
        self._moved[lock, reference.key] = locked
        return locked

    def _resolve(
        self, reference: PackageReference, lock: Path, access: GitAccess, *, renew: bool
    ) -> LockedCommit | None:
        """Ask the repository for the commit, fetch it, and write it to the lock."""
        if not self.fetch:
            return None
        if not self._may_fetch(reference):
            raise PackageError.of(
                packages.GIT_NOT_IN_STORE,
                f"{lock} has no commit for {reference.source}, and --offline forbids to ask",
                "run once while online: dolmen lock",
            )
        store = self._store()
        with _locked(store, reference.key):
            found = read_lock(lock).get(reference.key)
            if found is not None and not renew:
                return found  # another run was faster
            with task(self.reporter, f"look up {reference.source}"):
                new = self._ask(reference, access)
            if found is not None and (found.commit, found.digest) == (new.commit, new.digest):
                new = found
            self._checkout(reference, new, access)
            if self.write_locks and new != found:
                self._write(lock, reference, new)
        return new

    def _ask(self, reference: PackageReference, access: GitAccess) -> LockedCommit:
        """Return the commit that a repository or a registry has now."""
        if isinstance(reference, GitReference):
            return LockedCommit.now(resolve_ref(reference, access))
        from assembler.git_sources.artifact import resolve_artifact  # noqa: PLC0415 - requests

        found = resolve_artifact(reference, self.sources, self.reporter)
        return LockedCommit.now(found.commit, found.digest)

    def _write(self, lock: Path, reference: PackageReference, new: LockedCommit) -> None:
        with _locked(self._store(), str(lock.absolute())):
            write_lock(lock, {**read_lock(lock), reference.key: new})
        self.reporter.emit(LogMessage(f"{lock}: {reference.source} is locked at {new.commit}"))

    def _checkout(
        self, reference: PackageReference, locked: LockedCommit, access: GitAccess
    ) -> Checkout | None:
        store, commit = self._store(), locked.commit
        found = _open_intact(store, reference, commit)
        if found is not None:
            return found
        if not self.fetch:
            return None
        if not self._may_fetch(reference):
            raise PackageError.of(
                packages.GIT_NOT_IN_STORE,
                f"the store lacks {reference.url} at {commit}, and --offline forbids to fetch it",
                "run once while online: dolmen lock",
            )
        with _locked(store, commit):
            again = _open_intact(store, reference, commit)
            return again if again is not None else self._fetch(reference, locked, access)

    def _fetch(
        self, reference: PackageReference, locked: LockedCommit, access: GitAccess
    ) -> Checkout:
        def fetch(repository: Path) -> None:
            if isinstance(reference, GitReference):
                fetch_commit(reference, locked.commit, access, repository)
                return
            from assembler.git_sources.artifact import fetch_artifact  # noqa: PLC0415 - as above

            fetch_artifact(reference, locked, self.sources, self.reporter, repository)

        store, commit = self._store(), locked.commit
        with task(self.reporter, f"fetch {reference.url} at {commit[:12]}") as progress:
            make_checkout(store, reference, commit, fetch)
            progress.outcome = "fetched"
        made = open_checkout(checkouts_directory(store) / commit)
        if made is None:
            raise PackageError.of(
                packages.GIT_REFUSED, f"the files of {reference.source} were removed meanwhile"
            )
        return made

    def _store(self) -> Store:
        return self.sources.open_store()

    def _may_fetch(self, reference: PackageReference) -> bool:
        """Tell whether a repository may be asked; one of this machine needs no network.

        The artifact of a catalogue may be in the store; it is not pulled when offline.
        """
        return not self.sources.offline or reference.scheme in ("file", "oci")


def _open_intact(store: Store, reference: PackageReference, commit: str) -> Checkout | None:
    """Return a checkout whose package is intact; its use is noted before its files are read."""
    found = open_checkout(checkouts_directory(store) / commit)
    if found is None:
        return None
    found.touch()
    return found if found.is_intact(reference.directory) else None


@contextmanager
def _locked(store: Store, what: str) -> Iterator[None]:
    store.layout.prepare()
    digest = hashlib.sha256(what.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    with hold_lock(store.layout.locks / f"git-{digest}"):
        yield
