"""What `dolmen build` writes boots: to what a service prints, not to the kernel alone."""

from __future__ import annotations

import random
import warnings
from typing import TYPE_CHECKING

import pytest

from boot.machines import Outputs, command, lacking
from boot.matrix import ROWS, Row
from support.cli import Dolmen
from support.guest import EMULATED, EmulatorCrashError, running
from support.guests import HOME, REPOSITORY, needs_qemu

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.boot, needs_qemu]

SAID = "marker: the service is up"
SYSTEM = f"""
kernel:
  image: "@pkg:{REPOSITORY}/kernel/virtual"
  cmdline: "console=ttyAMA0 console=ttyS0 {EMULATED} dolmen.output"
init: ["@pkg:{REPOSITORY}/pkg/init", "@pkg:{REPOSITORY}/pkg/crun"]
services:
  - name: marker
    image: "@pkg:{REPOSITORY}/pkg/dummy"
    command: [/usr/bin/sh, -c, "echo the service is up; sleep 1000"]
"""
LIMIT = 180.0
ATTEMPTS = 3


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give keys for Secure Boot."""
    home = tmp_path_factory.mktemp("keys")
    done = Dolmen(home).run("keys", "generate", home / "keys")
    assert done.returncode == 0, done.stderr
    return home / "keys"


def built(row: Row, keys: Path, folder: Path) -> Outputs:
    """Build what a row boots, with packages kept from one run to the next."""
    HOME.mkdir(parents=True, exist_ok=True)
    yaml = folder / "image.yml"
    yaml.write_text(SYSTEM.replace("dolmen.output", f"dolmen.output {row.cmdline}".rstrip()))
    if row.large:
        (folder / "noise").write_bytes(random.Random(1).randbytes(40 << 20))
        yaml.write_text(yaml.read_text() + "files: [{path: noise, source: noise}]\n")
    options = [o.replace("KEYS", str(keys)) for o in row.options]
    done = Dolmen(HOME).run(
        *("build", "--arch", row.architecture, "--format", row.format, "--dir", folder),
        *(*options, yaml),
    )
    if "error[DM0721]" in done.stderr:
        pytest.skip(f"Debian's archive cannot be used: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr
    return Outputs(folder, "image", keys)


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=row.name, marks=() if row.quick else pytest.mark.whole) for row in ROWS],
)
def test_a_format_boots(row: Row, keys: Path, tmp_path: Path) -> None:
    if why := lacking(row):
        pytest.skip(why)
    outputs = built(row, keys, tmp_path)
    for attempt in range(1, ATTEMPTS + 1):
        scratch = tmp_path / f"machine{attempt}"
        scratch.mkdir()
        try:
            with running(command(row, outputs, scratch)) as guest:
                guest.wait_for(row.expected or SAID, LIMIT)
                if row.expected:
                    assert "Linux version" not in guest.text()
        except EmulatorCrashError as error:
            if attempt == ATTEMPTS:
                raise
            warnings.warn(f"the emulator failed, again: {str(error)[-300:]}", stacklevel=1)
        else:
            return
