"""dolmen-update with a disk in a file; sgdisk, veritysetup and mtools say what is on it."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support.updates import Signer, check_slot, make_disk, make_release, write_identity, write_set

PACKAGE = Path(__file__).parents[3] / "pkg" / "update"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(map(shutil.which, ("go", "sgdisk", "veritysetup", "mformat"))),
        reason="Go, sgdisk, veritysetup or mtools is not installed",
    ),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "dolmen-update"
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    command = ("go", "build", "-buildvcs=false", "-o", path, ".")
    subprocess.run(command, cwd=PACKAGE, env=environment, check=True)
    return path


def arguments(directory: Path, disk: Path) -> list[str | Path]:
    etc = directory / "etc"
    return [
        *("apply", "--from", directory / "set", "--config", etc, "--cmdline", etc / "cmdline"),
        *("--disk", disk, "--esp", directory / "esp", "--state", directory / "state"),
    ]


def test_judges_find_the_release_however_often_it_was_killed(program: Path, tmp_path: Path) -> None:
    signer, one, two = Signer(), make_release(tmp_path, "1"), make_release(tmp_path, "2")
    write_identity(tmp_path / "etc", signer, one)
    write_set(tmp_path / "set", signer, one, two)
    linux = tmp_path / "esp" / "EFI" / "Linux"
    linux.mkdir(parents=True)
    (linux / "demo_1.efi").write_bytes(one.files["efi"])
    disk = tmp_path / "disk.img"
    make_disk(disk, one)
    command = (program, *arguments(tmp_path, disk))
    for seed in range(10):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        time.sleep(random.Random(seed).uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command, check=True, timeout=60)
    check_slot(disk, 0, one)
    check_slot(disk, 1, two)
    assert sorted(path.name for path in linux.iterdir()) == ["demo_1.efi", "demo_2+3.efi"]
    assert (linux / "demo_2+3.efi").read_bytes() == two.files["efi"]
