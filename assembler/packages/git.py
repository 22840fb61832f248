"""What git knows of a directory: the hash of its tree in a commit, and what is not committed.

Git itself is asked, because only it knows every rule of what is ignored. It is asked in a way that
changes nothing: no lock, no refreshed index, no prompt, no file system monitor started.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler import tools
from assembler.codes import packages
from assembler.errors import PackageError, host_error
from assembler.tools import execution

if TYPE_CHECKING:
    from pathlib import Path

# What would make git look at another repository than that of the directory: set while a hook runs.
_OF_ANOTHER_REPOSITORY = (
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
_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class WorkTree:
    """A directory inside the work tree of a git repository."""

    directory: Path
    # From the top of the work tree to the directory, without a slash at the end; empty at the top.
    prefix: str

    @classmethod
    def around(cls, directory: Path) -> WorkTree | None:
        """Return the directory as git sees it, or nothing if no work tree is around it."""
        where = directory.resolve()
        if not any(os.path.lexists(d / ".git") for d in (where, *where.parents)):
            return None  # git itself is not needed to know this
        outcome = _git(directory, "rev-parse", "--is-inside-work-tree", "--show-prefix")
        if outcome.status:
            if "dubious ownership" in outcome.errors:
                raise execution.program_error(_command(directory, "rev-parse"), outcome)
            return None
        inside, _, prefix = os.fsdecode(outcome.output).partition("\n")
        if inside != "true":
            return None
        return cls(directory, prefix.removesuffix("\n").rstrip("/"))

    def tree_hash(self, commit: str) -> str | None:
        """Return the hash of the directory's tree in a commit, or nothing if it is not there."""
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
        """Tell whether the directory has changes, or files neither committed nor ignored."""
        changes = self._output(
            "status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", "--", "."
        )
        return bool(changes)

    def content_hash(self) -> str:
        """Return the hash over the contents of all tracked, then all untracked files.

        Neither names nor links count, nor what is tracked and gone: LinuxKit counts this way, and
        the tags should be the same.
        """
        whole = hashlib.sha256()
        for options in ((), ("--exclude-standard", "--others")):
            for name in self._output("ls-files", "-z", *options).split(b"\0"):
                if name:
                    _hash_file(self.directory / os.fsdecode(name), whole.update)
        return whole.hexdigest()

    def committed_at(self, commit: str) -> int:
        """Return when the commit was made, in seconds since 1970."""
        self._top_tree(commit)
        return int(self._output("log", "-1", "--format=%ct", commit, "--"))

    def changed_at(self, commit: str) -> int:
        """Return when the directory was last changed up to a commit, in seconds since 1970."""
        when = self._output("log", "-1", "--format=%ct", commit, "--", ".").strip()
        return int(when) if when else self.committed_at(commit)

    def revision(self, commit: str) -> str:
        """Return the full hash of a commit."""
        return self._resolved(commit, "commit")

    def _top_tree(self, commit: str) -> str:
        return self._resolved(commit, "tree")

    def _resolved(self, commit: str, kind: str) -> str:
        outcome = _git(
            self.directory,
            *("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{{kind}}}"),
        )
        # Some versions of git repeat the mark that ends the options.
        names = [n for n in outcome.output.decode("ascii", "replace").split() if n[0] != "-"]
        if outcome.status or len(names) != 1:
            raise PackageError.of(
                packages.BAD_COMMIT,
                f"there is no commit {commit!r} in the git repository of {self.directory}",
                "commit the package first, or name another one with --hash-commit",
            )
        return names[0]

    def _output(self, *arguments: str) -> bytes:
        outcome = _git(self.directory, *arguments)
        if outcome.status:
            raise execution.program_error(_command(self.directory, *arguments), outcome)
        return outcome.output


def _hash_file(path: Path, update: object) -> None:
    assert callable(update)  # noqa: S101
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        if path.is_symlink() or stat.S_ISSOCK(path.lstat().st_mode):
            return
        raise host_error(error, path, "read") from error
    with os.fdopen(handle, "rb") as file:
        if stat.S_ISREG(os.fstat(handle).st_mode):
            while chunk := file.read(_CHUNK):
                update(chunk)


def _command(directory: Path, *arguments: str) -> list[str]:
    return [str(tools.require_program("git")), "-C", str(directory), *_OPTIONS, *arguments]


def _git(directory: Path, *arguments: str) -> execution.ProcessResult:
    environment = {k: v for k, v in os.environ.items() if k not in _OF_ANOTHER_REPOSITORY}
    environment |= {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    return execution.run_program(_command(directory, *arguments), environment)
