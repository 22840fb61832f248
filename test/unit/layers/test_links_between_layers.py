"""Layers whose links lead through other layers are flattened to what unpacking them gives."""

from __future__ import annotations

import pytest

from assembler.errors import LayerError
from assembler.oci.layers import flatten_layers
from support.archives import Collected, E, directory, groups, hardlink, layer, symlink


def flattened(*layers: list[E]) -> Collected:
    sink = Collected()
    flatten_layers("image", [layer(entries) for entries in layers], sink)
    return sink


def test_a_symlink_that_its_layer_replaces_with_a_directory_leads_nowhere() -> None:
    sink = flattened([symlink("a", "/a"), directory("a"), E("a/f", b"old")], [E("a/f", b"new")])
    assert sink.files() == {"a/f": b"new"}


def test_a_link_to_a_hidden_link_to_a_hidden_file_has_the_content() -> None:
    sink = flattened(
        [E("f", b"f"), hardlink("g", "f")],
        [hardlink("h", "g"), hardlink("i", "h")],
        [E(".wh.f"), E(".wh.g"), E(".wh.h")],
    )
    assert sink.files() == {"i": b"f"}


def test_what_a_layer_writes_through_its_own_symlink_replaces_lower_content() -> None:
    sink = flattened([E("usr/lib/x", b"old")], [symlink("lib", "usr/lib"), E("lib/x", b"new")])
    assert sink.files() == {"usr/lib/x": b"new", "lib": b"usr/lib"}


def test_a_layer_writes_through_its_own_symlink_that_a_lower_symlink_leads_to() -> None:
    sink = flattened([symlink("a", "c"), directory("b/c")], [symlink("c", "b/c"), E("a/f", b"f")])
    assert sink.files() == {"a": b"c", "c": b"b/c", "b/c/f": b"f"}


def test_a_hard_link_is_made_before_a_symlink_replaces_the_directory_of_its_target() -> None:
    sink = flattened(
        [E("a/f", b"f")], [directory("c"), hardlink("h", "a/f"), symlink("a", "c")], [E("a/x")]
    )
    assert sink.files() == {"h": b"f", "a": b"c", "c/x": b""}


def test_a_hard_link_to_a_file_below_a_symlink_of_its_layer() -> None:
    sink = flattened(
        [E("lib/x", b"wrong"), E("usr/lib/x", b"right")],
        [symlink("lib", "usr/lib"), hardlink("h", "lib/x")],
    )
    assert sink.files() == {"lib": b"usr/lib", "usr/lib/x": b"right", "h": b"right"}
    assert groups(sink.tree) == {frozenset({b"usr/lib/x", b"h"})}


@pytest.mark.parametrize("top", [[], [directory("lib")], [E(".wh.lib")]])
def test_a_hard_link_to_a_file_below_a_symlink_of_a_lower_layer(top: list[E]) -> None:
    sink = flattened(
        [E("usr/lib/x", b"x"), symlink("lib", "usr/lib")], [hardlink("h", "lib/x")], top
    )
    assert groups(sink.tree) == {frozenset({b"usr/lib/x", b"h"})}


def test_a_hidden_symlink_that_its_layer_replaces_leads_no_hard_link() -> None:
    replaced = [symlink("a", "b"), directory("a"), E("a/f", b"f")]
    sink = flattened([*replaced, hardlink("h", "a/f")], [E(".wh.a")])
    assert sink.files() == {"h": b"f"}
    sink = flattened(replaced, [hardlink("h", "a/f")], [E("a", b"file")])
    assert sink.files() == {"h": b"f", "a": b"file"}


def test_a_hard_link_to_a_symlink_that_an_upper_layer_writes_through() -> None:
    sink = flattened([directory("b"), symlink("a", "b"), hardlink("h", "a")], [E("a/x", b"x")])
    assert sink.files() == {"a": b"b", "h": b"b", "b/x": b"x"}
    assert groups(sink.tree) == {frozenset({b"a", b"h"})}


def test_a_relative_symlink_below_another_one_leads_from_where_it_is() -> None:
    sink = flattened(
        [directory("b/c"), symlink("c", "b/c")], [symlink("c/b", "../b")], [E("c/b/f", b"f")]
    )
    assert sink.files() == {"c": b"b/c", "b/c/b": b"../b", "b/b/f": b"f"}


def test_a_whiteout_through_a_symlink_hides_another_one() -> None:
    sink = flattened([symlink("b", "a"), symlink("a/l", "../x")], [E("b/.wh.l"), E("a/l/f", b"f")])
    assert sink.files() == {"b": b"a", "a/l/f": b"f"}


def test_paths_that_only_a_hidden_symlink_makes_equal_both_stay() -> None:
    sink = flattened(
        [symlink("b", "a")],
        [symlink("a/a", "b")],
        [E("b/.wh.a"), E("a/a/f", b"1"), E("b/b/f", b"2")],
    )
    assert sink.files() == {"b": b"a", "a/a/f": b"1", "a/b/f": b"2"}


def test_an_opaque_directory_below_a_file_makes_it_a_directory() -> None:
    sink = flattened([E("a", b"file")], [E("a/c/.wh..wh..opq")], [E("a/.wh.c")])
    assert sink.files() == {}


def test_a_hard_link_to_itself_through_a_symlink_is_refused() -> None:
    with pytest.raises(LayerError, match="itself"):
        flattened([symlink("lib", "usr/lib"), E("usr/lib/x")], [hardlink("lib/x", "usr/lib/x")])
