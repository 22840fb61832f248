"""What is planned for the recorded cases is what LinuxKit made, or a difference that we stand by.

Only what the assembler makes itself is compared here; content of images is compared where whole
archives are.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from pathlib import Path
from typing import Any

import pytest

from assembler.config import load_config
from assembler.errors import DolmenError
from assembler.oci.store import Store
from assembler.rootfs.plan import EntryKind, GeneratedEntry, ImageMember, ImageTree
from support.systems import made, planned

CASES = Path(__file__).parent.parent.parent / "conformance" / "open"
KINDS = {EntryKind.FILE: "file", EntryKind.DIRECTORY: "dir", EntryKind.SYMLINK: "symlink"}
SETS = ("bounding", "effective", "inheritable", "permitted", "ambient", "namespaces")

# Cases that are planned differently; docs/linuxkit.md gives the reason of each.
DIFFERENT = {
    "062-rlimits",
    "075-id-negative",
    "098-volume-name-empty",
    "113-files-symlink-and-contents",
    "149-reference-flat-wrong-arch",
    "223-name-odd",
}
ELSEWHERE = {
    "130-files-relative-to-cwd": "where sources are looked for is a matter of configuration",
    "142-references": "what names mean is a matter of references",
    "153-template-pkg": "templates need git",
    "157-template-at-sign": "templates are a matter of configuration",
    "226-format-docker": "the Dockerfile is a matter of the format",
    "243-input-tar-volume": "the reference loses a volume when it copies from a tar",
    "246-sbom": "see the tests of the SBOM",
    "270-input-tar-dedup": "a mistake of the reference in copying from a tar",
}


# Refused by LinuxKit, and rightly accepted.
ACCEPTED = {
    "091-volume-oci-manifest",
    "137-merge-volume-lost",
    "188-flat-zst",
    "267-input-tar-mounts",
}
# What only shows when layers are read, or on the command line.
LATER = {
    "014-kernel-not-there",
    "015-kernel-tar-not-there",
    "018-kernel-tar-compressed",
    "171-image-hostslink",
    "173-image-hostsdir",
    "230-format-initrd-global-header",
    "234-format-unknown",
    "236-format-o-with-name",
    "237-format-o-initrd",
}


def cases(*, accepts: bool) -> list[str]:
    found = []
    for directory in sorted(d for d in CASES.iterdir() if (d / "cmd.json").exists()):
        command = json.loads((directory / "cmd.json").read_text())
        if command["accepts"] == accepts:
            found.append(directory.name)
    return found


def comparable() -> list[str]:
    names = (c for c in cases(accepts=True) if (CASES / c / "expected.jsonl").exists())
    return [c for c in names if c not in DIFFERENT | ELSEWHERE.keys()]


@pytest.mark.parametrize("case", comparable())
def test_a_plan_is_what_was_recorded(
    case: str, conformance_layout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, trees = plan_of(case, conformance_layout, monkeypatch)
    differences = list(differing(recorded(case), plan, trees))
    if case in LABELS:
        assert differences
        assert all("/config.json: " in d for d in differences), differences
    else:
        assert (differences != []) == (case in CHANGED), differences


@pytest.mark.parametrize("case", sorted({*cases(accepts=False), *DIFFERENT} - ACCEPTED - LATER))
def test_what_makes_no_system_is_refused(
    case: str, conformance_layout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DolmenError) as caught:
        plan_of(case, conformance_layout, monkeypatch)
    for diagnostic in caught.value.diagnostics:
        assert diagnostic.message
        assert diagnostic.place or case in ("191-yaml-empty-file", "238-no-such-yaml")


@pytest.mark.parametrize("case", sorted(ACCEPTED))
def test_what_linuxkit_refuses_for_no_reason_is_planned(
    case: str, conformance_layout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, _ = plan_of(case, conformance_layout, monkeypatch)
    assert plan


# Oddities that change what is in a file; each is tested for what is right elsewhere.
CHANGED = {
    "006-kernel-ucode-missing",
    "041-label-vs-yaml-3",
    "043-yaml-everything",
    "059-bind-odd",
    "071-resources",
    "104-volume-by-mount",
}
# LinuxKit loses ids of mappings and keys with capitals where a label has them.
LABELS = {
    "037-labels-as-they-are",
    "039-label-vs-yaml-1",
    "067-devices",
    "131-metadata-json",
    "132-metadata-yaml",
    "244-whole-system",
    "256-drawn-07",
    "259-drawn-10",
    "261-drawn-12",
}


def plan_of(
    case: str, layout: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, GeneratedEntry], tuple[str, ...]]:
    directory = CASES / case
    command = json.loads((directory / "cmd.json").read_text())
    monkeypatch.chdir(directory)
    monkeypatch.setenv("HOME", str(directory / "home"))
    arguments = command["runs"][-1]
    files = [
        a if a != "-" else command["stdin"] for a in arguments if a.endswith(".yml") or a == "-"
    ]
    architecture = arguments[arguments.index("--arch") + 1]
    if case == "152-arch-unknown":
        architecture = "amd64"
    plan = planned(
        load_config(files).config,
        Store(layout),
        architecture=architecture,
        decompress_kernel="--decompress-kernel" in arguments,
    )
    return made(plan), tuple(p.prefix for p in plan.parts if isinstance(p, ImageTree))


def recorded(case: str) -> dict[str, dict[str, Any]]:
    records = {}
    for line in (CASES / case / "expected.jsonl").read_text().splitlines():
        record = json.loads(line)
        records[posixpath.normpath(record["path"])] = record
    return records


def differing(
    want: dict[str, dict[str, Any]], plan: dict[str, GeneratedEntry], trees: tuple[str, ...]
) -> Any:
    for path, entry in plan.items():
        if path not in want:
            yield f"{path}: not wanted"
        elif not (entry.implied and want[path]["mtime"] != str(entry.mtime)):
            yield from differing_entry(want[path], entry)
    for path, record in want.items():
        source = record.get("pax", {}).get("LINUXKIT.source")
        ours = path.startswith("containers/") and not path.startswith(tuple(t for t in trees if t))
        if path not in plan and (source in ("linuxkit.files", "linuxkit.volumes") or ours):
            yield f"{path}: missing"


def differing_entry(want: dict[str, Any], entry: GeneratedEntry) -> Any:
    path = entry.path
    if want["type"] != KINDS[entry.kind]:
        yield f"{path}: {entry.kind}, want {want['type']}"
        return
    if isinstance(entry.content, ImageMember):
        return
    if entry.kind is not EntryKind.SYMLINK and int(want["mode"], 8) != entry.mode:
        yield f"{path}: mode {entry.mode:o}, want {want['mode']}"
    if (want["uid"], want["gid"]) != (entry.uid, entry.gid):
        yield f"{path}: owner {entry.uid}:{entry.gid}, want {want['uid']}:{want['gid']}"
    if float(want["mtime"]) != entry.mtime:
        yield f"{path}: mtime {entry.mtime}, want {want['mtime']}"
    if entry.kind is EntryKind.SYMLINK and want["linkname"] != entry.target:
        yield f"{path}: link to {entry.target}, want {want['linkname']}"
    if entry.kind is EntryKind.FILE:
        yield from differing_content(want, entry)


def differing_content(want: dict[str, Any], entry: GeneratedEntry) -> Any:
    content = entry.content
    if isinstance(content, bytes):
        data = content
    elif hasattr(content, "path"):
        data = content.path.read_bytes()
    else:
        assert not isinstance(content, ImageMember)
        if content.descriptor.digest != "sha256:" + want["sha256"]:
            yield f"{entry.path}: another blob"
        return
    if "json" in want:
        mine, theirs = normal(json.loads(data)), normal(want["json"])
        for key in sorted(mine.keys() | theirs.keys()):
            if mine.get(key) != theirs.get(key):
                yield f"{entry.path}: {key}: {mine.get(key)}, want {theirs.get(key)}"
    elif "yamltree" not in want and hashlib.sha256(data).hexdigest() != want["sha256"]:
        yield f"{entry.path}: {data[:80]!r}, want {want.get('text')!r}"


def normal(value: Any) -> Any:
    """Leave out what means nothing, and sort what is a set."""
    if isinstance(value, dict):
        members = {k: normal(v) for k, v in value.items()}
        members = {
            k: v for k, v in members.items() if v not in (None, [], {}, "") and v is not False
        }
        for key in SETS:
            if isinstance(members.get(key), list):
                members[key] = sorted(members[key], key=json.dumps)
        return members
    return [normal(v) for v in value] if isinstance(value, list) else value
