"""Outputs that `dolmen run` detects: disks for UEFI in containers, and erofs by its prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.booting import LIMIT, run_soundly
from support.cli import Dolmen
from support.guests import HOME, REPOSITORY, assemble, needs_qemu, system

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.boot,
    pytest.mark.whole,
    pytest.mark.timeout(int(8 * LIMIT)),
    needs_qemu,
]
FORMATS = "qcow2-efi,kernel+erofs"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a system that powers off; return the directory of its outputs."""
    out = tmp_path_factory.mktemp("outputs")
    path = out / "system.yml"
    path.write_text(system('onboot:\n  - name: speaker\n    image: SH "echo it works"\n'))
    assemble(path, out)
    (out / "system-initrd.img").unlink()
    dolmen = Dolmen(HOME)
    helpers = (REPOSITORY / "pkg" / name for name in ("bootloaders", "imagetools"))
    assert dolmen.run("pkg", "build", "--platforms", "linux/amd64", *helpers).returncode == 0
    done = dolmen.run("build", "--format", FORMATS, "--dir", out, path)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize("name", ["system", "system-efi.qcow2"])
def test_it_boots_without_options(built: Path, name: str, dolmen: Dolmen) -> None:
    words = ("--mem", "512", "--once", "--wait-for", "speaker: it works", "--timeout", "110s")
    done = run_soundly(dolmen, "run", built / name, *words)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
