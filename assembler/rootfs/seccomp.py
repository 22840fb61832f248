"""The seccomp filter of a container: `linux.seccomp` of the runtime specification."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assembler.codes import rootfs
from assembler.rootfs.capabilities import capabilities
from assembler.rootfs.json_rendering import JsonObject, drop_empty

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from assembler.rootfs.container_settings import ContainerSettings

_ALLOW, _REFUSE = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"
# Numbers of errors that are the same on all of our architectures.
_ERRNOS = {"EPERM": 1, "ENOENT": 2, "EACCES": 13, "EINVAL": 22, "ENOSYS": 38, "EAFNOSUPPORT": 97}
# The names of libseccomp.
_ARCHITECTURES = {
    "386": "X86",
    "amd64": "X86_64",
    "arm": "ARM",
    "arm64": "AARCH64",
    "loong64": "LOONGARCH64",
    "mips64le": "MIPSEL64",
    "ppc64le": "PPC64LE",
    "riscv64": "RISCV64",
    "s390x": "S390X",
}


def seccomp(settings: ContainerSettings, architecture: str) -> JsonObject:
    """Return the filter; an empty object if all calls are allowed."""
    text = settings.spec.seccomp
    own = frozenset(capabilities(settings)["bounding"])
    if text == "default":
        return _default(architecture, own)
    if text in (None, "unconfined"):
        return {}
    profile = settings.container.seccomp_profile
    if profile is None:
        # Never a container without the filter that it should have.
        message = f"the seccomp profile {text} was not read"
        raise settings.error(rootfs.BAD_SOURCE, message, place=settings.place("seccomp"))
    return _chosen(profile, architecture, own)


def _default(architecture: str, granted: Collection[str]) -> JsonObject:
    from assembler.rootfs import default_seccomp as data  # noqa: PLC0415 - few systems need it

    privileged: dict[str, set[str]] = {
        capability: {*names.split()} for capability, names in data.BY_CAPABILITY.items()
    }
    allowed = {name for names in data.ALLOWED for name in names.split()}
    allowed = allowed.union(*(names for key, names in privileged.items() if key in granted))
    allowed |= {*data.BY_ARCHITECTURE.get(architecture, "").split()}
    refused = {*data.REFUSED.split()}.union(*privileged.values()) - allowed
    rules: list[JsonObject] = []
    if "CAP_SYS_ADMIN" in granted:
        allowed |= {"clone", "clone3"}
    else:
        # On s390x the flags are the second argument.
        index = 1 if architecture == "s390x" else 0
        flags = _argument(index, data.NAMESPACE_FLAGS, "MASKED_EQ") | {"valueTwo": 0}
        rules.append(_rule(["clone"], _ALLOW, args=[flags]))
    rules += [
        _rule(["personality"], _ALLOW, args=[_argument(0, value, "EQ")])
        for value in data.PERSONALITIES
    ]
    rules.append(_rule(["socket"], _ALLOW, args=[_argument(0, data.REFUSED_FAMILY, "NE")]))
    return {
        "defaultAction": _REFUSE,
        "defaultErrnoRet": _ERRNOS["ENOSYS"],
        # Calls of 32-bit programs would make the filter three times as long, which every start of
        # a container waits for; the runtime kills programs of other architectures.
        "architectures": _names_of(architecture),
        "syscalls": [
            _rule(sorted(allowed), _ALLOW),
            *rules,
            _rule(sorted(refused), _REFUSE) | {"errnoRet": _ERRNOS["EPERM"]},
        ],
    }


def _argument(index: int, value: int, operator: str) -> JsonObject:
    return {"index": index, "value": value, "op": f"SCMP_CMP_{operator}"}


def _rule(names: list[str], action: str, **others: object) -> JsonObject:
    return {"names": names, "action": action, **others}


def _names_of(architecture: str) -> list[str]:
    name = _ARCHITECTURES.get(architecture)
    return [f"SCMP_ARCH_{name}"] if name else []


def _chosen(profile: Mapping[str, Any], architecture: str, granted: Collection[str]) -> JsonObject:
    """Return the filter of a profile, with the rules that count for the container."""
    syscalls = [
        {
            "names": rule.get("names") or [name for name in [rule.get("name")] if name],
            "action": rule["action"],
            **_errno(rule, "errno"),
            **drop_empty({"args": rule.get("args")}),
        }
        for rule in profile.get("syscalls", ())
        if _counts(rule, architecture, granted)
    ]
    return {
        "defaultAction": profile["defaultAction"],
        **_errno(profile, "defaultErrno"),
        **drop_empty(
            {
                "architectures": [*_architectures(profile, architecture)],
                "flags": profile.get("flags"),
                "syscalls": [rule for rule in syscalls if rule["names"]],
            }
        ),
    }


def _errno(rule: Mapping[str, Any], key: str) -> JsonObject:
    number = rule.get(f"{key}Ret", _ERRNOS.get(rule.get(key, "")))
    return {} if number is None else {f"{key}Ret": number}


def _architectures(profile: Mapping[str, Any], architecture: str) -> Iterator[str]:
    yield from profile.get("architectures", ())
    own = _names_of(architecture)
    for entry in profile.get("archMap", ()):
        if entry["architecture"] in own:
            yield entry["architecture"]
            yield from entry.get("subArchitectures", ())


def _counts(rule: Mapping[str, Any], architecture: str, granted: Collection[str]) -> bool:
    """Tell whether the conditions of a rule hold."""
    includes, excludes = rule.get("includes", {}), rule.get("excludes", {})
    needed, arches = includes.get("caps", ()), includes.get("arches", ())
    return (
        all(name in granted for name in needed)
        and (not arches or architecture in arches)
        and not any(name in granted for name in excludes.get("caps", ()))
        and architecture not in excludes.get("arches", ())
    )
