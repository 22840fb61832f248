"""The list of formats, and which of them can be selected together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from assembler.errors import UsageError
from assembler.formats import available_formats, select_formats
from assembler.formats.format_list import find_format
from assembler.suffixes import SUFFIXES

DOCUMENT = Path(__file__).parents[3] / "docs" / "formats.md"
NAMES = [entry.name for entry in available_formats()]


@pytest.mark.parametrize("name", NAMES)
def test_each_format_of_the_list_exists(name: str) -> None:
    found = find_format(name)
    assert found.name == name
    assert name in SUFFIXES


def test_each_row_of_suffixes_belongs_to_a_format() -> None:
    assert sorted(SUFFIXES) == sorted(NAMES)


def test_the_document_has_all_formats_and_their_files() -> None:
    text = DOCUMENT.read_text(encoding="utf-8").partition("## By UEFI")[0]
    for entry in available_formats():
        assert f"`{entry.name}`" in text, entry.name
        for suffix in entry.suffixes.values():
            assert re.search(rf"NAME{re.escape(suffix)}\b", text), (entry.name, suffix)


def test_formats_are_selected_once_and_in_order() -> None:
    assert [f.name for f in select_formats(["uki, tar", "uki"])] == ["uki", "tar"]


def test_the_default_is_kernel_and_initrd() -> None:
    assert [f.name for f in select_formats([])] == ["kernel+initrd"]


def test_the_default_of_a_single_output_is_tar() -> None:
    assert [f.name for f in select_formats([], to_stream=True)] == ["tar"]


@pytest.mark.parametrize(
    ("name", "hint"), [("raw-efy", "did you mean raw-efi?"), ("zzz", "the formats are tar, docker")]
)
def test_an_unknown_format_is_refused_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match="DM0603") as caught:
        select_formats([name])
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.message == f"there is no output format '{name}'"
    assert diagnostic.hints[0].startswith(hint)


def test_all_unknown_formats_are_named() -> None:
    with pytest.raises(UsageError) as caught:
        select_formats(["zzz", "tar,yyy"])
    assert [d.message.split()[-1] for d in caught.value.diagnostics] == ["'zzz'", "'yyy'"]


def test_two_formats_with_the_same_file_are_refused() -> None:
    with pytest.raises(UsageError, match=r"kernel\+iso and iso-bios both write NAME\.iso"):
        select_formats(["kernel+iso", "iso-bios"])


def test_formats_may_share_kernel_and_command_line() -> None:
    assert len(select_formats(["kernel+initrd", "kernel+iso", "kernel+squashfs"])) == 3


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["tar", "docker"], "several formats cannot go to one output"),
        (["kernel+initrd"], r"kernel\+initrd is more than one file"),
        (["raw-efi"], "raw-efi is not written from front to back"),
    ],
)
def test_only_one_stream_goes_to_a_single_output(names: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        select_formats(names, to_stream=True)
    (hint,) = caught.value.diagnostics[0].hints
    streams = [name for name in NAMES if find_format(name).is_stream]
    assert hint.startswith(f"only one of {', '.join(streams)} ")
