"""Messages name the mistake, and hints say what would be right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assembler.config import LoadOptions, read_build_file
from assembler.errors import ConfigError
from test.unit.config.conftest import given

if TYPE_CHECKING:
    from assembler.diagnostics import Diagnostic
    from test.unit.config.conftest import Load

QUIET = LoadOptions(check_sources=False)
LIMITS = (
    "resource limits: cpu, fsize, data, stack, core, rss, nproc, nofile, memlock, as, locks, "
    "sigpending, msgqueue, nice, rtprio, rttime"
)


def diagnostics(load: Load, text: str) -> tuple[Diagnostic, ...]:
    """Return all diagnostics of a text."""
    try:
        return load(text, options=QUIET).warnings
    except ConfigError as error:
        return tuple(error.diagnostics)


@pytest.mark.parametrize(
    ("member", "message", "hint"),
    [
        ("rlimits: ['wings,1,2']", "'wings' is not a resource limit", LIMITS),
        ("rlimits: ['nofiles,1,2']", "'nofiles' is not a resource limit", "did you mean nofile?"),
        (
            "rlimits: ['nofile,-1,2']",
            "'-1' is not a valid limit of nofile",
            "a limit is a number from 0 to 18446744073709551615, or `unlimited`",
        ),
        ("binds: ['/a:/b:']", "'/a:/b:' ends with a `:` but has no options", "write /a:/b"),
        (
            "binds: ['/only']",
            "'/only' has no `:`; a bind is SOURCE:DESTINATION[:OPTIONS]",
            "write /only:/only",
        ),
        ("binds: ['/a:b']", "the destination 'b' of a bind is not an absolute path", "write /a:/b"),
        (
            "binds: ['w:/r']",
            "there is no volume 'w'",
            "a path begins with `/`; a volume is defined by volumes: - name: w",
        ),
        (
            "mounts: [{type: ext4}]",
            "the mount of type ext4 has no destination",
            "such as destination: /var/lib/data",
        ),
        (
            "mounts: [{destination: /x}]",
            "the mount at /x has no type",
            "such as type: tmpfs, type: bind, type: ext4",
        ),
        (
            "tmpfs: ['/t:a:b']",
            "'/t:a:b' has too many `:`; a tmpfs is DESTINATION[:OPTIONS]",
            "separate options with commas: /t:a,b",
        ),
        (
            "command: a b c",
            "`command` must be a list of texts, not the text 'a b c'",
            "write command: [a, b, c]",
        ),
        (
            "env: a b",
            "`env` must be a list of texts, not the text 'a b'",
            'write env: ["a b"]',
        ),
        (
            "binds: a b",
            "`binds` must be a list of texts, not the text 'a b'",
            'write binds: ["a b"]',
        ),
        (
            "env: {A: 1, B: c}",
            "`env` must be a list of texts, not a mapping",
            "write env: [A=1, B=c]",
        ),
        (
            "rlimits: {nofile: 1024}",
            "`rlimits` must be a list of texts, not a mapping",
            'for example: rlimits: ["nofile,1024,4096", "memlock,unlimited,unlimited"]',
        ),
        (
            "readonly: 'Yes'",
            "`readonly` must be true or false, not the text 'Yes'",
            "write readonly: true",
        ),
        (
            "readonly: No",
            "`readonly` must be true or false, not the text 'No'",
            "write readonly: false",
        ),
        (
            "readonly: q",
            "`readonly` must be true or false, not the text 'q'",
            "for example: readonly: true",
        ),
        (
            "oomScoreAdj: ' -5 '",
            "`oomScoreAdj` must be a whole number, not the text ' -5 '",
            "write oomScoreAdj: -5, without quotes",
        ),
        (
            "oomScoreAdj: 1001",
            "`oomScoreAdj` is out of range: the number 1001",
            "the range is -1000 to 1000",
        ),
        (
            "oomScoreAdj: 18446744073709551615",
            "`oomScoreAdj` is out of range: the number 18446744073709551615",
            "the range is -1000 to 1000",
        ),
        (
            "oomScoreAdj: 18446744073709551616",
            "`oomScoreAdj` is out of range: a number",
            "the range is -1000 to 1000",
        ),
        (
            "hostname: 0600",
            "`hostname` must be text, not the number 0600",
            'put it in quotes: hostname: "0600"',
        ),
        (
            "env: [5]",
            "an entry of `env` must be text, not the number 5",
            'put it in quotes: - "5"',
        ),
        (
            "mkdir: 1",
            "unknown key 'mkdir' in services[0]",
            "`mkdir` is a key of runtime",
        ),
    ],
)
def test_a_mistake_in_a_container_has_a_message_and_a_hint(
    load_text: Load, member: str, message: str, hint: str
) -> None:
    (only,) = diagnostics(load_text, f"services: [{{name: s, image: 'i:1', {member}}}]")
    assert (only.message, only.hints) == (message, (hint,))


@pytest.mark.parametrize(
    ("bind", "message", "hint"),
    [
        ("data:/x", "there is no volume 'data'", "did you mean date?"),
        ("zzz:/x", "there is no volume 'zzz'", "volumes: date, fixed"),
        (
            "fixed:/x:rw,noexec",
            "the read-only volume 'fixed' is bound writable",
            "write fixed:/x:ro,noexec",
        ),
    ],
)
def test_a_bind_of_a_volume_has_a_hint_with_the_volumes(
    load_text: Load, bind: str, message: str, hint: str
) -> None:
    text = (
        "volumes: [{name: fixed, readonly: true}, {name: date}]\n"
        f"services: [{{name: s, image: 'i:1', binds: ['{bind}']}}]"
    )
    (only,) = diagnostics(load_text, text)
    assert (only.message, only.hints) == (message, (hint,))


def test_a_hint_is_found_among_many_names(load_text: Load) -> None:
    volumes = "".join(f"  - name: v{number:03}\n" for number in range(70))
    text = f"volumes:\n{volumes}services: [{{name: s, image: 'i:1', binds: ['v0300:/x']}}]"
    (only,) = diagnostics(load_text, text)
    assert only.hints == ("did you mean v030?",)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("5: x", "a key must be text; 5 is a number", 'put it in quotes: "5"'),
        ("~: x", "a key must be text; ~ is nothing", 'put it in quotes: "~"'),
        ("true: x", "a key must be text; true is a boolean", 'put it in quotes: "true"'),
        (
            "{? [a] : 1}",
            "a list cannot be a key",
            "a text that begins with `{`, `[` or `?` needs quotes",
        ),
        (
            "{? {a: b} : 1}",
            "a mapping cannot be a key",
            "a text that begins with `{`, `[` or `?` needs quotes",
        ),
        ("a: &x 1\nb: *y", "there is no anchor &y before this alias", "anchors: &x"),
        (
            "a: *y",
            "there is no anchor &y before this alias",
            "a text that begins with `*` needs quotes",
        ),
        ("a: !!map [b]", "the tag !!map is on a list", ""),
        ("a: !!seq {b: c}", "the tag !!seq is on a mapping", ""),
        ("a: &x\n b: *\n", "not YAML: expected alphabetic or numeric character", ""),
        (
            "services:\n",
            "`services` has no value; it must be a list of mappings",
            "leave the key out, or write services: []",
        ),
        (
            "kernel: [{}]",
            "`kernel` must be a mapping, not a list",
            "for example: kernel: {image: example/kernel:6.12, cmdline: console=ttyS0}",
        ),
        (
            "image: x",
            "unknown key 'image'",
            "`image` is a key of kernel and volumes and onboot",
        ),
        (
            "files: [{path: a/b/../c, contents: x}]",
            "the path of a file cannot contain `..`: a/b/../c",
            "write a/c",
        ),
        (
            "files: [{path: x, directory: true, symlink: y}]",
            "`symlink` is ignored, because `directory` is also set",
            "remove one of the two",
        ),
    ],
)
def test_a_mistake_in_a_file_has_a_message_and_a_hint(
    load_text: Load, text: str, message: str, hint: str
) -> None:
    (only,) = diagnostics(load_text, text)
    assert (only.message, only.hints) == (message, (hint,) if hint else ())


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        ("init: [a, b\nc: d\n", ("the list begins here", "a.yml:1:7")),
        ("a: {b: c\nd: e\n", ("the mapping begins here", "a.yml:1:4")),
        ("- a\nb: c\n", ("the list begins here", "a.yml:1:1")),
        ("a: 'b\n c\n", ("the quotes open here", "a.yml:1:4")),
        ("files: [{path: x, contents: a, source: b}]", ("`contents` is here", "a.yml:1:19")),
        ("a: &x [\n*x]", ("the value of &x begins here", "a.yml:1:4")),
        ("'a': 1\n\"a\": 2\n", ("it was first used here", "a.yml:1:1")),
        ("a: [1, b: c", None),
    ],
)
def test_a_remark_names_the_other_place(
    load_text: Load, text: str, remark: tuple[str, str] | None
) -> None:
    (only,) = diagnostics(load_text, text)
    assert [(r.message, str(r.place)) for r in only.remarks] == ([remark] if remark else [])


@pytest.mark.parametrize(
    ("length", "shown"), [(60, "x" * 60), (61, "x" * 59 + "…"), (500, "x" * 59 + "…")]
)
def test_a_long_text_is_shortened_in_messages(load_text: Load, length: int, shown: str) -> None:
    (only,) = diagnostics(load_text, f"services: [{{name: s, image: 'i:1', net: {'x' * length}}}]")
    assert f"'{shown}' is taken as the path of a namespace" in only.message


def test_errors_come_first_where_not_all_mistakes_are_shown(load_text: Load) -> None:
    """More mistakes than the limit: warnings never displace errors."""
    entries = ", ".join(["x"] * 120)
    text = (
        f"onboot: [{{name: a, image: 'i:1', env: [{entries}]}}]\n"
        "services: [{name: s, image: 'i:1', binds: [/one, /two]}, "
        "{name: t, image: 'i:1', env: [y]}]"
    )
    found = diagnostics(load_text, text)
    assert len(found) == 100
    assert [d.message.split()[0] for d in found[:3]] == ["'/one'", "'/two'", "'x'"]
    # Warnings after the hundredth were not even collected.
    assert found[-1].hints[-1] == "2 more mistakes are not shown"


def test_a_check_ends_after_a_hundred_errors(load_text: Load) -> None:
    binds = ", ".join(["/only"] * 150)
    found = diagnostics(load_text, f"services: [{{name: s, image: 'i:1', binds: [{binds}]}}]")
    assert len(found) == 100
    assert found[-1].hints[-1] == "1 more mistakes are not shown"


def test_a_build_file_is_refused_for_errors_and_accepted_with_warnings() -> None:
    document = read_build_file(given("image: x\nconfig: {net: hots, uid: 5}", "build.yml"))
    assert [w.hints for w in document.warnings] == [("did you mean host?",)]
    assert document.config is not None
    assert document.config.uid == 5
    assert document.data["image"] == "x"
    with pytest.raises(ConfigError) as caught:
        read_build_file(given("image: 5\nconfig: {capabilities: [CHOWN]}", "build.yml"))
    assert [(str(d.place), d.hints) for d in caught.value.diagnostics] == [
        ("build.yml:1:8", ('put it in quotes: image: "5"',)),
        ("build.yml:2:25", ("write CAP_CHOWN",)),
    ]
