"""`dolmen build --format eif` from the command line, with and without a key."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from assembler.oci.store import Store
from support.enclaves import read_enclave
from support.formats import YAML, add_system

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen

SIGNING = ("--enclave-key", "enclave.key", "--enclave-cert", "enclave.crt")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Give a directory with a system, a store and a key."""
    add_system(Store(tmp_path / "store"))
    (tmp_path / "image.yml").write_text(YAML)
    openssl(tmp_path, "ecparam -name secp384r1 -genkey -noout -out enclave.key")
    openssl(tmp_path, "req -new -x509 -key enclave.key -subj /CN=one -days 9 -out enclave.crt")
    openssl(tmp_path, "req -new -x509 -key enclave.key -subj /CN=two -days 9 -out other.crt")
    return tmp_path


def openssl(folder: Path, words: str) -> None:
    """Run openssl in a directory."""
    subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True)


def build(dolmen: Dolmen, work: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Build the system for amd64."""
    command = ("--cache", work / "store", "build", "--offline", "--arch", "amd64", "--no-sbom")
    return dolmen.run(*command, *options, "image.yml", cwd=work)


def test_a_signed_enclave_image(dolmen: Dolmen, work: Path) -> None:
    done = build(dolmen, work, "--format", "eif", *SIGNING)
    assert done.returncode == 0, done.stderr
    found = read_enclave((work / "image.eif").read_bytes())
    for name in ("PCR0", "PCR1", "PCR2", "PCR8"):
        assert f"image.eif: {name} {found.pcrs[name]}" in done.stderr
    said = dolmen.run("inspect", "--json", work / "image.eif")
    shown = json.loads(said.stdout)
    assert {name: shown[name] for name in found.pcrs} == found.pcrs
    for name, code in (("enclave.crt", 0), ("other.crt", 1)):
        judged = dolmen.run("inspect", "--cert", work / name, work / "image.eif")
        assert judged.returncode == code, judged.stderr
    # A key is a source: another one builds again.
    again = build(dolmen, work, "--format", "eif", *SIGNING)
    assert "unchanged" in again.stderr
    (work / "enclave.crt").write_bytes((work / "other.crt").read_bytes())
    build(dolmen, work, "--format", "eif", *SIGNING)
    other = read_enclave((work / "image.eif").read_bytes())
    assert other.pcrs["PCR8"] != found.pcrs["PCR8"]


def test_a_key_without_an_enclave_image_is_refused(dolmen: Dolmen, work: Path) -> None:
    done = build(dolmen, work, "--format", "kernel+initrd", *SIGNING)
    assert done.returncode == 1
    assert "DM0641" in done.stderr
    assert "--enclave-key has no effect on kernel+initrd" in done.stderr
    half = build(dolmen, work, "--format", "eif", "--enclave-key", "enclave.key")
    assert half.returncode != 0
    assert "--enclave-key and --enclave-cert go together" in half.stderr
    assert not list(work.glob("image.eif*"))
