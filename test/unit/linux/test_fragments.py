"""Fragments of a kernel's configuration."""

from __future__ import annotations

import pytest

from assembler.diagnostics import SourceText
from assembler.errors import PackageError
from assembler.linux import join_fragments, parse_fragment


def test_values_of_all_kinds() -> None:
    text = (
        "# A comment.\n\nCONFIG_NET=y\nCONFIG_XFS_FS=m\n# CONFIG_USB is not set\n"
        'CONFIG_LSM="a,b c"\nCONFIG_NR_CPUS=64\nCONFIG_START=0x100\nCONFIG_KEY=""\n'
    )
    assert parse_fragment(SourceText("base.config", text)).values == {
        "NET": "y",
        "XFS_FS": "m",
        "USB": "n",
        "LSM": '"a,b c"',
        "NR_CPUS": "64",
        "START": "0x100",
        "KEY": '""',
    }


def test_every_wrong_line_is_named() -> None:
    text = "CONFIG_NET=y\nNET=y\nCONFIG_USB y\nCONFIG_KEY=\n"
    with pytest.raises(PackageError) as caught:
        parse_fragment(SourceText("base.config", text))
    assert [d.place.line for d in caught.value.diagnostics if d.place] == [2, 3, 4]


def test_the_last_fragment_decides() -> None:
    first = parse_fragment(SourceText("first", "CONFIG_NET=y\nCONFIG_USB=y\n"))
    second = parse_fragment(SourceText("second", "# CONFIG_USB is not set\n"))
    joined = join_fragments([first, second])
    assert joined == {"NET": first, "USB": second}
    place = joined["NET"].place_of("NET")
    assert place is not None
    assert (place.source.name, place.line) == ("first", 1)
