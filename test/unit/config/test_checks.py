"""What the schema cannot say: binds, limits, devices, names, files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from assembler.config.compose_keys import COMPOSE_KEYS
from assembler.diagnostics import Severity
from assembler.errors import ConfigError

if TYPE_CHECKING:
    from test.unit.config.conftest import Load

ERROR, WARNING = "error", "warning"


def said(load: Load, text: str) -> list[tuple[str, str, str]]:
    """Return severity, code and the text pointed at, of all that is said about a YAML text."""
    try:
        found = load(text).warnings
    except ConfigError as error:
        found = error.diagnostics
    result = []
    for d in found:
        assert d.place is not None
        line = d.place.source.line(d.place.line)
        pointed = line[d.place.column - 1 :][: d.place.length]
        result.append((str(Severity(d.severity)), str(d.code), pointed))
    return result


@pytest.mark.parametrize(
    ("member", "severity", "code", "pointed"),
    [
        ("capabilities: [KILL]", ERROR, "DM0124", "KILL"),
        ("capabilities: [CAP_KILL, all]", ERROR, "DM0124", "all"),
        ("ambient: [cap_kill]", ERROR, "DM0124", "cap_kill"),
        ("capabilities.add: [CAP_KILLS]", ERROR, "DM0124", "CAP_KILLS"),
        ("binds: [/only]", ERROR, "DM0120", "/only"),
        ("binds: ['/a:/b:ro:rw']", ERROR, "DM0120", "'/a:/b:ro:rw'"),
        ("binds: [':/b']", ERROR, "DM0120", "':/b'"),
        ("binds.add: ['no:/b']", ERROR, "DM0114", "'no:/b'"),
        ("binds: ['r:/b']", ERROR, "DM0115", "'r:/b'"),
        ("binds: ['r:/b:rw,ro']", ERROR, "DM0115", "'r:/b:rw,ro'"),
        ("binds: ['v:/b:wr']", WARNING, "DM0127", "wr"),
        ("binds: ['v:/wr:noexec,wr']", WARNING, "DM0127", "wr"),
        ("binds: ['/a:/b:Z']", WARNING, "DM0127", "Z"),
        ("binds.add: ['/a:/b:rbimd']", WARNING, "DM0127", "rbimd"),
        ("tmpfs: ['/t:sizee=1m']", WARNING, "DM0127", "sizee=1m"),
        (
            "mounts: [{type: ext4, source: /dev/x, destination: /m, options: [noexc]}]",
            WARNING,
            "DM0127",
            "noexc",
        ),
        (
            "runtime: {mounts: [{type: bind, source: /a, destination: /b, options: [wr]}]}",
            WARNING,
            "DM0127",
            "wr",
        ),
        ("binds: ['v:b']", WARNING, "DM0127", "'v:b'"),
        ("mounts: [{type: bind, source: r, destination: /r}]", ERROR, "DM0115", "r"),
        ("mounts: [{type: bind, source: no, destination: /r}]", ERROR, "DM0114", "no"),
        ("tmpfs: ['/t:a:b']", ERROR, "DM0121", "'/t:a:b'"),
        ("tmpfs: [t]", WARNING, "DM0127", "t"),
        (
            "mounts: [{source: /x, destination: /m}]",
            ERROR,
            "DM0122",
            "{source: /x, destination: /m}",
        ),
        ("mounts: [{type: ext4}]", ERROR, "DM0122", "{type: ext4}"),
        ("rlimits: ['nofile,1']", ERROR, "DM0123", "'nofile,1'"),
        ("rlimits: ['wings,1,2']", ERROR, "DM0123", "'wings,1,2'"),
        ("rlimits: ['nofile,-1,2']", ERROR, "DM0123", "'nofile,-1,2'"),
        (
            "rlimits: ['nofile,1,18446744073709551616']",
            ERROR,
            "DM0123",
            "'nofile,1,18446744073709551616'",
        ),
        ("rlimits: ['nofile,3,2']", ERROR, "DM0123", "'nofile,3,2'"),
        ("rlimits: ['nofile,1,2', 'RLIMIT_NOFILE,1,2']", WARNING, "DM0127", "'RLIMIT_NOFILE,1,2'"),
        ("devices: [{path: /dev/x, type: c}]", ERROR, "DM0125", "/dev/x"),
        ("devices: [{type: c, mode: '0600'}]", ERROR, "DM0125", "{type: c, mode: '0600'}"),
        ("devices: [{path: /dev/x, type: c, mode: '0o600'}]", ERROR, "DM0106", "'0o600'"),
        ("devices: [{path: /dev/x, type: q, mode: '600'}]", WARNING, "DM0127", "q"),
        ("uid: nobody", ERROR, "DM0126", "nobody"),
        ("uid: '1000'", ERROR, "DM0126", "'1000'"),
        ("uid: -1", ERROR, "DM0105", "-1"),
        ("gid: 4294967296", ERROR, "DM0105", "4294967296"),
        ("uid: 1.0", ERROR, "DM0102", "1.0"),
        ("additionalGids: [1, wheel]", ERROR, "DM0126", "wheel"),
        ("oomScoreAdj: 1001", ERROR, "DM0105", "1001"),
        ("net: hots", WARNING, "DM0127", "hots"),
        ("pid: none", WARNING, "DM0127", "none"),
        ("cwd: x", WARNING, "DM0127", "x"),
        ("env: [PATH]", WARNING, "DM0127", "PATH"),
        ("env: [=x]", WARNING, "DM0127", "=x"),
        ("rootfsPropagation: shard", WARNING, "DM0127", "shard"),
        ('command: ["a\\0b"]', ERROR, "DM0106", '"a\\0b"'),
        ("sysctl: {net.ipv4.ip_forward: 1}", ERROR, "DM0102", "1"),
        ("resources: {blockio: {}, blockIO: {}}", ERROR, "DM0012", "blockIO"),
        ("hostname:", ERROR, "DM0102", "hostname"),
    ],
)
def test_a_mistake_in_a_container_points_at_the_value(
    load_text: Load, member: str, severity: str, code: str, pointed: str
) -> None:
    """Each mistake is told once, and points at the very value."""
    text = (
        "volumes: [{name: v}, {name: r, readonly: true}]\n"
        f"services:\n  - name: s\n    image: i:1\n    {member}\n"
    )
    assert said(load_text, text) == [(severity, code, pointed)]


@pytest.mark.parametrize(
    "member",
    [
        "capabilities: [ALL]",
        "capabilities: [none]",
        "capabilities.add: [CAP_CHOWN, CAP_CHOWN]",
        "tmpfs: ['/t:size=1m,mode=1777,noexec', '/u:nr_inodes=5,rw']",
        "mounts: [{type: ext4, source: /dev/x, destination: /m, options: [discard, nobarrier]}]",
        "mounts: [{type: 9p, source: x, destination: /m, options: ['trans=virtio']}]",
        "mounts: [{type: cgroup2, source: x, destination: /m, options: [nsdelegate]}]",
        "mounts: [{type: overlay, source: x, destination: /m, options: ['index=off']}]",
        "binds: ['v:/v', 'r:/r:ro', 'r:/q:ro,noexec', '/x:/y:rshared,rw']",
        "mounts: [{source: proc}, {destination: /dev}, {type: cgroup}, {source: mqueue}]",
        "mounts: [{type: bind, source: r, destination: /r, options: [ro, bind]}]",
        "tmpfs: [/t, '/u:size=1m,mode=700']",
        "rlimits: [' stack , 1 , Unlimited', 'RLIMIT_CPU,0,18446744073709551615']",
        "devices: [{path: all}, {path: /dev/x, type: c, major: 1, minor: 2, mode: '0600'}]",
        "{uid: s, gid: root, additionalGids: ['', t, 4294967295]}",
        "net: none",
        "{pid: root, uts: new, ipc: /run/x, userns: host}",
        "env: ['A=', 'B= c=d']",
    ],
)
def test_a_valid_container_has_no_diagnostics(load_text: Load, member: str) -> None:
    """Nothing is said about what is right."""
    inner = member.strip("{}") if member.startswith("{") else member
    text = (
        "{volumes: [{name: v}, {name: r, readonly: true}], onboot: [{name: t, image: 'i:1'}], "
        f"services: [{{name: s, image: 'i:1', {inner}}}]}}"
    )
    assert said(load_text, text) == []


@pytest.mark.parametrize(
    ("entry", "severity", "code", "pointed"),
    [
        ("{path: x}", ERROR, "DM0130", "x"),
        ("{path: x, directory: false, symlink: ''}", ERROR, "DM0130", "x"),
        ("{contents: x}", ERROR, "DM0103", "{contents: x}"),
        ("{path: '', contents: x}", ERROR, "DM0133", "''"),
        ("{path: /, directory: true}", ERROR, "DM0133", "/"),
        ("{path: a/../../b, contents: x}", ERROR, "DM0133", "a/../../b"),
        ("{path: x, contents: x, mode: '0999'}", ERROR, "DM0106", "'0999'"),
        ("{path: x, contents: x, mode: u+rw}", ERROR, "DM0106", "u+rw"),
        ("{path: x, contents: x, mode: 0644}", ERROR, "DM0102", "0644"),
        ("{path: x, contents: x, uid: ghost}", ERROR, "DM0126", "ghost"),
        ("{path: x, metadata: toml}", ERROR, "DM0104", "toml"),
        ("{path: x, source: a, contents: b}", ERROR, "DM0131", "source"),
        ("{path: x, directory: true, contents: b}", ERROR, "DM0131", "directory"),
        ("{path: x, metadata: json, symlink: b}", ERROR, "DM0131", "metadata"),
        ("{path: x, contents: x, symlink: y}", ERROR, "DM0131", "symlink"),
        ("{path: x, directory: true, symlink: y}", WARNING, "DM0128", "symlink"),
        ("{path: x, contents: x, optional: true}", WARNING, "DM0128", "optional"),
    ],
)
def test_a_mistake_in_a_file_entry_points_at_the_value(
    load_text: Load, entry: str, severity: str, code: str, pointed: str
) -> None:
    """An entry of files is one thing, at a path inside the system."""
    from assembler.config import LoadOptions

    def load(text: str) -> object:
        return load_text(text, options=LoadOptions(check_sources=False))

    assert said(load, f"files:\n  - {entry}\n") == [(severity, code, pointed)]


@pytest.mark.parametrize(
    ("text", "severity", "code", "pointed"),
    [
        ("kernel: {cmdline: x}", WARNING, "DM0128", "cmdline"),
        ('kernel: {image: "i:1", cmdline: "a\\nb"}', ERROR, "DM0138", '"a\\nb"'),
        ('kernel: {image: "i:1", cmdline: "\\r"}', ERROR, "DM0138", '"\\r"'),
        ('kernel: {image: "i:1", cmdline: "a\\e[0m"}', ERROR, "DM0138", '"a\\e'),
        ('kernel: {image: "i:1", cmdline: "a\\x85b"}', ERROR, "DM0138", '"a\\x85'),
        ("kernel:\n  image: i:1\n  cmdline: |\n    a\n    b\n", ERROR, "DM0138", "|"),
        ("trust: {org: [x]}", WARNING, "DM0128", "trust"),
        ("volumes: [{readonly: true}]", ERROR, "DM0103", "{readonly: true}"),
        ("volumes: [{name: Upper}]", ERROR, "DM0106", "Upper"),
        ("volumes: [{name: x, format: ext4}]", ERROR, "DM0104", "ext4"),
        ("volumes: [{name: x, format: oci}]", WARNING, "DM0128", "oci"),
        ("volumes: [{name: x, platforms: [linux/amd64]}]", WARNING, "DM0128", "platforms"),
        ("services: [{name: a b, image: 'i:1'}]", WARNING, "DM0112", "a b"),
        ("services: [{name: ../b, image: 'i:1'}]", ERROR, "DM0112", "../b"),
        ("services: [{name: a/b, image: 'i:1'}]", ERROR, "DM0112", "a/b"),
        ("services: [{name: '', image: 'i:1'}]", ERROR, "DM0112", "''"),
        ("services:", ERROR, "DM0102", "services"),
        ("- a", ERROR, "DM0102", "-"),
        ("just text", ERROR, "DM0102", "just text"),
        ("5", ERROR, "DM0102", "5"),
    ],
)
def test_a_mistake_in_kernel_volumes_or_services_points_at_the_value(
    load_text: Load, text: str, severity: str, code: str, pointed: str
) -> None:
    """The system as a whole is checked, too."""
    found = said(load_text, text)
    assert [(s, c) for s, c, _ in found] == [(severity, code)]
    assert found[0][2].startswith(pointed)


@pytest.mark.parametrize("value", ["|\n    a b\n", ">-\n    a\n    b\n", '"a\\tb"', '"café"'])
def test_a_command_line_of_one_line_is_valid(load_text: Load, value: str) -> None:
    assert said(load_text, f"kernel:\n  image: i:1\n  cmdline: {value}") == []


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("comand", "did you mean `command`?"),
        ("Capabilities", "did you mean `capabilities`?"),
        ("environment", "write env: [NAME=value]"),
        ("cmdline", "`cmdline` is a key of kernel"),
        ("mkdir", "`mkdir` is a key of runtime"),
        ("zzzzzz", "`dolmen schema image` and docs/reference-yaml.md list the keys"),
    ],
)
def test_an_unknown_key_has_a_hint(load_text: Load, key: str, hint: str) -> None:
    """The nearest key here, what others call it, or where it belongs."""
    with pytest.raises(ConfigError) as caught:
        load_text(f"services: [{{name: s, image: 'i:1', {key}: 1}}]")
    assert caught.value.diagnostics[0].hints == (hint,)


@pytest.mark.parametrize("key", ["user", "restart", "ports", "volumes", "privileged", "mem_limit"])
def test_a_key_of_docker_compose_has_its_counterpart(load_text: Load, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(f"services: [{{name: s, image: 'i:1', {key}: 1}}]")
    assert caught.value.diagnostics[0].hints == (COMPOSE_KEYS[key],)


_MEMBER = re.compile(r"(?:write|such as|set|and) `?(\w+: .*?)(?:`|;|, and|, or|$)")


@pytest.mark.parametrize("key", COMPOSE_KEYS)
def test_counterparts_of_docker_compose_are_valid(load_text: Load, key: str) -> None:
    for member in _MEMBER.findall(COMPOSE_KEYS[key]):
        load_text(f"services:\n  - name: s\n    image: i:1\n    {member}\n")
