"""The keys of Debian's archives that come with Dolmen."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import pytest
from pysequoia import Cert

from assembler.codes import packages
from assembler.debian import DebianOptions, find_host_sources, sources
from assembler.debian.archives import signatures
from assembler.debian.sources import INSTALLED_KEYRING, SHIPPED_KEYRING, DebianMirrors
from assembler.errors import DolmenError
from conftest import REPOSITORY
from support.debian import Key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPEC = "https://mirror.example.com/debian"
RELEASES = ("bookworm", "trixie")


def certificates(data: bytes) -> Iterator[Cert]:
    yield from Cert.split_bytes(data)


def shipped() -> dict[str, Cert]:
    return {cert.fingerprint: cert for cert in certificates(SHIPPED_KEYRING.read_bytes())}


def test_they_are_those_of_debians_package() -> None:
    if not INSTALLED_KEYRING.is_file():
        pytest.skip("debian-archive-keyring is not installed")
    installed = {
        cert.fingerprint: str(cert.user_ids[0])
        for cert in certificates(INSTALLED_KEYRING.read_bytes())
    }
    wanted = {f for f, name in installed.items() if any(f"/{r})" in name for r in RELEASES)}

    assert len(wanted) == 6
    assert set(shipped()) == wanted


def test_they_are_text() -> None:
    text = SHIPPED_KEYRING.read_text("ascii")
    assert text.startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----\n")


def test_the_documents_list_their_fingerprints() -> None:
    text = (REPOSITORY / "docs" / "reference-packages.md").read_text().replace(" ", "").lower()
    assert [f for f in shipped() if f not in text] == []


def test_a_host_without_a_keyring_uses_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "INSTALLED_KEYRING", tmp_path / "missing.gpg")
    (entry,) = DebianMirrors((SPEC,)).entries("trixie", ("main",))
    assert entry.signed_by == str(SHIPPED_KEYRING)
    assert find_host_sources(DebianOptions((SPEC,))).shipped

    (entry,) = DebianMirrors((f"[trusted=yes] {SPEC}",)).entries("trixie", ("main",))
    assert entry.signed_by == ""
    (entry,) = DebianMirrors((f"[signed-by=/own.gpg] {SPEC}",)).entries("trixie", ("main",))
    assert entry.signed_by == "/own.gpg"
    own = Key().keyring(tmp_path / "own.gpg")
    (entry,) = DebianMirrors((SPEC,), own).entries("trixie", ("main",))
    assert entry.signed_by == str(own)


def test_an_installed_keyring_precedes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = Key().keyring(tmp_path / "installed.gpg")
    monkeypatch.setattr(sources, "INSTALLED_KEYRING", installed)
    (entry,) = DebianMirrors((SPEC,)).entries("trixie", ("main",))
    assert entry.signed_by == str(installed)
    assert not find_host_sources(DebianOptions((SPEC,))).shipped


@pytest.mark.skipif(not shutil.which("gpgv"), reason="gpgv is not installed")
@pytest.mark.parametrize("header", ["", "Version: 1\nComment: a b\n"])
def test_gpgv_reads_armored_keys(
    header: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = Key()
    keyring = tmp_path / "keys.asc"
    begin = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n"
    armored = str(Cert.from_bytes(key.keyring(tmp_path / "keys.gpg").read_bytes()))
    assert armored.startswith(begin)
    keyring.write_text(armored.replace(begin, begin + header))
    own, foreign = key.signed(b"text\n"), Key().signed(b"text\n")
    monkeypatch.setitem(sys.modules, "pysequoia", None)

    assert signatures.verify_inline_signature(own, [keyring], "x").strip() == b"text"
    with pytest.raises(DolmenError) as caught:
        signatures.verify_inline_signature(foreign, [keyring], "x")
    assert caught.value.diagnostics[0].code is packages.BAD_SIGNATURE
    # The ones in Dolmen are read, too, and have not signed this.
    with pytest.raises(DolmenError) as caught:
        signatures.verify_inline_signature(own, [SHIPPED_KEYRING], "x")
    assert "No public key" in caught.value.diagnostics[0].message

    keyring.write_text(begin + "\nAAA\n")
    with pytest.raises(DolmenError) as caught:
        signatures.verify_inline_signature(own, [keyring], "x")
    assert caught.value.diagnostics[0].code is packages.NO_KEYRING
