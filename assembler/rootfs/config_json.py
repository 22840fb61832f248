"""config.json: a container for the OCI runtime (runtime specification 1.2.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.codes import rootfs
from assembler.diagnostics import Diagnostic, Severity
from assembler.rootfs.capabilities import capabilities
from assembler.rootfs.devices import devices, rules
from assembler.rootfs.diagnostic_collector import NAMES, DiagnosticCollector
from assembler.rootfs.json_rendering import JsonObject, drop_empty
from assembler.rootfs.mounts import id_mappings, mounts
from assembler.rootfs.namespaces import namespaces
from assembler.rootfs.resources import resources
from assembler.rootfs.rlimits import rlimits
from assembler.rootfs.seccomp import seccomp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from assembler.codes import Code
    from assembler.config import Id
    from assembler.diagnostics import Place
    from assembler.rootfs.container_settings import ContainerSettings
    from assembler.rootfs.ids import Ids
    from assembler.rootfs.volumes import Volumes

OCI_VERSION = "1.2.1"
_ROOT_USERS = ("", "root", "0")


def config_document(
    settings: ContainerSettings,
    ids: Ids,
    volumes: Volumes,
    architecture: str,
    warnings: DiagnosticCollector,
) -> JsonObject:
    """Return the document; raise all errors of the container together."""
    findings = DiagnosticCollector()
    document: JsonObject = {"ociVersion": OCI_VERSION}

    def part(key: str, make: Callable[[], object]) -> None:
        with findings.collect():
            document[key] = make()

    part("process", lambda: _process(settings, ids))
    document["root"] = {"path": "rootfs", "readonly": bool(settings.spec.readonly)}
    document |= drop_empty({"hostname": settings.spec.hostname})
    part("mounts", lambda: mounts(settings, volumes, warnings))
    document |= drop_empty({"annotations": _sorted(settings.spec.annotations)})
    part("linux", lambda: _linux(settings, architecture))
    findings.raise_errors()
    _warn(settings, warnings)
    return document


def _process(settings: ContainerSettings, ids: Ids) -> JsonObject:
    findings = DiagnosticCollector()
    document: JsonObject = {"terminal": False}

    def part(key: str, make: Callable[[], object]) -> None:
        with findings.collect():
            document[key] = make()

    part("user", lambda: _user(settings, ids))
    document["args"] = list(_arguments(settings))
    document |= drop_empty({"env": list(_environment(settings))})
    document["cwd"] = settings.spec.cwd or settings.image.config.working_dir or "/"
    part("capabilities", lambda: capabilities(settings))
    part("rlimits", lambda: rlimits(settings))
    findings.raise_errors()
    document |= drop_empty({"noNewPrivileges": settings.spec.no_new_privileges})
    if settings.spec.apparmor not in (None, "unconfined"):
        document["apparmorProfile"] = settings.spec.apparmor
    if settings.spec.oom_score_adj is not None:
        document["oomScoreAdj"] = settings.spec.oom_score_adj
    if not document["rlimits"]:
        del document["rlimits"]
    return document


def _user(settings: ContainerSettings, ids: Ids) -> JsonObject:
    findings = DiagnosticCollector()

    def number(field: str, value: Id | None, *path: int) -> int:
        result = 0
        with findings.collect(settings.place(field, *path)):
            result = ids.number(value)
        return result  # noqa: RET504 - 0 after a collected error

    spec = settings.spec
    user: JsonObject = {"uid": number("uid", spec.uid), "gid": number("gid", spec.gid)}
    additional_gids = [
        number("additional_gids", gid, n) for n, gid in enumerate(spec.additional_gids or ())
    ]
    findings.raise_errors()
    return user | drop_empty({"additionalGids": additional_gids})


def _arguments(settings: ContainerSettings) -> tuple[str, ...]:
    if settings.spec.command is not None:
        return settings.spec.command
    return (*settings.image.config.entrypoint, *settings.image.config.cmd)


def _environment(settings: ContainerSettings) -> tuple[str, ...]:
    return settings.image.config.env if settings.spec.env is None else settings.spec.env


def _linux(settings: ContainerSettings, architecture: str) -> JsonObject:
    spec = settings.spec
    findings = DiagnosticCollector()
    document: JsonObject = {}

    def part(key: str, make: Callable[[], object]) -> None:
        with findings.collect():
            document[key] = make()

    document["uidMappings"] = id_mappings(spec.uid_mappings)
    document["gidMappings"] = id_mappings(spec.gid_mappings)
    document["sysctl"] = _sorted(spec.sysctl)
    part("resources", lambda: resources(settings, rules(settings)))
    document["cgroupsPath"] = spec.cgroups_path
    part("namespaces", lambda: namespaces(settings))
    part("devices", lambda: devices(settings))
    document["rootfsPropagation"] = spec.rootfs_propagation
    document["maskedPaths"] = list(spec.masked_paths or ())
    document["readonlyPaths"] = list(spec.readonly_paths or ())
    part("seccomp", lambda: seccomp(settings, architecture))
    findings.raise_errors()
    return drop_empty(document) | {"resources": document["resources"]}


def _sorted(mapping: Mapping[str, str] | None) -> dict[str, str]:
    return dict(sorted((mapping or {}).items()))


def _warn(settings: ContainerSettings, warnings: DiagnosticCollector) -> None:
    """Warn about settings that may not do what their author meant."""

    def warn(code: Code, message: str, *hints: str, place: Place | None, several: str = "") -> None:
        diagnostic = Diagnostic(code, message, place, hints, severity=Severity.WARNING)
        diagnostic = settings.with_image_remark(diagnostic)
        if several:
            warnings.add_grouped_warning(settings.name, diagnostic, several)
        else:
            warnings.add_warning(diagnostic)

    name, spec, image = settings.name, settings.spec, settings.image
    if not _arguments(settings):
        place = settings.place("command") or settings.container.positions.place_of("image")
        warn(
            rootfs.NO_COMMAND,
            f"{name!r} has no command, it cannot start",
            place=place,
            several=f"{NAMES} have no command, they cannot start",
        )
    user = image.config.user
    if spec.uid is None and user.partition(":")[0] not in _ROOT_USERS:
        though = f"though the image {image.reference} asks for user {user!r}"
        uid, _, gid = user.partition(":")
        numbers = ", ".join(
            f"{key}: {text}" for key, text in (("uid", uid), ("gid", gid)) if text.isdecimal()
        )
        warn(
            rootfs.USER_IGNORED,
            f"{name!r} runs as root, {though}",
            *([f"to run it as the image specifies, write {numbers}"] if numbers else []),
            place=settings.container.positions.place_of("image"),
            several=f"{NAMES} run as root, {though}",
        )
    for plain, added in (("capabilities", "capabilities.add"), ("binds", "binds.add")):
        if getattr(settings.container, plain) is not None and getattr(
            settings.container, added.replace(".", "_")
        ):
            warn(
                rootfs.NO_EFFECT,
                f"{name!r}: `{added}` has no effect beside `{plain}`",
                f"`{added}` adds to what the image's label says; put everything into `{plain}`",
                place=settings.container.positions.place_of(added),
            )
