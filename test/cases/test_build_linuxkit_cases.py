"""A user of LinuxKit builds an unchanged YAML: the same system comes out, or docs say why not.

The cases in test/conformance were recorded from LinuxKit. What is compared is what there is after
unpacking. Every difference must be one that docs/linuxkit.md explains, and the case must be listed
here.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

CONFORMANCE = Path(__file__).parent.parent / "conformance"
CASES = sorted(p.parent for p in CONFORMANCE.glob("open/*/cmd.json"))
DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "linuxkit.md"
COMPARE = {"mtime": False, "pax": False, "unordered": True, "last": True}

_TREE = r"(?:containers/(?:\w+)/[^/]+/(?:lower|rootfs)/)?"
# The corrections, as the comparison prints them: the sign, the path, and the rest of the line.
KINDS = {
    "hard links in an initrd are kept": (
        r"! \S+ (type: want 'symlink' got 'file'|linkname: want '\S+' got None"
        r"|content: want None .*|[ug]id: want \d+ got \d+)"
    ),
    "missing parent directories are created": (rf"\+ (?:{_TREE}|containers/)\S+: extra \(dir\)"),
    "a hard link keeps the content of its original target": (
        rf"! {_TREE}(?:hl/\w+|three) (type|linkname|content|mode): want .*"
    ),
    "whiteouts": (
        rf"[-+!] {_TREE}(?:b text: .*|(?:e/x|opq/old2|p/q/r|p/q/r/s|wh-then-add|d/sub): .*)"
    ),
    "the image's own modes and names": (
        rf"[-+!] {_TREE}(?:(?:dev|etc) (?:mode: want '0755' got '07[05]0'|[ug]id: want 0 got \d+)"
        rf"|\.: missing \(dir\)|/?abs/olute: .*)"
        r"|\+ containers/\w+/[^/]+/lower: extra \(dir\)|\+ (?:abs/olute): extra \(file\)"
    ),
    "directories of images keep their modes": (
        r"! (?:etc|tmp|var|root|usr)(?:/\S+)?"
        r" (?:mode: want '\d+' got '(?:0755|1777|0700)'|[ug]id: want [1-9]\d* got 0)"
    ),
    "labels are complete": (
        r"! containers/\S+/config\.json /linux/(?:[ug]idMappings|resources)\S*: .*"
    ),
}

# The recorded cases that differ in each of these ways.
CASES_OF_KIND = {
    "hard links in an initrd are kept": {
        "001-kernel-basic",
        "002-kernel-alternate-names",
        "009-kernel-decompress",
        "020-init-one",
        "030-init-links-initrd",
        "109-files-existing-parents",
        "134-merge-two",
        "244-whole-system",
        "249-drawn-00",
        "256-drawn-07",
        "261-drawn-12",
    },
    "missing parent directories are created": {
        "008-kernel-boot-extra",
        "082-dedup",
        "134-merge-two",
        "166-image-touch",
        "244-whole-system",
        "249-drawn-00",
        "259-drawn-10",
        "261-drawn-12",
    },
    "a hard link keeps the content of its original target": {
        "030-init-links-initrd",
        "159-image-links",
        "254-drawn-05",
        "258-drawn-09",
        "266-drawn-17",
    },
    "whiteouts": {
        "028-init-whiteouts",
        "082-dedup",
        "085-volume-image",
        "161-image-wh",
        "251-drawn-02",
        "254-drawn-05",
        "256-drawn-07",
        "258-drawn-09",
    },
    "the image's own modes and names": {
        "025-init-touch",
        "166-image-touch",
        "259-drawn-10",
    },
    "directories of images keep their modes": {
        "109-files-existing-parents",
        "240-input-tar",
        "244-whole-system",
        "249-drawn-00",
        "251-drawn-02",
        "253-drawn-04",
        "256-drawn-07",
        "258-drawn-09",
        "259-drawn-10",
        "261-drawn-12",
        "263-drawn-14",
        "264-drawn-15",
        "266-drawn-17",
    },
    "labels are complete": {
        "037-labels-as-they-are",
        "039-label-vs-yaml-1",
        "067-devices",
        "071-resources",
        "131-metadata-json",
        "132-metadata-yaml",
        "244-whole-system",
        "256-drawn-07",
        "259-drawn-10",
        "261-drawn-12",
    },
}
# Other cases that differ, and the words of docs/linuxkit.md that explain the difference.
EXPLAINED_CASES = {
    "006-kernel-ucode-missing": "`ucode` that the kernel image lacks",
    "017-kernel-is-directory": "a directory called `kernel` in the kernel image",
    "041-label-vs-yaml-3": "duplicate capabilities, also from `.add` and the label",
    "043-yaml-everything": "`resources` with capital letters, id mappings",
    "059-bind-odd": "an empty option in a bind",
    "062-rlimits": "a soft limit above the hard one",
    "075-id-negative": "a negative id, or one above 4294967295",
    "091-volume-oci-manifest": "`format: oci` of a single image",
    "098-volume-name-empty": "a volume without a name",
    "104-volume-by-mount": "a volume in `mounts`",
    "113-files-symlink-and-contents": "`symlink` with `contents`",
    "130-files-relative-to-cwd": "`source:` of a file",
    "137-merge-volume-lost": "volumes of one file used in another",
    "149-reference-flat-wrong-arch": "an image without an index that is for another architecture",
    "152-arch-unknown": "an architecture that Dolmen does not know",
    "157-template-at-sign": "a text that begins with `@`, but not with `@pkg:`",
    "168-image-etclink": "a symbolic link in an image where the system needs a directory",
    "188-flat-zst": "an image without an index whose layers are not compressed with gzip",
    "223-name-odd": "a name of a container that is empty, or has a `/` in it",
    "230-format-initrd-global-header": "a pax global header in the tar of an image",
    "243-input-tar-volume": "a container may refer to a tree of another image",
    "246-sbom": "`documentNamespace`",
    "267-input-tar-mounts": "a file with `metadata` in the system",
    "270-input-tar-dedup": "a container may refer to a tree of another image",
}


@pytest.fixture(scope="module")
def compare() -> ModuleType:
    """Give the comparing script as a module."""
    spec = importlib.util.spec_from_file_location("compare", CONFORMANCE / "compare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda p: p.name)
def test_a_recorded_case_gives_the_same_system(
    case: Path, compare: ModuleType, conformance_layout: Path
) -> None:
    command = f"{shlex.quote(sys.executable)} -m dolmen build {{opts}}"
    differences = compare.run_case(str(case), command, str(conformance_layout), COMPARE)
    if case.name in EXPLAINED_CASES:
        assert differences, "listed as different, and is not"
        return
    kinds = [kind for kind, names in CASES_OF_KIND.items() if case.name in names]
    unexplained = [
        line for line in differences if not any(re.fullmatch(KINDS[kind], line) for kind in kinds)
    ]
    assert not unexplained
    for kind in kinds:
        assert any(re.fullmatch(KINDS[kind], d) for d in differences), f"not different: {kind}"


def test_every_listed_case_exists() -> None:
    listed = {*EXPLAINED_CASES}.union(*CASES_OF_KIND.values())
    assert listed <= {case.name for case in CASES}


def test_every_difference_is_explained() -> None:
    document = DOCUMENT.read_text("utf-8")
    for words in {*EXPLAINED_CASES.values(), *CASES_OF_KIND}:
        assert words in document
    assert CASES_OF_KIND.keys() == KINDS.keys()
