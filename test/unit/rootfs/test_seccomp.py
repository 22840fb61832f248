"""The seccomp filter of a container: none, the default one, or that of a file."""

from __future__ import annotations

import json
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest

from assembler.config import ConfigInput, load_config_inputs
from assembler.errors import PlanError
from assembler.oci import Store
from assembler.rootfs import default_seccomp as data
from support.archives import E, image
from support.systems import loaded, made, planned

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.rootfs import Plan

ALLOW, REFUSE = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"
ENGINE_PROFILE = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrno": "ENOSYS",
    "archMap": [
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
    ],
    "syscalls": [
        {"names": ["read", "write"], "action": ALLOW, "args": None, "comment": "always"},
        {"name": "mount", "action": ALLOW, "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {
            "names": ["mount"],
            "action": REFUSE,
            "excludes": {"caps": ["CAP_SYS_ADMIN"]},
            "errno": "EPERM",
        },
        {
            "names": ["arch_prctl"],
            "action": ALLOW,
            "includes": {"arches": ["amd64"], "minKernel": "4.8"},
        },
        {"names": [], "action": ALLOW},
    ],
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Give a store with an image without, and one with a label for seccomp."""
    found = Store(tmp_path / "store")
    for architecture in ("amd64", "arm64", "riscv64", "s390x"):
        image(
            found,
            f"test/{architecture}:1",
            [E("app", b"#!")],
            config={"Cmd": ["/app"]},
            architecture=architecture,
        )
    label = {
        "org.mobyproject.config": '{"hostname": "h", "seccomp": "unconfined"}',
        "org.dolmen.config": '{"seccomp": "default"}',
    }
    image(found, "test/label:1", [E("app", b"#!")], config={"Cmd": ["/app"], "Labels": label})
    return found


def planned_in(store: Store, folder: Path, service: str, architecture: str = "amd64") -> Plan:
    text = f"services: [{{name: s, {service}}}]"
    config = load_config_inputs([ConfigInput("image.yml", text.encode(), folder)]).config
    return planned(config, store, architecture=architecture)


def linux_of(
    store: Store, folder: Path, service: str, architecture: str = "amd64"
) -> dict[str, Any]:
    plan = planned_in(store, folder, service, architecture)
    content = made(plan)["containers/services/s/config.json"].content
    assert isinstance(content, bytes)
    found = json.loads(content)["linux"]
    assert isinstance(found, dict)
    return found


def default_filter(store: Store, folder: Path, capabilities: str, architecture: str) -> Any:
    service = f'image: "test/{architecture}:1", seccomp: default, capabilities: [{capabilities}]'
    return linux_of(store, folder, service, architecture)["seccomp"]


def action_of(filter_: dict[str, Any], call: str) -> str:
    """Return what happens to a call whatever its arguments are."""
    rules = [r for r in filter_["syscalls"] if call in r["names"] and "args" not in r]
    assert len(rules) < 2, call
    return rules[0]["action"] if rules else "default"


@pytest.mark.parametrize(
    "service", ['image: "test/amd64:1"', 'image: "test/label:1", seccomp: unconfined']
)
def test_there_is_no_filter_unless_one_is_named(store: Store, tmp_path: Path, service: str) -> None:
    assert "seccomp" not in linux_of(store, tmp_path, service)


def test_a_label_may_name_the_default(store: Store, tmp_path: Path) -> None:
    assert linux_of(store, tmp_path, 'image: "test/label:1"')["seccomp"]["syscalls"]


def test_the_default_refuses_what_needs_privileges(store: Store, tmp_path: Path) -> None:
    found = default_filter(store, tmp_path, "", "amd64")
    for call in ("mount", "unshare", "setns", "keyctl", "bpf", "kexec_load", "reboot", "swapon"):
        assert action_of(found, call) == REFUSE, call
    for call in ("read", "execve", "futex", "arch_prctl", "clock_adjtime", "sendfile"):
        assert action_of(found, call) == ALLOW, call
    assert found["syscalls"][-1]["errnoRet"] == 1
    # Later calls: libraries use older ones instead.
    assert action_of(found, "a_call_of_the_future") == "default"
    assert (found["defaultAction"], found["defaultErrnoRet"]) == (REFUSE, 38)


def test_a_new_process_makes_no_namespaces(store: Store, tmp_path: Path) -> None:
    flags = {"index": 0, "value": 0x7E020000, "op": "SCMP_CMP_MASKED_EQ", "valueTwo": 0}
    rule = {"names": ["clone"], "action": ALLOW, "args": [flags]}
    found = default_filter(store, tmp_path, "", "amd64")
    assert rule in found["syscalls"]
    assert action_of(found, "clone3") == "default"
    rule["args"] = [flags | {"index": 1}]
    assert rule in default_filter(store, tmp_path, "", "s390x")["syscalls"]
    assert action_of(default_filter(store, tmp_path, "CAP_SYS_ADMIN", "amd64"), "clone") == ALLOW


@pytest.mark.parametrize(("capability", "calls"), data.BY_CAPABILITY.items())
def test_a_capability_allows_its_calls(
    store: Store, tmp_path: Path, capability: str, calls: str
) -> None:
    without = default_filter(store, tmp_path, "", "amd64")
    granted = default_filter(store, tmp_path, capability, "amd64")
    ambient = f'image: "test/amd64:1", seccomp: default, ambient: [{capability}]'
    assert linux_of(store, tmp_path, ambient)["seccomp"] == granted
    for call in calls.split():
        assert action_of(without, call) == REFUSE, call
        assert action_of(granted, call) == ALLOW, call


@pytest.mark.parametrize(
    ("architecture", "own", "call"),
    [
        ("amd64", ["X86_64"], "arch_prctl"),
        ("arm64", ["AARCH64"], "set_tls"),
        ("riscv64", ["RISCV64"], "riscv_flush_icache"),
        ("s390x", ["S390X"], "s390_runtime_instr"),
    ],
)
def test_architectures_have_calls_of_their_own(
    store: Store, tmp_path: Path, architecture: str, own: list[str], call: str
) -> None:
    found = default_filter(store, tmp_path, "", architecture)
    assert found["architectures"] == [f"SCMP_ARCH_{name}" for name in own]
    calls = {c for names in data.BY_ARCHITECTURE.values() for c in names.split()}
    allowed = {c for c in calls if action_of(found, c) == ALLOW}
    assert call in allowed
    assert allowed == {*data.BY_ARCHITECTURE[architecture].split()}


def test_no_call_is_in_two_groups() -> None:
    groups = [
        *data.ALLOWED,
        " ".join({*" ".join(data.BY_CAPABILITY.values()).split()}),
        data.REFUSED,
    ]
    calls = list(chain.from_iterable(group.split() for group in groups))
    assert len(calls) == len({*calls})


def test_a_profile_of_an_engine(store: Store, tmp_path: Path) -> None:
    (tmp_path / "profile.json").write_text(json.dumps(ENGINE_PROFILE, indent="\t"))
    service = 'image: "test/amd64:1", seccomp: profile.json'
    assert linux_of(store, tmp_path, service)["seccomp"] == {
        "defaultAction": REFUSE,
        "defaultErrnoRet": 38,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        "syscalls": [
            {"names": ["read", "write"], "action": ALLOW},
            {"names": ["mount"], "action": REFUSE, "errnoRet": 1},
            {"names": ["arch_prctl"], "action": ALLOW},
        ],
    }
    privileged = linux_of(store, tmp_path, f"{service}, capabilities: [CAP_SYS_ADMIN]")["seccomp"]
    assert {"names": ["mount"], "action": ALLOW} in privileged["syscalls"]
    arm = linux_of(store, tmp_path, service.replace("amd64", "arm64"), "arm64")["seccomp"]
    assert arm["architectures"] == ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
    assert len(arm["syscalls"]) == 2


def test_a_profile_of_the_specification_stays_as_it_is(store: Store, tmp_path: Path) -> None:
    found = {
        "defaultAction": "SCMP_ACT_LOG",
        "architectures": ["SCMP_ARCH_X86_64"],
        "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "syscalls": [
            {
                "names": ["socket"],
                "action": REFUSE,
                "errnoRet": 97,
                "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_EQ"}],
            }
        ],
    }
    (tmp_path / "own.json").write_text(json.dumps(found))
    service = 'image: "test/label:1", seccomp: ./own.json'
    assert linux_of(store, tmp_path, service)["seccomp"] == found


def test_a_profile_that_was_not_read_is_an_error(store: Store) -> None:
    # Here sources are not read.
    config = loaded("services: [{name: s, image: 'test/amd64:1', seccomp: own.json}]")
    with pytest.raises(PlanError) as caught:
        planned(config, store)
    assert caught.value.diagnostics[0].message == "the seccomp profile own.json was not read"
