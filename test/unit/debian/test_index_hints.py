"""A mirror's broken index of one architecture: the error names the way out."""

from __future__ import annotations

from assembler.debian.index_hints import broken_index_hints

MIRROR = "http://deb.example.org"
UPDATES = f"{MIRROR}/debian/dists/trixie-updates/main/binary-s390x/Packages.xz"
SECURITY = f"{MIRROR}/debian-security/dists/trixie-security/main/binary-s390x/by-hash/SHA256/00"


def test_the_architecture_and_the_suites_are_named() -> None:
    broken, without, others = broken_index_hints([UPDATES, SECURITY])
    assert "index of s390x in trixie-security, trixie-updates" in broken
    assert "try again, or choose another mirror" in broken
    assert without.endswith("trixie-updates: --debian-mirror 'http://MIRROR/debian {suite}'")
    assert others.endswith("--platforms without linux/s390x")


def test_a_suite_cannot_do_without_its_own_index() -> None:
    hints = broken_index_hints([UPDATES, UPDATES.replace("trixie-updates", "trixie")])
    assert len(hints) == 2
    assert not any("{suite}" in hint for hint in hints)


def test_other_files_have_the_usual_hint() -> None:
    (hint,) = broken_index_hints([f"{MIRROR}/debian/dists/trixie/InRelease"])
    assert hint.startswith("the mirror may be in the middle of an update")
    assert broken_index_hints([]) == (hint,)
