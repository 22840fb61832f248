"""The PCRs of a machine that has booted are those that were predicted."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import warnings
from typing import TYPE_CHECKING

import pytest

from assembler.machine import find_firmware
from support.booting import LIMIT, run_soundly
from support.cli import Dolmen
from support.guest import EMULATED
from support.guests import HOME, assemble, needs_qemu, system

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.boot,
    needs_qemu,
    pytest.mark.timeout(int(6 * LIMIT)),
    pytest.mark.skipif(not shutil.which("swtpm"), reason="swtpm is not installed"),
    pytest.mark.skipif(
        find_firmware("amd64", secure=True) is None, reason="no firmware knows Secure Boot here"
    ),
]
SERVICE = """
services:
  - name: measured
    image: SH "for n in 4 5 7 9 11 12; do echo PCR $n is $(cat /sys/class/tpm/tpm0/pcr-sha256/$n); done; echo that is all; sleep 1000"
"""  # noqa: E501 - a line of YAML
SUFFIXES = {"uki": ".efi", "raw-efi": "-efi.img", "raw": ".img", "iso-efi": "-efi.iso"}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give keys for Secure Boot."""
    folder = tmp_path_factory.mktemp("keys") / "set"
    Dolmen(folder.parent).run("keys", "generate", folder, check=True)
    make = ("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
    subprocess.run((*make, "-out", folder / "pcr.key"), check=True, capture_output=True)
    return folder


def registers_of(dolmen: Dolmen, image: Path, *words: str | Path) -> dict[int, str]:
    """Boot an image, and return what the guest says."""
    wait = ("--mem", "512", "--tpm", "--timeout", "200s", "--once")
    command = ("run", "qemu", image, *words, *wait, "--wait-for", "measured: that is all")
    done = run_soundly(dolmen, *command)
    for _ in range(2):
        # Now and then the emulated timer stands still on a busy host.
        if done.returncode != 3 or "Run /init" in done.stdout:
            break
        warnings.warn(f"the kernel did not come up: {done.stdout[-300:]}", stacklevel=1)
        done = run_soundly(dolmen, *command)
    assert done.returncode == 0, done.stderr
    found = re.findall(r"PCR (\d+) is ([0-9A-F]{64})", done.stdout)
    return {int(number): value.lower() for number, value in found}


@pytest.mark.parametrize(
    ("name", "secure"),
    [
        pytest.param("raw-efi", True, id="raw-efi-secure"),
        pytest.param("raw-efi", False, id="raw-efi", marks=pytest.mark.whole),
        pytest.param("uki", True, id="uki-secure", marks=pytest.mark.whole),
        pytest.param("uki", False, id="uki", marks=pytest.mark.whole),
        # The boot loader, and kernel and initrd as files.
        pytest.param("raw", False, id="raw", marks=pytest.mark.whole),
        pytest.param("iso-efi", False, id="iso-efi", marks=pytest.mark.whole),
    ],
)
def test_a_machine_measures_what_was_predicted(
    dolmen: Dolmen, keys: Path, tmp_path: Path, name: str, *, secure: bool
) -> None:
    yaml = tmp_path / "image.yml"
    yaml.write_text(system(SERVICE).replace("console=ttyS0", f"console=ttyS0 {EMULATED}"))
    assemble(yaml, tmp_path)
    signing: tuple[str | Path, ...] = ()
    if secure:
        # The policy of PCR 11 becomes part of the initrd.
        signing = ("--secure-boot-key", keys / "db.key", "--secure-boot-cert", keys / "db.crt")
        signing = (*signing, "--pcr-key", keys / "pcr.key")
    words = ("build", "--format", name, *signing, "--dir", tmp_path, yaml)
    built = Dolmen(HOME).run(*words)
    assert built.returncode == 0, built.stderr
    image = tmp_path / f"image{SUFFIXES[name]}"
    firmware = find_firmware("amd64")
    assert firmware is not None
    assert firmware.variables is not None
    known: tuple[str | Path, ...] = ("--vars", firmware.variables)
    if secure:
        known = ("--secure-boot-keys", keys)
    told = dolmen.run("pcrs", "--json", *known, image)
    assert told.returncode == 0, told.stderr
    (state,) = json.loads(told.stdout)["images"][0]["states"]
    predicted = {r["pcr"]: r.get("value") for r in state["registers"]}
    assert state["secureBoot"] is secure
    # The partition table of a program alone is not known.
    unknown = {5} if name == "uki" else set()
    assert {number for number, value in predicted.items() if value is None} == unknown
    assert set(predicted) == {4, 5, 7, 9, 11, 12}
    measured = registers_of(dolmen, image, *(known if secure else ("--uefi",)))
    assert set(measured) == set(predicted)
    assert {n: v for n, v in measured.items() if n not in unknown} == {
        n: v for n, v in predicted.items() if n not in unknown
    }
