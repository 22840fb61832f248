"""Locking the references of YAML files: the commit of each `@git:` reference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.build.local_references import LocalReferences
from assembler.codes import usage
from assembler.config import LoadOptions, is_url, load_config
from assembler.errors import UsageError, wrap_os_errors
from assembler.events import CallbackReporter
from assembler.git_sources import GitReferences, lock_path, read_lock, write_lock
from assembler.oci import Reference
from assembler.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from assembler.events import Event
    from assembler.git_sources import PackageReference
    from assembler.oci import ImageSources

ALL = "all"


@dataclass(frozen=True, slots=True)
class LockedReference:
    """A reference, its commit now, and the commit that the lock had before."""

    lock: Path
    source: str
    commit: str
    before: str | None


def lock_references(
    files: str | Path | Sequence[str | Path],
    sources: ImageSources,
    *,
    update: Sequence[str] = (),
    progress: Callable[[Event], None] | None = None,
) -> tuple[LockedReference, ...]:
    """Write the lock of each YAML file: new references are added, and unused ones removed.

    The commits of the references that `update` names are resolved again: by their URL, its last
    part, or `URL#REF`; `all` means every reference.
    """
    several_files = [files] if isinstance(files, str | Path) else files
    names = tuple(map(str, several_files))
    for name in names:
        if name == "-" or is_url(name):
            raise UsageError.of(usage.BAD_OPTION, f"{name} has no lock: only a file has one")
    before = {lock_path(Path(name)): read_lock(lock_path(Path(name))) for name in names}
    chosen = _Choice(tuple(update))
    git = GitReferences(sources, CallbackReporter.of(progress), updates=chosen.includes)
    options = LoadOptions(
        packages=LocalReferences(lambda: git),
        check_reference=Reference.parse,
        check_sources=False,
    )
    with sources.open_store().in_use():
        load_config(names, options)
    chosen.check()
    for lock in before:
        used = git.used.get(lock, {})
        if used:
            write_lock(lock, used)
        else:
            with wrap_os_errors(lock, "remove"):
                lock.unlink(missing_ok=True)
    return tuple(
        LockedReference(
            lock,
            source.partition(":")[2],
            locked.commit,
            old.commit if (old := before[lock].get(source)) else None,
        )
        for lock, used in sorted(git.used.items())
        for source, locked in sorted(used.items())
    )


class _Choice:
    """The references to update; names that fit none are an error."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._fitting: set[str] = set()
        self._known: set[str] = set()

    def includes(self, reference: PackageReference) -> bool:
        """Tell whether a reference is to be updated."""
        last = reference.url.rstrip("/").rpartition("/")[2].removesuffix(".git")
        if reference.scheme == "oci":
            last = last.partition("@")[0].partition(":")[0]
        forms = {reference.source, reference.url, last, str(reference), reference.key}
        self._known.add(last)
        fitting = {name for name in self._names if name == ALL or name in forms}
        self._fitting |= fitting
        return bool(fitting)

    def check(self) -> None:
        """Raise an error for a name that fits no reference."""
        for name in self._names:
            if name != ALL and name not in self._fitting:
                known = sorted(self._known)
                raise UsageError.of(
                    usage.BAD_OPTION,
                    f"--update {name}: the files name no such repository",
                    did_you_mean(name, known) or f"they name {', '.join(known) or 'none'}",
                )
