"""What LinuxKit would not take of a file is found, and nothing else: every key of the schemas."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from assembler.config import check_for_linuxkit, load_schema, resolve_reference
from assembler.config.inputs import ConfigInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.diagnostics import Diagnostic

FACTS = yaml.safe_load(
    (Path(__file__).parents[2] / "cases" / "data" / "linuxkit-keys.yml").read_text()
)
# One of several objects with the same definition, in the words of the facts.
SAME = {
    "services[].gidMappings[]": "services[].uidMappings[]",
    "services[].mounts[].uidmappings[]": "services[].uidMappings[]",
    "services[].mounts[].gidmappings[]": "services[].uidMappings[]",
    "services[].runtime.mounts[]": "services[].mounts[]",
    **{
        f"services[].resources.blockio.throttle{way}Device[]": (
            "services[].resources.blockio.throttleReadBpsDevice[]"
        )
        for way in ("WriteBps", "ReadIOPS", "WriteIOPS")
    },
}


def flat(names: list[Any]) -> list[str]:
    return [n for name in names for n in (name if isinstance(name, list) else [name])]


def normalized(path: str) -> str:
    """Return the name that the facts have for an object."""
    for section in ("onboot[]", "onshutdown[]"):
        path = path.replace(section, "services[]")
    path = path.replace("config", "services[]") if path.startswith("config") else path
    for name, same in {"services[].runtime.mounts[]": "services[].mounts[]"}.items():
        path = path.replace(name, same)
    return SAME.get(path, path)


def properties(
    kind: str, piece: dict[str, Any], path: str = ""
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield object, key and schema of every property, where it has the mark of LinuxKit."""
    piece = resolve_reference(kind, piece)
    if "items" in piece:
        yield from properties(kind, piece["items"], f"{path}[]")
    for key, member in piece.get("properties", {}).items():
        yield path, key, member
        if member.get("x-linuxkit") != "refused":
            yield from properties(kind, member, f"{path}.{key}".lstrip("."))


ALL = [(k, *found) for k in ("image", "build") for found in properties(k, load_schema(k))]
LOST = {
    (path, key) for entry in FACTS["lost"] for path, keys in entry.items() for key in flat(keys)
}

MARKED = {key for _, _, key, piece in ALL if "x-linuxkit" in piece}


@pytest.mark.parametrize("kind", ["image", "build"])
def test_every_key_is_linuxkits_or_marked(kind: str) -> None:
    facts = FACTS["image"] | FACTS["build"]
    known = {path: flat(keys) for path, keys in facts.items()}
    known[""] = flat(FACTS[kind][""])
    seen: set[tuple[str, str]] = set()
    for found, path, key, piece in ALL:
        if found == kind:
            name = normalized(path)
            seen.add((name, key))
            is_known = key in known[name]
            assert is_known == (piece.get("x-linuxkit") != "refused"), (path, key)
            assert ((name, key) in LOST) == (piece.get("x-linuxkit") == "lost"), (path, key)
    missing = {
        (path, key)
        for path, keys in FACTS[kind].items()
        for key in flat(keys)
        if (path, key) not in seen
    }
    assert missing == set()


def example(kind: str, piece: dict[str, Any]) -> Any:
    whole = resolve_reference(kind, piece)
    return [*piece.get("examples", ()), *whole["examples"]][0]


def document(kind: str, path: str, key: str, value: Any) -> dict[str, Any]:
    """Return a file with one key in one object."""
    inner: Any = {key: value}
    for step in reversed([s for s in path.split(".") if s]):
        name = step.removesuffix("[]")
        if step in ("services[]", "onboot[]", "onshutdown[]"):
            inner = {"name": "s", "image": "x/y:1"} | inner
        inner = {name: [inner] if step.endswith("[]") else inner}
    return {"image": "tool"} | inner if kind == "build" else inner


def check(kind: str, *texts: str | bytes, directory: Path = Path()) -> list[Diagnostic]:
    contents = [text if isinstance(text, bytes) else text.encode() for text in texts]
    inputs = [ConfigInput(f"{n}.yml", c, directory) for n, c in enumerate(contents)]
    return check_for_linuxkit(kind, inputs)


@pytest.mark.parametrize(
    ("kind", "path", "key", "piece"), ALL, ids=[f"{k}:{p}.{key}" for k, p, key, _ in ALL]
)
def test_each_extension_is_reported_and_linuxkits_keys_are_not(
    kind: str, path: str, key: str, piece: dict[str, Any]
) -> None:
    mark = piece.get("x-linuxkit")
    value = 2 if key == "pageSize" else example(kind, piece)
    if key == "source" and path == "files[]":
        value = "/etc/motd"
    found = check(kind, yaml.safe_dump(document(kind, path, key, value)))
    own = [d for d in found if repr(key) in d.message]
    if mark == "refused":
        assert [str(d.code) for d in own] == ["DM0142"]
    elif mark == "lost":
        assert [str(d.code) for d in own][:1] == ["DM0143"]
    else:
        assert own == []
    # Every other finding is about a marked key around it, or in its example.
    assert all(d.place and d.place.line and d.place.column for d in found)
    assert all(any(repr(name) in d.message for name in MARKED) for d in found)
    names = {step.removesuffix("[]") for step in path.split(".")} | {key, *keys_of([value])}
    assert bool(found) == bool(names & MARKED - {"pageSize"})


def keys_of(value: Any) -> Iterator[str]:
    """Yield the keys of a value, and of what is in it."""
    if isinstance(value, dict):
        yield from value
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            yield from keys_of(inner)


SERVICE = "services:\n- name: s\n  image: a/b:1\n  "
FORMS: list[tuple[str, list[str | bytes], str, str, str]] = [
    ("build", ["image: t\ndebs: {suite: x}\n"], "DM0142", "0.yml:2:1", "'debs'"),
    ("build", ["buildArgs: [A=1, 'B=@dolmen:pkg:../x']\n"], "DM0142", "0.yml:1:18", "@dolmen:"),
    ("build", ["buildArgs: ['B=@dolmen:base']\n"], "DM0142", "0.yml:1:13", "@dolmen:"),
    ("image", [f"{SERVICE}resources: {{blockIO: {{}}}}\n"], "DM0142", "0.yml:4:15", "'blockIO'"),
    (
        "image",
        [f"{SERVICE}resources: {{hugepageLimits: [{{pageSize: 2MB}}]}}\n"],
        *("DM0142", "0.yml:4:43", "only a number"),
    ),
    ("image", ["init: ['@dolmen:init']\n"], "DM0142", "0.yml:1:8", "@dolmen:"),
    ("image", ["files: [{path: x, contents: '@home'}]\n"], "DM0143", "0.yml:1:29", "empty text"),
    ("image", ["files: [{path: x, source: none}]\n"], "DM0143", "0.yml:1:27", "current directory"),
    ("image", ['{"init": ["\\ud83d\\ude00"]}\n'], "DM0142", "0.yml:1:12", "surrogate"),
    ("image", ["init: [a/b:1]\n".encode("utf-16")], "DM0142", "0.yml:1:1", "UTF-16"),
    (
        "image",
        [f"{SERVICE}binds: ['v:/v:ro,noexec']\nvolumes: [{{name: v, readonly: true}}]\n"],
        *("DM0142", "0.yml:4:11", "exactly `ro`"),
    ),
    (
        "image",
        [f"{SERVICE}binds.add: ['v:/v']\nvolumes: [{{name: v}}]\n", "init: [a/b:1]\n"],
        *("DM0142", "0.yml:4:15", "not in the last file"),
    ),
    (
        "image",
        [f"{SERVICE}mounts: [{{type: bind, source: v}}]\nvolumes: [{{name: v}}]\n"],
        *("DM0143", "0.yml:4:33", "in mounts"),
    ),
]


@pytest.mark.parametrize(("kind", "texts", "code", "place", "words"), FORMS)
def test_forms_that_only_dolmen_accepts(
    kind: str, texts: list[str | bytes], code: str, place: str, words: str
) -> None:
    found = [d for d in check(kind, *texts) if words in d.message]
    assert [(str(d.code), str(d.place)) for d in found] == [(code, place)]


def test_a_package_in_a_file_that_is_not_local() -> None:
    text = b"init: ['@pkg:../x']\n"
    for given in (ConfigInput("<stdin>", text, Path()), ConfigInput("u", text, url="http://u/x")):
        (found,) = check_for_linuxkit("image", [given])
        assert (str(found.code), found.place and found.place.column) == ("DM0142", 8)
    assert check("image", text) == []


def test_linuxkits_forms_are_not_reported(tmp_path: Path) -> None:
    (tmp_path / "motd").write_text("")
    text = f"""\
kernel: {{image: a/k:1, cmdline: quiet, ucode: x}}
init: [a/i:1, '@pkg:../init']
volumes: [{{name: v, readonly: true}}, {{name: w, image: a/w:1, format: oci}}]
services:
  - {{name: s, image: a/s:1, binds: ['v:/v:ro', 'w:/w', '/a:/b:rw'], annotations: {{a.b: c}}}}
files: [{{path: etc/motd, source: {tmp_path / "motd"}}}, {{path: x, metadata: yaml}}]
"""
    assert check("image", text) == []
    assert check("build", "image: t\nbuildArgs: ['A=@lkt:pkg:../x']\ntag: '{{.Hash}}'\n") == []
