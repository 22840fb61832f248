"""Suggestions for mistyped words are close, or there are none."""

from __future__ import annotations

import pytest

from assembler.spelling import did_you_mean, nearest_words

KEYS = ("command", "capabilities", "binds", "readonly", "net", "uid", "rootfsPropagation")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("comand", ["command"]),
        ("bidns", ["binds"]),
        ("capabilites", ["capabilities"]),
        ("read_only", ["readonly"]),
        ("readOnly", ["readonly"]),
        ("RootFS-Propagation", ["rootfsPropagation"]),
        ("nte", ["net"]),
        ("comm", ["command"]),
        ("user", []),
        ("push", []),
        ("name", []),
        ("", []),
        ("x" * 10_000, []),
    ],
)
def test_only_close_words_are_suggested(word: str, meant: list[str]) -> None:
    assert nearest_words(word, KEYS) == meant


def test_all_nearest_words_are_suggested_up_to_the_limit() -> None:
    names = ("qcow2-bios", "qcow2-efi", "raw-efi")
    assert did_you_mean("qcow2", names, 2) == "did you mean qcow2-bios or qcow2-efi?"
    assert did_you_mean("qcow2", names) == "did you mean qcow2-bios?"
    assert not did_you_mean("vhd", names)
