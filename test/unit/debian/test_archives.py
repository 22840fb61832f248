"""Archives read in Python: what indexes hold, what is chosen of it, whose word counts."""

from __future__ import annotations

import contextlib
import shutil
import sys
from functools import cmp_to_key
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assembler.codes import packages
from assembler.codes.packages import UNRESOLVABLE
from assembler.debian.archives import signatures
from assembler.debian.archives.index import (
    IndexText,
    PackageIndex,
    Relation,
    compare_versions,
    reduce_index,
)
from assembler.debian.archives.release import parse_release
from assembler.debian.archives.resolver import resolve_packages
from assembler.debian.engine_protocol import PackageRequest
from assembler.errors import DolmenError
from support.debian import Key

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = "0" * 64


def stanza(name: str, version: str = "1", **fields: str) -> str:
    named = {key.replace("_", "-"): value for key, value in fields.items()}
    lines = {
        "Package": name,
        "Version": version,
        "Architecture": "amd64",
        "Description": "something\n that is dropped",
        "Filename": f"pool/{name}_{version.replace(':', '%3a')}_amd64.deb".replace("%", ""),
        "Size": "1",
        "SHA256": DIGEST,
        **named,
    }
    return "".join(f"{key}: {value}\n" for key, value in lines.items())


def index(*stanzas: str, others: tuple[str, ...] = (), priority: int = 500) -> PackageIndex:
    texts = ["\n".join(stanzas).encode(), "\n".join(others).encode()]
    first, second = (b"".join(reduce_index(iter([text]))) for text in texts)
    return PackageIndex([IndexText(first, 500), IndexText(second, priority)], "amd64")


def chosen(packages: PackageIndex, *wanted: str, **more: object) -> set[str]:
    request = PackageRequest("trixie", "amd64", wanted, **more)  # type: ignore[arg-type]
    return {f"{s.package.name}={s.package.version}" for s in resolve_packages(packages, request)}


def test_what_is_depended_on_comes_too() -> None:
    packages = index(
        stanza("a", Depends="b (>= 2), c | d", Pre_Depends="e:any"),
        stanza("b", "2"),
        stanza("c"),
        stanza("d"),
        stanza("e", Multi_Arch="allowed", Recommends="f"),
        stanza("f"),
    )
    assert chosen(packages, "a") == {"a=1", "b=2", "c=1", "e=1"}
    assert chosen(packages, "a", "d") == {"a=1", "b=2", "d=1", "e=1"}
    assert chosen(packages, "a", exclude=("c",)) == {"a=1", "b=2", "e=1"}
    assert chosen(packages, "a", dependencies=False) == {"a=1"}


def test_the_newest_of_several_archives() -> None:
    packages = index(stanza("a", "1.9"), stanza("a", "1:0.1"), others=(stanza("a", "1.10"),))
    assert chosen(packages, "a") == {"a=1:0.1"}
    assert chosen(packages, "a=1.10") == {"a=1.10"}
    old = index(stanza("a", "1~rc1"), others=(stanza("a", "1"),))
    assert chosen(old, "a") == {"a=1"}
    # Backports are for those who ask for them.
    backports = index(stanza("a", "1"), others=(stanza("a", "2"),), priority=100)
    assert chosen(backports, "a") == {"a=1"}
    assert chosen(backports, "a=2") == {"a=2"}


def test_names_that_others_provide() -> None:
    packages = index(
        stanza("a", Depends="mta, awk (>= 2)"),
        stanza("exim", Provides="mta", Priority="optional"),
        stanza("postfix", Provides="mta", Priority="standard"),
        stanza("old", Provides="awk (= 1)"),
        stanza("none", Provides="awk"),
        stanza("new", Provides="awk (= 3)"),
    )
    assert chosen(packages, "a") == {"a=1", "postfix=1", "new=1"}
    assert chosen(packages, "a", "exim") == {"a=1", "exim=1", "new=1"}
    assert chosen(index(stanza("x", Provides="y")), "y") == {"x=1"}
    with pytest.raises(DolmenError, match="provided by exim, postfix"):
        chosen(packages, "mta")


def test_packages_that_do_not_go_together() -> None:
    packages = index(
        stanza("a", Depends="b | c"),
        stanza("b", Conflicts="d"),
        stanza("c"),
        stanza("d"),
        stanza("e", Breaks="a (<< 2)"),
        stanza("f", Depends="b, d"),
        stanza("g", Conflicts="mta", Provides="mta"),
        stanza("h", Provides="mta"),
        stanza("i", Depends="g"),
        stanza("k", Depends="a, l"),
        stanza("l", Depends="d"),
    )
    assert chosen(packages, "a") == {"a=1", "b=1"}
    assert chosen(packages, "a", "d") == {"a=1", "c=1", "d=1"}
    # What was chosen before it turned out to be in the way.
    assert chosen(packages, "k") == {"k=1", "a=1", "c=1", "l=1", "d=1"}
    assert chosen(packages, "g") == {"g=1"}
    for together in (("a", "e"), ("f",), ("h", "i")):
        with pytest.raises(DolmenError, match="conflicts with") as caught:
            chosen(packages, *together)
        assert caught.value.diagnostics[0].code is UNRESOLVABLE


@pytest.mark.parametrize(
    ("depends", "words"),
    [
        ("nothing", "nothing, which does not exist"),
        ("b (>= 3)", "b (>= 3), but b is 2"),
        ("b (= 1) | nothing", "but b is 2"),
        ("b:any", "b:any"),
    ],
)
def test_what_cannot_be_met_is_told(depends: str, words: str) -> None:
    packages = index(stanza("a", Depends=depends), stanza("b", "2"))
    with pytest.raises(DolmenError) as caught:
        chosen(packages, "a")
    assert words in str(caught.value)
    # An alternative that cannot be had makes room for the next.
    both = index(stanza("x", Depends="a | b"), stanza("a", Depends=depends), stanza("b", "2"))
    assert chosen(both, "x") == {"x=1", "b=2"}


@pytest.mark.parametrize(
    "broken",
    [
        {"Depends": "b (>= 1"},
        {"Depends": "b (=> 1)"},
        {"Size": "many"},
        {"SHA256": "x"},
        {"Filename": "../../x.deb"},
        {"Filename": "/x.deb"},
    ],
)
def test_entries_that_are_broken(broken: dict[str, str]) -> None:
    with pytest.raises(DolmenError, match="malformed entry for a"):
        chosen(index(stanza("a", **broken), stanza("b")), "a")


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=20))
def test_an_index_is_the_same_however_it_comes(sizes: list[int]) -> None:
    text = "\n".join(stanza(f"p{i}", Depends="a,\n b", Tag="x") for i in range(6)).encode()
    whole = b"".join(reduce_index(iter([text])))
    pieces = []
    at = 0
    while at < len(text):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(text[at : at + size])
        at += size
    assert b"".join(reduce_index(iter(pieces))) == whole
    assert b"Tag" not in whole
    assert whole.count(b"Depends: a,\n b\n") == 6


def test_versions_are_ordered_as_debians() -> None:
    texts = ["1~~", "1~", "1", "1+b1", "1.2-1", "1.10", "1:0"]
    mixed = texts[3:] + texts[:3]
    assert sorted(mixed, key=cmp_to_key(compare_versions)) == texts
    assert Relation("a", operator="<<", version="2").accepts("2~rc1")
    assert not Relation("a", operator=">>", version="2").accepts("0:2")


RELEASE = f"""\
Suite: stable
Date: Sat, 12 Sep 2026 07:55:41 UTC
Valid-Until: Sat, 19 Sep 2026 07:55:41 UTC
Architectures: all amd64
SHA256:
 {DIGEST} 12 main/binary-amd64/Packages
 {DIGEST} 12 main/binary-all/Packages.xz
"""


def test_a_release_says_what_there_is() -> None:
    release = parse_release(RELEASE.encode(), "x")
    assert release.priority == 500
    all_and_own = ("main/binary-amd64/Packages", "main/binary-all/Packages")
    assert release.indexes("main", "amd64") == all_and_own
    assert release.indexes("contrib", "amd64") == ()
    together = RELEASE.replace("SHA256:", "No-Support-for-Architecture-all: Packages\nSHA256:")
    assert parse_release(together.encode(), "x").indexes("main", "amd64") == all_and_own[:1]
    for more, priority in (("", 1), ("\nButAutomaticUpgrades: yes", 100)):
        text = RELEASE.replace("SHA256:", f"NotAutomatic: yes{more}\nSHA256:")
        assert parse_release(text.encode(), "x").priority == priority


def test_a_release_has_its_time() -> None:
    release = parse_release(RELEASE.encode(), "x")
    first, last = 1789199741, 1789804541
    release.check_time(first, "x")
    release.check_time(last, "x")
    release.check_time(last + 1, "x", until=False)
    for now in (first - 3600, last + 1):
        with pytest.raises(DolmenError) as caught:
            release.check_time(now, "x")
        assert caught.value.diagnostics[0].code is packages.BAD_SIGNATURE


@pytest.mark.parametrize("text", ["", "Suite: x\n", f"SHA256:\n {DIGEST} x y\n", "\xff", "x"])
def test_a_release_that_is_none(text: str) -> None:
    with pytest.raises(DolmenError) as caught:
        parse_release(text.encode("latin-1"), "x")
    assert caught.value.diagnostics[0].code is packages.NO_MIRROR


NO_GPGV = pytest.mark.skipif(not shutil.which("gpgv"), reason="gpgv is not installed")


@pytest.mark.parametrize("way", ["pysequoia", pytest.param("gpgv", marks=NO_GPGV)])
def test_signatures(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, other = Key(), Key()
    text = b"one\n- two\n"
    signed, signature, foreign = key.signed(text), key.signature(text), other.signed(text)
    keyring = key.keyring(tmp_path / "keys.gpg")
    if way == "gpgv":
        monkeypatch.setitem(sys.modules, "pysequoia", None)
    assert signatures.verify_inline_signature(signed, [keyring], "x").strip() == text.strip()
    signatures.verify_detached_signature(text, signature, [keyring], "x")
    for data in (foreign, signed.replace(b"one", b"two"), text, b""):
        with pytest.raises(DolmenError) as caught:
            signatures.verify_inline_signature(data, [keyring], "x")
        assert caught.value.diagnostics[0].code is packages.BAD_SIGNATURE
    with pytest.raises(DolmenError):
        signatures.verify_detached_signature(text + b"x", signature, [keyring], "x")
    # Only what is signed is believed, whatever stands around it.
    around = b"SHA256:\n before\n\n" + signed + b"\nSHA256:\n after\n"
    with contextlib.suppress(DolmenError):
        assert b"SHA256" not in signatures.verify_inline_signature(around, [keyring], "x")
