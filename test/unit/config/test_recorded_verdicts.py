"""LinuxKit's verdicts: what it refuses because of the YAML is refused, with a place."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from assembler.codes import config as codes
from assembler.config import LoadOptions, check_for_linuxkit, load_config, read_input
from assembler.errors import ConfigError
from assembler.oci.reference import Reference

CASES = Path(__file__).parents[2] / "conformance" / "open"
# Refused for what is in an image, in a registry or on the command line.
_OTHER_STAGES = ("014", "015", "018", "091", "146", "171", "173", "177", "178", "179", "181", "183")
_OTHER_STAGES += ("185", "188", "230", "234", "236", "237", "267")
# Accepted by LinuxKit, refused here: each is in docs/linuxkit.md with its reason.
_STRICTER = {
    "062": "the soft limit of rttime is above the hard one",
    "075": "out of range",
    "098": "`name` is missing",
    "113": "exclude each other",
    "223": "cannot be a container's name",
}
# Refused by LinuxKit because of a bug.
_KINDER = ("137",)
_WITHOUT_LINE = ("191", "193", "238")


def cases() -> list[Any]:
    """Return the cases with their descriptions."""
    return [
        pytest.param(path.parent, json.loads(path.read_text()), id=path.parent.name)
        for path in sorted(CASES.glob("*/cmd.json"))
        if path.parent.name[:3] not in _OTHER_STAGES
    ]


@pytest.mark.parametrize(("case", "command"), cases())
def test_a_file_is_accepted_exactly_if_linuxkit_accepts_it(
    case: Path, command: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same files are accepted; the others are refused at a line and column."""
    work = tmp_path / "work"
    shutil.copytree(case, work)
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(work / "home"))
    arguments = [a for a in command["runs"][-1] if a.endswith(".yml")]
    if "stdin" in command:
        arguments = [command["stdin"]]
    number = case.name[:3]
    accepts = (command["accepts"] or number in _KINDER) and number not in _STRICTER
    options = LoadOptions(check_reference=Reference.parse)
    if accepts:
        assert load_config(arguments, options).config is not None
        return
    with pytest.raises(ConfigError) as caught:
        load_config(arguments, options)
    assert _STRICTER.get(number, "") in str(caught.value)
    for diagnostic in caught.value.diagnostics:
        assert diagnostic.place is not None
        assert diagnostic.place.source.name.endswith(".yml")
        if number not in _WITHOUT_LINE:
            assert diagnostic.place.line > 0
            assert diagnostic.place.column > 0


@pytest.mark.parametrize(("case", "command"), cases())
def test_the_check_for_linuxkit_agrees_with_linuxkit(
    case: Path, command: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What LinuxKit accepts is not reported; what only Dolmen accepts is."""
    monkeypatch.chdir(case)
    names = [a for a in command["runs"][-1] if a.endswith(".yml") and Path(a).exists()]
    kinder = case.name[:3] in _KINDER
    if not command["accepts"] and not kinder:
        return
    found = check_for_linuxkit("image", [read_input(name) for name in names])
    reported = [d for d in found if d.code is codes.NOT_LINUXKIT]
    assert bool(reported) == kinder, reported
