"""A user predicts PCRs, signs policies of PCR 11, and compares what a machine has measured."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from assembler.media import parse_pe_headers
from assembler.oci.store import Store
from support.archives import E, directory, image
from support.cli import Dolmen
from support.guests import HOME
from support.workloads import BOOTLOADERS, add_boot_images

if TYPE_CHECKING:
    from pathlib import Path

YAML = """
kernel: {image: 'made/kernel:1', tar: none, cmdline: 'console=ttyS0 quiet'}
init: ['made/root:1']
"""
OPTIONS = ("--offline", "--arch", "amd64", "--no-sbom", "--bootloaders", BOOTLOADERS)
JUDGE = """
image: measure
org: test
arches: [amd64]
debs:
  suite: trixie
  packages: [systemd, libtss2-esys-3.0.2-0t64, libtss2-rc0t64, libtss2-mu-4.0.1-0t64]
"""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Give a directory with image.yml, a PCR key, and a store with its images."""
    work = tmp_path / "work"
    work.mkdir()
    store = Store(work / "store")
    image(store, "made/root:1", (directory("etc"), E("init", b"#!/bin/sh\n", mode=0o755)))
    add_boot_images(store)
    (work / "image.yml").write_text(YAML)
    make = ("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
    subprocess.run((*make, "-out", work / "pcr.key"), check=True, capture_output=True)
    return work


def build(dolmen: Dolmen, work: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return dolmen.run("--cache", work / "store", "build", *OPTIONS, *words, "image.yml", cwd=work)


def sections_of(path: Path) -> dict[str, bytes]:
    data = path.read_bytes()
    found = parse_pe_headers(data, "it").sections
    return {s.name: data[s.offset : s.offset + s.size] for s in found}


def test_predictions_are_beside_the_outputs(dolmen: Dolmen, work: Path) -> None:
    done = build(dolmen, work, "--format", "uki,raw-efi,kernel+initrd")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "image-pcrs.json"
    path = work / "image-pcrs.json"
    document = json.loads(path.read_text())
    assert [i["image"] for i in document["images"]] == ["image-efi.img", "image.efi"]
    told = dolmen.run("pcrs", "--json", work / "image.efi")
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["images"] == document["images"][1:]
    before = path.read_bytes()
    path.unlink()
    assert build(dolmen, work, "--force", "--format", "raw-efi,uki").returncode == 0
    assert path.read_bytes() == before
    again = build(dolmen, work, "--format", "raw-efi,uki")
    assert "unchanged" in again.stderr
    other = build(dolmen, work, "--format", "kernel+initrd", "--name", "other")
    assert other.returncode == 0, other.stderr
    assert not (work / "other-pcrs.json").exists()


def test_a_policy_is_signed_into_the_program(dolmen: Dolmen, work: Path) -> None:
    done = build(dolmen, work, "--format", "uki", "--pcr-key", "pcr.key")
    assert done.returncode == 0, done.stderr
    sections = sections_of(work / "image.efi")
    public = subprocess.run(
        ("openssl", "pkey", "-in", work / "pcr.key", "-pubout"), check=True, capture_output=True
    )
    assert sections[".pcrpkey"] == public.stdout
    (entry,) = json.loads(sections[".pcrsig"])["sha256"]
    assert entry["pcrs"] == [11]
    first = (work / "image.efi").read_bytes()
    assert build(dolmen, work, "--force", "--format", "uki", "--pcr-key", "pcr.key").returncode == 0
    assert (work / "image.efi").read_bytes() == first
    # Another key is another result, and none is the program without these sections.
    assert build(dolmen, work, "--format", "uki").returncode == 0
    assert ".pcrsig" not in sections_of(work / "image.efi")


def test_a_key_without_effect_is_refused(dolmen: Dolmen, work: Path) -> None:
    done = build(dolmen, work, "--format", "kernel+initrd", "--pcr-key", "pcr.key")
    assert done.returncode == 1
    assert "DM1106" in done.stderr
    # Its kernel is a file unless it is signed.
    assert build(dolmen, work, "--format", "raw", "--pcr-key", "pcr.key").returncode == 1
    (work / "bad.key").write_text("no key")
    done = build(dolmen, work, "--format", "uki", "--pcr-key", "bad.key")
    assert done.returncode == 1
    assert "DM1104" in done.stderr
    assert not (work / "image.efi").exists()


def test_options_of_predictions(dolmen: Dolmen, work: Path) -> None:
    keys = work / "keys"
    dolmen.run("keys", "generate", keys, check=True)
    signing = ("--secure-boot-key", "keys/db.key", "--secure-boot-cert", "keys/db.crt")
    assert build(dolmen, work, "--format", "uki", *signing).returncode == 0
    program = work / "image.efi"
    told = dolmen.run("pcrs", "--events", "--secure-boot-keys", keys, program)
    assert told.returncode == 0, told.stderr
    assert "with Secure Boot on:" in told.stdout
    assert "EV_EFI_VARIABLE_AUTHORITY  db, which verifies unified kernel image" in told.stdout
    both = dolmen.run("pcrs", "--pcrlock", work / "x.pcrlock", program)
    assert both.returncode == 2
    assert "DM1105" in both.stderr
    locked = dolmen.run("pcrs", "--no-secure-boot", "--pcrlock", work / "x.pcrlock", program)
    assert locked.returncode == 0, locked.stderr
    assert json.loads((work / "x.pcrlock").read_text())["records"] == []
    (work / "log").write_bytes(b"no log")
    words = ("pcrs", "--no-secure-boot", "--event-log", work / "log", program)
    assert "DM1107" in dolmen.run(*words).stderr
    contrary = ("pcrs", "--vars", program, "--secure-boot-keys", keys, program)
    assert dolmen.run(*contrary).returncode == 2
    assert "DM1102" in dolmen.run("pcrs", "--vars", program, program).stderr
    assert dolmen.run("pcrs", work / "image.yml").returncode == 1


@pytest.mark.slow
@pytest.mark.whole
@pytest.mark.skipif(not shutil.which("apt-get"), reason="apt-get is not installed")
def test_policies_are_those_of_systemd_measure(dolmen: Dolmen, work: Path) -> None:
    """Systemd's own program runs by the loader and the libraries that are unpacked beside it."""
    (work / "measure").mkdir()
    (work / "measure" / "build.yml").write_text(JUDGE)
    HOME.mkdir(parents=True, exist_ok=True)
    home = Dolmen(HOME)
    made = home.run("pkg", "build", "--tag", "latest", work / "measure")
    if "error[DM0721]" in made.stderr:
        pytest.skip(f"Debian's archive cannot be used: {made.stderr[-300:]}")
    assert made.returncode == 0, made.stderr
    tar = ("--format", "filesystem", "--outfile", work / "root.tar")
    home.run("cache", "export", "test/measure:latest", *tar, check=True)
    root = work / "root"
    root.mkdir()
    subprocess.run(("tar", "xf", work / "root.tar", "-C", root), check=True)
    assert build(dolmen, work, "--format", "uki", "--pcr-key", "pcr.key").returncode == 0
    sections = sections_of(work / "image.efi")
    words: list[str | Path] = []
    for name in (".linux", ".osrel", ".cmdline", ".initrd", ".uname", ".pcrpkey"):
        path = work / f"section{name}"
        path.write_bytes(sections[name])
        words.append(f"--{name[1:]}={path}")
    libraries = root / "usr" / "lib" / "x86_64-linux-gnu"
    said = subprocess.run(
        (
            *(libraries / "ld-linux-x86-64.so.2", "--library-path"),
            *(f"{libraries}:{libraries / 'systemd'}", root / "usr/lib/systemd/systemd-measure"),
            *("sign", "--bank=sha256", "--phase=:", *words),
            *(f"--private-key={work / 'pcr.key'}", f"--public-key={work / 'section.pcrpkey'}"),
        ),
        capture_output=True,
        check=True,
    ).stdout
    assert json.loads(said) == json.loads(sections[".pcrsig"])
