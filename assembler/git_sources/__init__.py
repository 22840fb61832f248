"""The stage "git sources": `@git:URL#REF:DIR` and `@oci:NAME//DIR`, packages in git repositories.

    GitReference, OciReference       the parts of a reference; refuse what is not allowed
    publish_packages                 push a repository to a registry, for `@oci:`
    GitReferences                    finds the directory of each reference: resolves, locks, fetches
    read_lock, write_lock, lock_path the reference lock beside a YAML file
    find_root, open_checkout         the checkout that a path below the store is in
    collect_git_garbage              removes unused checkouts
    verify_checkouts                 compares all checkouts with their commits

The docstring of `checkout` documents the files below the store. A repository is hostile: nothing of
it is ever configuration, a program or a path outside of its checkout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.git_sources.artifact import publish_packages
    from assembler.git_sources.checkout import Checkout, find_root, open_checkout
    from assembler.git_sources.lock_file import LockedCommit, lock_path, read_lock, write_lock
    from assembler.git_sources.maintenance import (
        GitGcResult,
        collect_git_garbage,
        verify_checkouts,
    )
    from assembler.git_sources.reference import GitReference, OciReference, PackageReference
    from assembler.git_sources.references import GitReferences
    from assembler.git_sources.tree import SUBMODULE

_HOMES = {
    "Checkout": "checkout",
    "GitGcResult": "maintenance",
    "GitReference": "reference",
    "GitReferences": "references",
    "LockedCommit": "lock_file",
    "OciReference": "reference",
    "PackageReference": "reference",
    "SUBMODULE": "tree",
    "collect_git_garbage": "maintenance",
    "find_root": "checkout",
    "lock_path": "lock_file",
    "open_checkout": "checkout",
    "publish_packages": "artifact",
    "read_lock": "lock_file",
    "verify_checkouts": "maintenance",
    "write_lock": "lock_file",
}

__all__ = [
    "SUBMODULE",
    "Checkout",
    "GitGcResult",
    "GitReference",
    "GitReferences",
    "LockedCommit",
    "OciReference",
    "PackageReference",
    "collect_git_garbage",
    "find_root",
    "lock_path",
    "open_checkout",
    "publish_packages",
    "read_lock",
    "verify_checkouts",
    "write_lock",
]

if not TYPE_CHECKING:  # Else a type checker would take any name for granted.
    __getattr__ = front(__name__, _HOMES)
