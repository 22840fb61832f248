"""A directory in a git work tree: its tree hash in a commit, and uncommitted changes.

The git program does the work, because only it knows every rule for ignored files. Its options
prevent all changes: no lock, no refreshed index, no prompt, no file system monitor.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler import tools
from assembler.catalog import is_installed
from assembler.codes import packages
from assembler.errors import PackageError, host_error
from assembler.git_sources import find_root
from assembler.packages.directory_tree import hash_directory, hash_files, walk_files
from assembler.tools import ProcessResult, program_error, run_program

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Variables that lead git to another repository; set while a hook runs.
_REPOSITORY_VARIABLES = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
)
_OPTIONS = ("--no-pager", "--literal-pathspecs", "-c", "core.fsmonitor=false")
_REPOSITORY = re.compile(r"repository at '(.*?)'")
_UNTRACKED = ("--exclude-standard", "--others")
_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class WorkTree:
    """A directory inside the work tree of a git repository."""

    directory: Path
    # From the top of the work tree to the directory, without a slash at the end; empty at the top.
    prefix: str

    @classmethod
    def find(cls, directory: Path) -> WorkTree | None:
        """Return the directory in its work tree; None if there is no work tree."""
        where = directory.resolve()
        if is_installed(where) or find_root(where) is not None:
            return None  # the repository around it belongs to a user
        if not any(os.path.lexists(d / ".git") for d in (where, *where.parents)):
            return None  # without starting git
        outcome = _git(directory, "rev-parse", "--is-inside-work-tree", "--show-prefix")
        if outcome.status:
            if "dubious ownership" in outcome.errors:
                raise _foreign_owner_error(where, outcome.errors)
            return None
        inside, _, prefix = os.fsdecode(outcome.output).partition("\n")
        if inside != "true":
            return None
        return cls(directory, prefix.removesuffix("\n").rstrip("/"))

    def tree_hash(self, commit: str) -> str | None:
        """Return the hash of the directory's tree in a commit; None if the commit lacks it."""
        tree = self._top_tree(commit)
        if not self.prefix:
            return tree
        listed = self._output("ls-tree", "-z", "--full-tree", tree, "--", self.prefix)
        for entry in listed.split(b"\0"):
            head, _, path = entry.partition(b"\t")
            if os.fsdecode(path) == self.prefix:
                _, kind, name = head.decode("ascii").split(" ")
                return name if kind == "tree" else None
        return None

    def is_dirty(self) -> bool:
        """Tell whether the directory has uncommitted changes or untracked files."""
        changes = self._output(
            "status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", "--", "."
        )
        return bool(changes)

    def content_hash(self) -> str:
        """Return the hash over the contents of all tracked, then all untracked files.

        Names, links and deleted files do not count: LinuxKit hashes this way, and the tags
        have to be the same. A submodule counts with its commit and its own changes, and the files
        of an untracked repository count as untracked files.
        """
        whole = hashlib.sha256()
        for path in self._listed():
            if not path.is_dir() or path.is_symlink():
                _hash_file(path, whole.update)
            elif os.path.lexists(path / ".git"):
                submodule = WorkTree(path, "")
                if submodule.has_commit():
                    whole.update(submodule.revision("HEAD").encode("ascii"))
                if submodule.is_dirty():
                    whole.update(submodule.content_hash().encode("ascii"))
        for path in self._listed(*_UNTRACKED):
            if path.is_dir() and not path.is_symlink():
                for name in sorted(walk_files(path)):
                    _hash_file(path / os.fsdecode(name), whole.update)
            else:
                _hash_file(path, whole.update)
        return whole.hexdigest()

    def has_commit(self) -> bool:
        """Tell whether `HEAD` is a commit: a new repository has none."""
        return not _git(self.directory, "rev-parse", "--verify", "--quiet", "HEAD").status

    def uncommitted_tree_hash(self) -> str:
        """Return the tree hash that committing the files of the directory would give it.

        Files of other repositories in it count, too, since no commit has them.
        """
        paths: set[bytes] = set()
        for path in (*self._listed(), *self._listed(*_UNTRACKED)):
            name = os.fsencode(path.relative_to(self.directory))
            if path.is_dir() and not path.is_symlink():
                paths.update(name + b"/" + below for below in walk_files(path))
            else:
                paths.add(name)
        # The repository ignores the directory: then its own files decide.
        return hash_files(self.directory, paths) if paths else hash_directory(self.directory)

    def _listed(self, *options: str) -> list[Path]:
        names = self._output("ls-files", "-z", *options).split(b"\0")
        return [self.directory / os.fsdecode(name) for name in names if name]

    def committed_at(self, commit: str) -> int:
        """Return the time of the commit, in seconds since 1970."""
        self._top_tree(commit)
        return int(self._output("log", "-1", "--format=%ct", commit, "--"))

    def changed_at(self, commit: str) -> int:
        """Return the time of the last change of the directory up to a commit."""
        when = self._output("log", "-1", "--format=%ct", commit, "--", ".").strip()
        return int(when) if when else self.committed_at(commit)

    def revision(self, commit: str) -> str:
        """Return the full hash of a commit."""
        return self._resolve(commit, "commit")

    def _top_tree(self, commit: str) -> str:
        return self._resolve(commit, "tree")

    def _resolve(self, commit: str, kind: str) -> str:
        outcome = _git(
            self.directory,
            *("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{{kind}}}"),
        )
        # Some versions of git print --end-of-options, too.
        names = [n for n in outcome.output.decode("ascii", "replace").split() if n[0] != "-"]
        if outcome.status or len(names) != 1:
            raise PackageError.of(
                packages.BAD_COMMIT,
                f"commit {commit!r} not found in the git repository of {self.directory}",
                "commit the package first, or choose another commit with --hash-commit",
            )
        return names[0]

    def _output(self, *arguments: str) -> bytes:
        outcome = _git(self.directory, *arguments)
        if outcome.status:
            raise program_error(_command(self.directory, *arguments), outcome)
        return outcome.output


def _foreign_owner_error(directory: Path, errors: str) -> PackageError:
    """Return the error for a repository of another user, which git refuses to read."""
    named = _REPOSITORY.search(errors)
    repository = named[1] if named is not None else str(directory)
    return PackageError.of(
        packages.FOREIGN_REPOSITORY,
        f"git does not read the repository {repository}: it belongs to another user",
        f"if you trust it: git config --global --add safe.directory {shlex.quote(repository)}",
    )


def _hash_file(path: Path, update: Callable[[bytes], None]) -> None:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        if path.is_symlink() or stat.S_ISSOCK(path.lstat().st_mode):
            return
        raise host_error(error, path, "read") from error
    try:
        if stat.S_ISREG(os.fstat(handle).st_mode):
            while chunk := os.read(handle, _CHUNK):
                update(chunk)
    except OSError as error:
        raise host_error(error, path, "read") from error
    finally:
        os.close(handle)


def _command(directory: Path, *arguments: str) -> list[str]:
    return [str(tools.require_program("git")), "-C", str(directory), *_OPTIONS, *arguments]


def _git(directory: Path, *arguments: str) -> ProcessResult:
    environment = {k: v for k, v in os.environ.items() if k not in _REPOSITORY_VARIABLES}
    environment |= {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    return run_program(_command(directory, *arguments), environment)
