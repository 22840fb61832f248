"""A user builds a verified system: the format by itself, the programs of imagetools, refusals."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.cli import Dolmen
from support.guests import HOME, REPOSITORY, needs_qemu

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, needs_qemu]

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
YAML = f"""
kernel: {{image: "@pkg:{REPOSITORY}/kernel/virtual", cmdline: console=ttyS0}}
init: ["@pkg:{REPOSITORY}/pkg/init", "@pkg:{REPOSITORY}/pkg/crun"]
volumes:
  - {{name: seed, image: "@pkg:{REPOSITORY}/pkg/dummy"}}
verified: {{version: "2.1"}}
disk:
  data:
    - {{label: data, size: 24M, volume: seed}}
"""


def build(
    folder: Path, *options: object, env: dict[str, str] | None = None, umask: int = -1
) -> subprocess.CompletedProcess[str]:
    """Build a verified system in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    HOME.mkdir(parents=True, exist_ok=True)
    (folder / "image.yml").write_text(YAML)
    return subprocess.run(
        [sys.executable, "-m", "dolmen", "build", "--force", *map(str, options), "image.yml"],
        cwd=folder,
        env=Dolmen(HOME).environment(env),
        umask=umask,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def digests(folder: Path) -> dict[str, str]:
    """Return the digests of all outputs."""
    paths = [*folder.glob("*.img"), *folder.glob("*-update/*")]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the keys of a release."""
    folder = tmp_path_factory.mktemp("keys") / "set"
    made = [sys.executable, "-m", "dolmen", "keys", "generate", folder]
    subprocess.run(made, check=True, capture_output=True, env=Dolmen(HOME).environment())
    curve = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"]
    subprocess.run([*curve, "-out", folder / "update.key"], check=True, capture_output=True)
    return folder


@pytest.mark.skipif(not shutil.which("veritysetup", path=PATH), reason="no cryptsetup-bin")
def test_the_same_system_has_the_same_bytes_elsewhere(tmp_path: Path, keys: Path) -> None:
    first = build(tmp_path / "a", "--keys", keys)
    if "error[DM0721]" in first.stderr:
        pytest.skip(f"Debian's archive cannot be used: {first.stderr[-300:]}")
    assert first.returncode == 0, first.stderr
    elsewhere = {"TZ": "Asia/Tokyo", "LC_ALL": "C", "SOURCE_DATE_EPOCH": "5"}
    second = build(tmp_path / "b" / "c", "--keys", keys, "--jobs", 1, env=elsewhere, umask=0o077)
    assert second.returncode == 0, second.stderr
    made = digests(tmp_path / "a")
    assert set(made) == {
        "image-verified.img",
        *(f"image-update/image_2.1_amd64.{role}" for role in ("root", "verity", "efi")),
        *("image-update/index.json", "image-update/SHA256SUMS"),
    }
    assert digests(tmp_path / "b" / "c") == made
    root, tree = (tmp_path / "a" / f"image-update/image_2.1_amd64.{r}" for r in ("root", "verity"))
    program = (tmp_path / "a" / "image-update" / "image_2.1_amd64.efi").read_bytes()
    start = program.index(b" roothash=") + len(b" roothash=")
    words = ["veritysetup", "verify", root, tree, program[start : start + 64].decode()]
    judged = subprocess.run(words, capture_output=True, check=False, env={"PATH": PATH})
    assert judged.returncode == 0, judged.stderr
    disk = (tmp_path / "a" / "image-verified.img").read_bytes()
    # The last partition: an ext4 with the volume's files.
    (tmp_path / "data").write_bytes(disk[-25 << 20 : -1 << 20])
    checked = subprocess.run(
        ["e2fsck", "-fn", tmp_path / "data"], capture_output=True, check=False, env={"PATH": PATH}
    )
    assert checked.returncode == 0, checked.stdout
    listed = subprocess.run(
        ["debugfs", "-R", "ls -p /etc", tmp_path / "data"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": PATH},
    )
    assert "/hosts/" in listed.stdout


def test_without_keys_nothing_is_written(tmp_path: Path) -> None:
    done = build(tmp_path)
    if "error[DM0721]" in done.stderr:
        pytest.skip(f"Debian's archive cannot be used: {done.stderr[-300:]}")
    assert done.returncode != 0
    assert "error[DM0643]: a verified system is signed, and no keys are named" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["image.yml"]


def test_a_file_named_as_directory_of_keys_is_refused(tmp_path: Path) -> None:
    done = build(tmp_path, "--keys", "nowhere")
    assert done.returncode != 0
    assert "--keys: there is no directory nowhere" in done.stderr
