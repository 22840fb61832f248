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
from assembler.git_sources.program import GitAccess, resolve_ref
from assembler.git_sources.reference import GitReference
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
    updates: Callable[[GitReference], bool] = lambda _reference: False
    # The commits that were used, by lock and source.
    used: dict[Path, dict[str, LockedCommit]] = field(default_factory=dict)
    _moved: dict[tuple[Path, str], str] = field(default_factory=dict)
    _failures: dict[str, PackageError] = field(default_factory=dict)

    def directory(self, text: str, given: ConfigInput) -> Path | None:
        """Return the package's directory in the store; None if it is not there to be found."""
        reference = GitReference.parse(text)
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

    def _find(self, reference: GitReference, given: ConfigInput) -> Path | None:
        access = GitAccess(credentials=not given.url)
        lock = None if given.url or given.name == _STDIN else lock_path(Path(given.name))
        commit = self._commit(reference, lock, access)
        checkout = self._checkout(reference, commit, access) if commit is not None else None
        if commit is None or checkout is None:
            return None
        checkout.tree.require_directory(reference.directory, reference.url)
        return checkout.files / reference.directory

    def _commit(self, reference: GitReference, lock: Path | None, access: GitAccess) -> str | None:
        if reference.commit is not None:
            return reference.commit
        if lock is None:
            raise PackageError.of(
                packages.BAD_GIT_REFERENCE,
                f"{reference.ref!r} may move, and only a YAML file on this machine has a lock",
                "name the commit with all of its 40 digits",
            )
        moved = self._moved.get((lock, reference.source))
        if moved is not None:
            return moved
        renew = self.updates(reference)
        locked = read_lock(lock).get(reference.source)
        if locked is None or renew:
            locked = self._resolve(reference, lock, access, renew=renew)
        if locked is None:
            return None
        self.used.setdefault(lock, {})[reference.source] = locked
        self._moved[lock, reference.source] = locked.commit
        return locked.commit

    def _resolve(
        self, reference: GitReference, lock: Path, access: GitAccess, *, renew: bool
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
        with _locked(store, reference.source):
            found = read_lock(lock).get(reference.source)
            if found is not None and not renew:
                return found  # another run was faster
            with task(self.reporter, f"look up {reference.source}"):
                commit = resolve_ref(reference, access)
            new = found if found and found.commit == commit else LockedCommit.now(commit)
            self._checkout(reference, commit, access)
            if self.write_locks and new != found:
                self._write(lock, reference, new)
        return new

    def _write(self, lock: Path, reference: GitReference, new: LockedCommit) -> None:
        with _locked(self._store(), str(lock.absolute())):
            write_lock(lock, {**read_lock(lock), reference.source: new})
        self.reporter.emit(LogMessage(f"{lock}: {reference.source} is locked at {new.commit}"))

    def _checkout(self, reference: GitReference, commit: str, access: GitAccess) -> Checkout | None:
        store = self._store()
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
            return again if again is not None else self._fetch(reference, commit, access)

    def _fetch(self, reference: GitReference, commit: str, access: GitAccess) -> Checkout:
        store = self._store()
        with task(self.reporter, f"fetch {reference.url} at {commit[:12]}") as progress:
            make_checkout(store, reference, commit, access)
            progress.outcome = "fetched"
        made = open_checkout(checkouts_directory(store) / commit)
        if made is None:
            raise PackageError.of(
                packages.GIT_REFUSED, f"the files of {reference.source} were removed meanwhile"
            )
        return made

    def _store(self) -> Store:
        return self.sources.open_store()

    def _may_fetch(self, reference: GitReference) -> bool:
        """Tell whether a repository may be asked; one of this machine needs no network."""
        return not self.sources.offline or reference.scheme == "file"


def _open_intact(store: Store, reference: GitReference, commit: str) -> Checkout | None:
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
