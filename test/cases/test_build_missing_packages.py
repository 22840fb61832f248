"""A user builds an image, and its missing local packages are built first."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen

pytestmark = pytest.mark.slow

IMAGE = """
init: ["@pkg:./pkg/one"]
onboot:
- {name: two, image: "@pkg:./pkg/two"}
"""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Give an image.yml and two packages, in git."""
    work = tmp_path / "work"
    for name in ("one", "two"):
        package = work / "pkg" / name
        package.mkdir(parents=True)
        (package / "build.yml").write_text(f"image: {name}\norg: example\narches: [amd64]\n")
        (package / "Dockerfile").write_text('FROM scratch\nCOPY file /\nCMD ["/file"]\n')
        (package / "file").write_text(name)
    (work / "image.yml").write_text(IMAGE)
    git = ["git", "-c", "user.name=n", "-c", "user.email=e"]
    for words in (["init", "-q", "."], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *words], cwd=work, check=True)
    return work


def build(dolmen: Dolmen, work: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Build a tar of the image for amd64, with no socket opened."""
    options = ("--offline", "--arch", "amd64", "--format", "tar", "--no-sbom", "--dir", work)
    return dolmen.run("build", *options, *words, work / "image.yml")


def test_packages_that_are_missing_are_built(dolmen: Dolmen, work: Path) -> None:
    done = build(dolmen, work)
    assert done.returncode == 0, done.stderr
    with tarfile.open(work / "image.tar") as tar:
        names = tar.getnames()
    assert "file" in names
    assert any(n.endswith(("two/rootfs/file", "two/lower/file")) for n in names)
    # A change of a package is a change of the image.
    (work / "pkg" / "one" / "file").write_text("changed")
    done = build(dolmen, work)
    assert done.returncode == 0, done.stderr
    assert "built" in done.stderr
    with tarfile.open(work / "image.tar") as tar:
        content = tar.extractfile("file")
        assert content is not None
        assert content.read() == b"changed"
    # What is there is not built again.
    assert "built" not in build(dolmen, work, "--force").stderr


@pytest.mark.parametrize("commands", [[], [["init", "-q", "."]]], ids=["outside", "no-commit"])
def test_a_changed_package_that_no_commit_has_is_built(
    dolmen: Dolmen, work: Path, commands: list[list[str]]
) -> None:
    shutil.rmtree(work / ".git")
    for words in commands:
        subprocess.run(["git", *words], cwd=work, check=True)
    package = work / "pkg" / "one"
    for text in ("first", "second"):
        (package / "file").write_text(text)
        done = build(dolmen, work)
        assert done.returncode == 0, done.stderr
        assert "built" in done.stderr
        with tarfile.open(work / "image.tar") as tar:
            content = tar.extractfile("file")
            assert content is not None
            assert content.read() == text.encode()
    assert "built" not in build(dolmen, work, "--force").stderr
    # All commands give the package the same name, and none builds it again.
    name = dolmen.run("pkg", "show-tag", package).stdout
    done = dolmen.run("pkg", "build", "--offline", package)
    assert (done.returncode, done.stdout) == (0, name), done.stderr
    assert "up to date" in done.stderr
    assert name.strip() in dolmen.run("pkg", "inputs", package).stdout


def test_no_build_missing_builds_no_packages(dolmen: Dolmen, work: Path) -> None:
    done = build(dolmen, work, "--no-build-missing")
    assert done.returncode == 1
    assert "image.yml:2:" in done.stderr
    assert "is not in the store" in done.stderr


def test_a_package_that_cannot_be_built(dolmen: Dolmen, work: Path) -> None:
    (work / "pkg" / "two" / "Dockerfile").write_text("FROM scratch\nCOPY nothing /\n")
    done = build(dolmen, work)
    assert done.returncode == 1
    assert "Dockerfile:2:6" in done.stderr
    assert not (work / "image.tar").exists()


def test_registries_are_not_contacted_for_local_packages(dolmen: Dolmen, work: Path) -> None:
    # A registry that nobody answers at: whoever asks it fails.
    for name in ("one", "two"):
        text = f"image: {name}\norg: 127.0.0.1:9/example\narches: [amd64]\n"
        (work / "pkg" / name / "build.yml").write_text(text)
    volume = 'volumes: [{name: v, format: oci, image: "@pkg:./pkg/two", platforms: [amd64]}]\n'
    (work / "image.yml").write_text(IMAGE + volume)
    assert build(dolmen, work).returncode == 0
    options = ("--arch", "amd64", "--format", "tar", "--no-sbom", "--dir", work, "--force")
    done = dolmen.run("build", "--pull", *options, work / "image.yml")
    assert done.returncode == 0, done.stderr
    (work / "image.yml").write_text("init: ['127.0.0.1:9/example/other:1']\n")
    assert dolmen.run("build", "--pull", *options, work / "image.yml").returncode == 1
