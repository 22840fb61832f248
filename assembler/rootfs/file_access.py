"""Files of `files` that a container binds, but whose mode keeps its user from reading them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.codes import rootfs
from assembler.rootfs.plan import EntryKind, GeneratedEntry, GeneratedPart, Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from assembler.rootfs.container_programs import PlannedContainer
    from assembler.rootfs.diagnostic_collector import DiagnosticCollector
    from assembler.rootfs.json_rendering import JsonObject

_SECTION = "files["
_PASSES_MODES = {"CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"}


def warn_about_unreadable_files(
    containers: Iterable[PlannedContainer], parts: Iterable[Part], findings: DiagnosticCollector
) -> None:
    """Warn about each bound file that the container's user cannot read."""
    files = {
        f"/{entry.path}": entry
        for part in parts
        if isinstance(part, GeneratedPart) and part.origin.location.startswith(_SECTION)
        for entry in part.entries
        if entry.kind is EntryKind.FILE
    }
    for container in containers if files else ():
        _check(container, files, findings)


def _check(
    container: PlannedContainer,
    files: Mapping[str, GeneratedEntry],
    findings: DiagnosticCollector,
) -> None:
    process, settings = container.spec["process"], container.settings
    user = process["user"]
    capabilities = process["capabilities"].get("effective") or ()
    # In a user namespace the user has another number.
    mapped = container.spec["linux"].get("uidMappings") or settings.spec.userns
    if not user["uid"] or mapped or _PASSES_MODES & {*capabilities}:
        return
    for mount in container.spec["mounts"]:
        path, file = _unreadable(mount.get("source", ""), files, user)
        if file is None:
            continue
        items = settings.items["binds"]
        places = [item.place for item in items if item.text.startswith(f"{mount['source']}:")]
        findings.warn(
            rootfs.UNREADABLE_FILE,
            f"{settings.name!r} runs as user {user['uid']}, which cannot read {path}: "
            f"its mode is {file.mode:04o} and its owner {file.uid}",
            f'in `files`, give it mode: "0644", or uid: {user["uid"]}',
            place=places[0] if places else settings.container.positions.place_of("binds"),
        )


def _unreadable(
    source: str, files: Mapping[str, GeneratedEntry], user: JsonObject
) -> tuple[str, GeneratedEntry | None]:
    """Return what the user cannot read of a source: a file, or the first one of a directory.

    Of a directory, a container may need some files and not others: one that it can read is enough.
    """
    if source in files:
        found = {source: files[source]}
    else:
        found = {p: f for p, f in files.items() if source and p.startswith(f"{source}/")}
    if not found or any(_may_read(file, user) for file in found.values()):
        return source, None
    return next(iter(found.items()))


def _may_read(file: GeneratedEntry, user: JsonObject) -> bool:
    if file.uid == user["uid"]:
        return bool(file.mode & 0o400)
    if file.gid in (user["gid"], *user.get("additionalGids", ())):
        return bool(file.mode & 0o040)
    return bool(file.mode & 0o004)
