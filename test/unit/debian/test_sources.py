"""Mirrors come from the machine's own apt configuration, or from what is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assembler.debian.sources import DebianMirrors
from assembler.errors import PackageError

if TYPE_CHECKING:
    from pathlib import Path

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def machine(
    tmp_path: Path, files: dict[str, str], system: str = "ID=debian\nVERSION_CODENAME=bookworm\n"
) -> DebianMirrors:
    etc = tmp_path / "apt"
    (etc / "sources.list.d").mkdir(parents=True)
    for name, text in files.items():
        (etc / name).write_text(text)
    (tmp_path / "os-release").write_text(system)
    return DebianMirrors(etc_apt=etc, os_release=tmp_path / "os-release")


def lines(mirrors: DebianMirrors, suite: str = "trixie") -> list[str]:
    return [line for entry in mirrors.entries(suite, ("main",)) for line in entry.lines()]


def test_deb822(tmp_path: Path) -> None:
    text = f"""# a comment
Types: deb deb-src
# in between
URIs: http://mirror.example.com/debian/
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Signed-By: {KEYRING}

Types: deb
URIs: http://mirror.example.com/debian-security
Suites: bookworm-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Types: deb
Enabled: no
URIs: http://off.example.com/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://source.example.com/debian
Suites: bookworm
Components: main
"""
    assert lines(machine(tmp_path, {"sources.list.d/debian.sources": text})) == [
        f"deb [signed-by={KEYRING}] http://mirror.example.com/debian/ trixie main",
        f"deb [signed-by={KEYRING}] http://mirror.example.com/debian/ trixie-updates main",
        f"deb [signed-by={KEYRING}] http://mirror.example.com/debian-security trixie-security main",
    ]


def test_one_line_files(tmp_path: Path) -> None:
    mirrors = machine(
        tmp_path,
        {
            "sources.list": "deb http://m.example.com/debian bookworm main non-free # x\n"
            "#deb http://off.example.com/debian bookworm main\n"
            "deb-src http://m.example.com/debian bookworm main\n"
            "deb http://s.example.com/ bookworm/updates main\n"
            "not a line\n",
            "sources.list.d/other.list": "deb [arch=amd64 signed-by=/etc/other.gpg] "
            "http://other.example.com bookworm main\n"
            "deb http://third.example.com bookworm stable\n"
            "deb http://fourth.example.com cloud-bookworm main\n",
            "sources.list.d/ignored.save": "deb http://old.example.com/debian bookworm main\n",
        },
    )
    assert lines(mirrors) == [
        f"deb [signed-by={KEYRING}] http://m.example.com/debian trixie main",
        f"deb [signed-by={KEYRING}] http://s.example.com/ trixie-security main",
    ]
    # A suite that has neither updates nor security archives.
    assert lines(mirrors, "sid") == [
        f"deb [signed-by={KEYRING}] http://m.example.com/debian sid main"
    ]


def test_a_machine_of_another_kind_has_no_mirror(tmp_path: Path) -> None:
    mirrors = machine(
        tmp_path,
        {"sources.list": "deb http://archive.example.com/ubuntu noble main\n"},
        "ID=ubuntu\nVERSION_CODENAME=noble\n",
    )
    with pytest.raises(PackageError, match=r"DM0721(.|\n)*--debian-mirror"):
        lines(mirrors)


def test_mirrors_that_are_given(tmp_path: Path) -> None:
    keyring = tmp_path / "keys.gpg"
    keyring.write_bytes(b"")
    given = (
        "http://a.example.com/debian",
        "[signed-by=/k.gpg] http://b.example.com/ {suite} {suite}-updates",
        "[trusted=yes] /srv/mirror",
    )
    assert lines(DebianMirrors(given, keyring)) == [
        f"deb [signed-by={keyring}] http://a.example.com/debian trixie main",
        "deb [signed-by=/k.gpg] http://b.example.com/ trixie main",
        "deb [signed-by=/k.gpg] http://b.example.com/ trixie-updates main",
        "deb [trusted=yes] file:/srv/mirror trixie main",
    ]


@pytest.mark.parametrize("given", ["", "mirror", "http://x y\nz", "[a http://x"])
def test_what_is_no_mirror(given: str) -> None:
    with pytest.raises(PackageError, match="DM0721"):
        lines(DebianMirrors((given, given)))


def test_backports_are_beside_their_release(tmp_path: Path) -> None:
    text = (
        "deb http://mirror.example.com/debian bookworm main\n"
        "deb http://mirror.example.com/debian bookworm-updates main\n"
    )
    mirrors = machine(tmp_path, {"sources.list": text})
    suites = [line.split()[-2] for line in lines(mirrors, "trixie-backports")]
    assert suites == ["trixie", "trixie-backports", "trixie-updates"]


def test_a_suite_is_a_name() -> None:
    with pytest.raises(PackageError, match="DM0720"):
        lines(DebianMirrors(("http://x",)), "trixie main\ndeb evil")


def test_a_keyring_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="DM0722"):
        lines(DebianMirrors(("http://x",), tmp_path / "none"))
