"""Hash trees of dm-verity and signatures of root hashes, with veritysetup and openssl as judges."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from assembler.media.keys import KeySetOptions, generate_keys, read_signer
from assembler.media.pkcs7 import detached_signature
from assembler.media.verity import (
    VERITY_BLOCK,
    VerityIdentity,
    VerityLayout,
    VerityWriter,
    root_hash_uuids,
    verity_capacity,
)

if TYPE_CHECKING:
    from assembler.media.authenticode import Signer

NOW = datetime(2026, 1, 1, tzinfo=UTC)
IDENTITY = VerityIdentity.of(b"seed")
needs_veritysetup = pytest.mark.skipif(
    not shutil.which("veritysetup", path="/usr/sbin:/usr/bin:/sbin"),
    reason="cryptsetup-bin is not installed",
)


def volume(blocks: int) -> bytes:
    """Return data whose blocks differ."""
    return b"".join(
        hashlib.sha256(b"%d" % number).digest() * (VERITY_BLOCK // 32) for number in range(blocks)
    )


def tree_of(data: bytes, path: Path, chunk: int = 1 << 20) -> bytes:
    """Write the tree of data to a file, and return its root hash."""
    with path.open("w+b") as file:
        writer = VerityWriter(file.fileno(), len(data), IDENTITY)
        for start in range(0, len(data), chunk):
            writer.update(data[start : start + chunk])
        return writer.finish()


def veritysetup(*words: object) -> subprocess.CompletedProcess[str]:
    """Run veritysetup."""
    found = shutil.which("veritysetup", path="/usr/sbin:/usr/bin:/sbin")
    assert found
    return subprocess.run(
        [found, *map(str, words)], capture_output=True, text=True, check=False, timeout=60
    )


@needs_veritysetup
@pytest.mark.parametrize(
    "blocks", [1, 2, 3, 127, 128, 129, 255, 4097, 128 * 128, 128 * 128 + 1, 16511]
)
def test_veritysetup_verifies_trees_of_each_depth(blocks: int, tmp_path: Path) -> None:
    data = volume(blocks)
    (tmp_path / "data").write_bytes(data)
    root = tree_of(data, tmp_path / "tree")
    assert (tmp_path / "tree").stat().st_size == verity_capacity(len(data))
    judged = veritysetup("verify", tmp_path / "data", tmp_path / "tree", root.hex())
    assert judged.returncode == 0, judged.stderr
    shown = veritysetup("dump", tmp_path / "tree").stdout
    assert str(IDENTITY.uuid) in shown
    assert IDENTITY.salt.hex() in shown
    assert f"Data blocks:     \t{blocks}\n" in shown


@needs_veritysetup
def test_veritysetup_makes_the_same_tree(tmp_path: Path) -> None:
    data = volume(300)
    (tmp_path / "data").write_bytes(data)
    root = tree_of(data, tmp_path / "ours")
    made = veritysetup(
        *("format", f"--salt={IDENTITY.salt.hex()}", f"--uuid={IDENTITY.uuid}"),
        *(tmp_path / "data", tmp_path / "theirs"),
    )
    assert root.hex() in made.stdout
    assert (tmp_path / "theirs").read_bytes() == (tmp_path / "ours").read_bytes()


@needs_veritysetup
def test_one_changed_bit_is_found(tmp_path: Path) -> None:
    data = bytearray(volume(200))
    root = tree_of(bytes(data), tmp_path / "tree")
    data[150 * VERITY_BLOCK + 7] ^= 1
    (tmp_path / "data").write_bytes(data)
    judged = veritysetup("verify", tmp_path / "data", tmp_path / "tree", root.hex())
    assert judged.returncode != 0
    assert f"Verification failed at position {150 * VERITY_BLOCK}" in judged.stderr


@settings(max_examples=60, deadline=None)
@given(size=st.integers(0, 300 * VERITY_BLOCK), chunk=st.integers(1, 40_000))
def test_chunks_and_padding_do_not_change_the_tree(size: int, chunk: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = (hashlib.sha256(b"%d" % size).digest() * (size // 32 + 1))[:size]
        padded = data + bytes(-size % VERITY_BLOCK) or bytes(VERITY_BLOCK)
        assert tree_of(data, folder / "a", max(chunk, size // 100)) == tree_of(padded, folder / "b")
        assert (folder / "a").read_bytes() == (folder / "b").read_bytes()


@settings(max_examples=200)
@given(st.integers(1, 1 << 50), st.integers(1, 1 << 50))
def test_the_room_for_trees_grows_with_the_data(one: int, two: int) -> None:
    small, large = sorted((one, two))
    assert verity_capacity(small) <= verity_capacity(large)
    layout = VerityLayout.of(large)
    places = [layout.first_block(level) for level in range(len(layout.levels))]
    assert places == sorted(places, reverse=True)
    assert not layout.levels or layout.levels[-1] == 1


def test_data_that_is_cut_short_has_no_tree(tmp_path: Path) -> None:
    with (tmp_path / "tree").open("w+b") as file:
        writer = VerityWriter(file.fileno(), 2 * VERITY_BLOCK, IDENTITY)
        writer.update(bytes(VERITY_BLOCK))
        with pytest.raises(ValueError, match="4096 bytes instead of 8192"):
            writer.finish()


def test_the_partitions_have_the_halves_of_the_root_hash() -> None:
    first, second = root_hash_uuids(bytes(range(32)))
    assert first == uuid.UUID("00010203-0405-0607-0809-0a0b0c0d0e0f")
    assert second == uuid.UUID("10111213-1415-1617-1819-1a1b1c1d1e1f")


class FileSigner:
    """A key in a file, as a signer of digests."""

    def __init__(self, signer: Signer) -> None:
        """Take the key and the certificate."""
        self._key = signer.key
        self.certificate = signer.certificate.public_bytes(Encoding.DER)

    def sign(self, digest: bytes) -> bytes:
        """Sign a digest."""
        return self._key.sign(digest, padding.PKCS1v15(), utils.Prehashed(SHA256()))


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_openssl_verifies_the_signature_of_a_root_hash(tmp_path: Path) -> None:
    generate_keys(tmp_path / "keys", KeySetOptions("Test", NOW))
    signer = FileSigner(
        read_signer(tmp_path / "keys" / "db.key", tmp_path / "keys" / "db.crt", lambda: "")
    )
    content = bytes(range(32)).hex().encode()
    signature = detached_signature(content, signer)
    assert signature == detached_signature(content, signer)
    (tmp_path / "p7s").write_bytes(signature)

    def verify(text: bytes) -> subprocess.CompletedProcess[bytes]:
        (tmp_path / "content").write_bytes(text)
        return subprocess.run(
            [
                *("openssl", "smime", "-verify", "-noverify", "-binary", "-inform", "der"),
                *("-in", tmp_path / "p7s", "-content", tmp_path / "content"),
            ],
            capture_output=True,
            check=False,
            timeout=60,
        )

    judged = verify(content)
    assert judged.returncode == 0, judged.stderr
    assert judged.stdout == content
    assert verify(content.upper()).returncode != 0
    # The kernel refuses signatures with attributes over the content type "data".
    shown = subprocess.run(
        ["openssl", "asn1parse", "-inform", "der", "-in", tmp_path / "p7s"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert "pkcs7-signedData" in shown
    assert "contentType" not in shown
    made = subprocess.run(
        [
            *("openssl", "smime", "-sign", "-noattr", "-binary", "-outform", "der", "-nocerts"),
            *("-md", "sha256", "-in", tmp_path / "content"),
            *("-signer", tmp_path / "keys" / "db.crt", "-inkey", tmp_path / "keys" / "db.key"),
        ],
        input=b"",
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout
    assert made[-256:] == detached_signature(content.upper(), signer)[-256:]
