"""config.json: what the OCI runtime is told of a container (runtime specification 1.2.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.codes import rootfs
from assembler.diagnostics import Diagnostic, Severity
from assembler.rootfs.capabilities import capabilities
from assembler.rootfs.devices import devices, rules
from assembler.rootfs.diagnostic_collector import NAMES, DiagnosticCollector
from assembler.rootfs.limits import rlimits
from assembler.rootfs.mounts import id_mappings, mounts
from assembler.rootfs.namespaces import namespaces
from assembler.rootfs.rendering import Json, without_nothing
from assembler.rootfs.resources import resources

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from assembler.codes import Code
    from assembler.config.model import Id
    from assembler.diagnostics import Place
    from assembler.rootfs.ids import Ids
    from assembler.rootfs.merging import Merged
    from assembler.rootfs.volumes import Volumes

OCI_VERSION = "1.2.1"
_PARTS_LEFT_OUT = ("", "root", "0")


def config_json(wanted: Merged, ids: Ids, volumes: Volumes, warnings: DiagnosticCollector) -> Json:
    """Return the document; raise for all that is wrong with the container."""
    findings = DiagnosticCollector()
    document: Json = {"ociVersion": OCI_VERSION}

    def part(key: str, make: Callable[[], object]) -> None:
        with findings.caught():
            document[key] = make()

    part("process", lambda: _process(wanted, ids))
    document["root"] = {"path": "rootfs", "readonly": bool(wanted.spec.readonly)}
    document |= without_nothing({"hostname": wanted.spec.hostname})
    part("mounts", lambda: mounts(wanted, volumes, warnings))
    document |= without_nothing({"annotations": _sorted(wanted.spec.annotations)})
    part("linux", lambda: _linux(wanted))
    findings.raise_errors()
    _doubts(wanted, warnings)
    return document


def _process(wanted: Merged, ids: Ids) -> Json:
    findings = DiagnosticCollector()
    document: Json = {"terminal": False}

    def part(key: str, make: Callable[[], object]) -> None:
        with findings.caught():
            document[key] = make()

    part("user", lambda: _user(wanted, ids))
    document["args"] = list(_arguments(wanted))
    document |= without_nothing({"env": list(_environment(wanted))})
    document["cwd"] = wanted.spec.cwd or wanted.image.config.working_dir or "/"
    part("capabilities", lambda: capabilities(wanted))
    part("rlimits", lambda: rlimits(wanted))
    findings.raise_errors()
    document |= without_nothing({"noNewPrivileges": wanted.spec.no_new_privileges})
    if wanted.spec.oom_score_adj is not None:
        document["oomScoreAdj"] = wanted.spec.oom_score_adj
    if not document["rlimits"]:
        del document["rlimits"]
    return document


def _user(wanted: Merged, ids: Ids) -> Json:
    findings = DiagnosticCollector()

    def number(field: str, given: Id | None, *path: int) -> int:
        found = 0
        with findings.caught(wanted.place(field, *path)):
            found = ids.number(given)
        return found  # noqa: RET504 - 0 after an error that was caught

    spec = wanted.spec
    user: Json = {"uid": number("uid", spec.uid), "gid": number("gid", spec.gid)}
    more = [number("additional_gids", gid, n) for n, gid in enumerate(spec.additional_gids or ())]
    findings.raise_errors()
    return user | without_nothing({"additionalGids": more})


def _arguments(wanted: Merged) -> tuple[str, ...]:
    if wanted.spec.command is not None:
        return wanted.spec.command
    return (*wanted.image.config.entrypoint, *wanted.image.config.cmd)


def _environment(wanted: Merged) -> tuple[str, ...]:
    return wanted.image.config.env if wanted.spec.env is None else wanted.spec.env


def _linux(wanted: Merged) -> Json:
    spec = wanted.spec
    findings = DiagnosticCollector()
    document: Json = {}

    def part(key: str, make: Callable[[], object]) -> None:
        with findings.caught():
            document[key] = make()

    document["uidMappings"] = id_mappings(spec.uid_mappings)
    document["gidMappings"] = id_mappings(spec.gid_mappings)
    document["sysctl"] = _sorted(spec.sysctl)
    part("resources", lambda: resources(wanted, rules(wanted)))
    document["cgroupsPath"] = spec.cgroups_path
    part("namespaces", lambda: namespaces(wanted))
    part("devices", lambda: devices(wanted))
    document["rootfsPropagation"] = spec.rootfs_propagation
    document["maskedPaths"] = list(spec.masked_paths or ())
    document["readonlyPaths"] = list(spec.readonly_paths or ())
    findings.raise_errors()
    return without_nothing(document) | {"resources": document["resources"]}


def _sorted(mapping: Mapping[str, str] | None) -> dict[str, str]:
    return dict(sorted((mapping or {}).items()))


def _doubts(wanted: Merged, warnings: DiagnosticCollector) -> None:
    """Warn of what will not do what its author may have meant."""

    def warn(code: Code, message: str, *hints: str, place: Place | None, several: str = "") -> None:
        diagnostic = Diagnostic(code, message, place, hints, severity=Severity.WARNING)
        diagnostic = wanted.explained(diagnostic)
        if several:
            warnings.note_for(wanted.name, diagnostic, several)
        else:
            warnings.note(diagnostic)

    name, spec, image = wanted.name, wanted.spec, wanted.image
    if not _arguments(wanted):
        place = wanted.place("command") or wanted.container.positions.place_of("image")
        warn(
            rootfs.NO_COMMAND,
            f"{name!r} has no command, it cannot start",
            place=place,
            several=f"{NAMES} have no command, they cannot start",
        )
    user = image.config.user
    if spec.uid is None and user.partition(":")[0] not in _PARTS_LEFT_OUT:
        though = f"though the image {image.reference} asks for user {user!r}"
        uid, _, gid = user.partition(":")
        numbers = ", ".join(
            f"{key}: {text}" for key, text in (("uid", uid), ("gid", gid)) if text.isdecimal()
        )
        warn(
            rootfs.USER_IGNORED,
            f"{name!r} runs as root, {though}",
            *([f"to run it as the image asks, say {numbers}"] if numbers else []),
            place=wanted.container.positions.place_of("image"),
            several=f"{NAMES} run as root, {though}",
        )
    for plain, added in (("capabilities", "capabilities.add"), ("binds", "binds.add")):
        if getattr(wanted.container, plain) is not None and getattr(
            wanted.container, added.replace(".", "_")
        ):
            warn(
                rootfs.NO_EFFECT,
                f"{name!r}: `{added}` has no effect beside `{plain}`",
                f"`{added}` adds to what the image's label says; put everything into `{plain}`",
                place=wanted.container.positions.place_of(added),
            )
