"""Catalogues at registries: the commit of a git repository as an OCI artifact.

The manifest has the artifact type below, the commit as `org.opencontainers.image.revision`, and
one layer: a git pack with the commit and its tree, without history. So the hash of the commit
covers every file, and a package has the tag that it has in the repository.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.errors import PackageError, wrap_os_errors
from assembler.git_sources.program import (
    make_repository,
    pack_objects,
    read_own,
    unpack_objects,
)
from assembler.git_sources.reference import COMMIT, OciReference
from assembler.oci import (
    OCI_MANIFEST,
    Descriptor,
    Manifest,
    PullOptions,
    PushOptions,
    Reference,
    canonical_json,
    parse_manifest,
    pull,
    push,
)
from assembler.quantities import size_text
from assembler.scratch_directories import scratch_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.events import Reporter
    from assembler.git_sources.lock_file import LockedCommit
    from assembler.oci import ImageSources, Store

ARTIFACT_TYPE = "application/vnd.dolmen.packages.v1"
PACK_TYPE = "application/vnd.dolmen.packages.v1.git-pack"
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
_REVISION = "org.opencontainers.image.revision"
_MAX_PACK = 4 << 30
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class PackageArtifact:
    """An artifact in the store: its digest, its commit, and the pack."""

    digest: str
    commit: str
    pack: Descriptor


def resolve_artifact(
    reference: OciReference, sources: ImageSources, reporter: Reporter
) -> PackageArtifact:
    """Return the current artifact of a name; that of a name with a digest never changes."""
    named = Reference.parse(reference.image)
    fixed = named.pinned or sources.offline
    found = _find(sources.open_store(), named) if fixed else None
    return found or _pull(named, sources, reporter)


def fetch_artifact(
    reference: OciReference,
    locked: LockedCommit,
    sources: ImageSources,
    reporter: Reporter,
    repository: Path,
) -> None:
    """Unpack the artifact of a lock into a new bare repository; pull it if it is missing."""
    store, digest = sources.open_store(), locked.digest
    named = Reference.parse(reference.image)
    found = _find(store, named)
    if found is None or (digest and found.digest != digest):
        pinned = replace(named, tag="", digest=digest) if digest else named
        found = _find(store, pinned) or _pull(pinned, sources, reporter)
    if found.commit != locked.commit:
        raise PackageError.of(
            packages.GIT_REF_NOT_FOUND,
            f"{found.digest} of {reference.image} has the commit {found.commit}, "
            f"not {locked.commit}",
            "`dolmen lock --update` writes the lock again",
        )
    make_repository(repository)
    pack = repository / "objects" / "pack" / "pack-artifact.pack"
    with wrap_os_errors(pack), store.open(found.pack, reference.image) as source:
        with pack.open("wb") as target:
            shutil.copyfileobj(source, target, _CHUNK)
        (repository / "shallow").write_text(f"{found.commit}\n")
    unpack_objects(reference, pack)


def publish_packages(
    directory: Path,
    reference: Reference,
    sources: ImageSources,
    *,
    override: bool = False,
    reporter: Reporter | None = None,
) -> Reference:
    """Push the commit of the repository that a directory is in, for `@oci:` references.

    The name that is returned has the digest.
    """
    if read_own(directory, "status", "--porcelain"):
        raise PackageError.of(
            packages.DIRTY_RELEASE,
            f"the repository of {directory} has uncommitted changes",
            "commit the changes, then publish",
        )
    commit = read_own(directory, "rev-parse", "--verify", "HEAD").decode("ascii").strip()
    store = sources.open_store()
    with store.in_use():
        layer = _add_pack(directory, commit, store)
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": ARTIFACT_TYPE,
            "config": store.add_bytes(b"{}", _EMPTY_TYPE).as_json(),
            "layers": [layer.as_json()],
            "annotations": {_REVISION: commit},
        }
        manifest = store.add_bytes(canonical_json(document), OCI_MANIFEST)
        store.put(reference, manifest)
        options = PushOptions(sources.registry_options(), override=override)
        push(store, [reference], options, reporter)
        return replace(reference, digest=manifest.digest)


def _add_pack(directory: Path, commit: str, store: Store) -> Descriptor:
    """Add a pack with a commit and its tree to the store."""
    objects = read_own(directory, "rev-list", "--objects", "--no-walk", commit)
    store.layout.prepare()
    with scratch_directory(store.layout.tmp.absolute()) as scratch:
        pack_objects(directory, objects, scratch / "p")
        (pack,) = scratch.glob("*.pack")
        size = pack.stat().st_size
        if size > _MAX_PACK:
            raise PackageError.of(
                packages.GIT_REFUSED,
                f"the pack of {directory} has {size_text(size)}; the limit is 4 GiB",
                "put the packages into a repository of their own",
            )
        return store.add_stream(_read_chunks(pack), PACK_TYPE)


def _read_chunks(path: Path) -> Iterator[bytes]:
    with wrap_os_errors(path, "read"), path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _pull(named: Reference, sources: ImageSources, reporter: Reporter) -> PackageArtifact:
    store = sources.open_store()
    if sources.offline:
        raise PackageError.of(
            packages.GIT_NOT_IN_STORE,
            f"the store lacks {named}, and --offline forbids to pull it",
            "run once while online: dolmen lock",
        )
    pull(store, [named], PullOptions(sources.registry_options()), reporter)
    found = _find(store, named)
    if found is None:
        raise PackageError.of(packages.GIT_NOT_IN_STORE, f"{named} was removed from the store")
    return found


def _find(store: Store, named: Reference) -> PackageArtifact | None:
    """Return the artifact of this name in the store; another kind of image is an error."""
    entries = store.names().named(str(named))
    if not entries or not store.has(entries[0].descriptor):
        return None
    descriptor = entries[0].descriptor
    manifest = parse_manifest(store.read(descriptor), str(named), descriptor.media_type)
    if (
        not isinstance(manifest, Manifest)
        or [layer.media_type for layer in manifest.layers] != [PACK_TYPE]
        or not COMMIT.fullmatch(manifest.annotations.get(_REVISION, ""))
    ):
        raise PackageError.of(
            packages.GIT_REFUSED,
            f"{named} has no packages",
            "`dolmen pkg publish` pushes a repository with packages to a registry",
        )
    pack = manifest.layers[0]
    if pack.size > _MAX_PACK:
        raise PackageError.of(packages.GIT_REFUSED, f"{named} is larger than 4 GiB")
    if not store.has(pack):
        return None
    return PackageArtifact(descriptor.digest, manifest.annotations[_REVISION], pack)
