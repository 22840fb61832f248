"""Command lines in scripts for LinuxKit work."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.version import __version__

if TYPE_CHECKING:
    from support.cli import Dolmen


@pytest.fixture
def package(dolmen: Dolmen) -> Path:
    """Give a package outside of git."""
    directory = dolmen.home / "tool"
    directory.mkdir()
    (directory / "build.yml").write_text("image: tool\n")
    (directory / "Dockerfile").write_text("FROM scratch\n")
    return directory


def test_options_may_precede_the_command_of_pkg(dolmen: Dolmen, package: Path) -> None:
    for words in (
        ("--org", "mine", "--tag=1", "show-tag"),
        ("--org=mine", "show-tag", "--tag", "1"),
        ("--force-dirty=false", "--tag", "1", "show-tag", "--org", "mine"),
    ):
        shown = dolmen.run("pkg", *words, package)
        assert (shown.returncode, shown.stdout) == (0, "mine/tool:1\n"), shown.stderr
    for words in (("--orgs", "mine", "show-tag"), ("--push", "show-tag")):
        assert dolmen.run("pkg", *words, package).returncode == 2


def test_options_may_precede_the_image_of_run(dolmen: Dolmen) -> None:
    for words in (
        ("--disk", "size=1M", "--uefi", "missing"),
        ("missing",),
        ("--cpus=2", "qemu", "missing"),
        ("-detached", "missing", "--mem", "64"),
    ):
        failed = dolmen.run("run", *words, cwd=dolmen.home)
        assert failed.returncode == 1, failed.stderr
        assert "missing" in failed.stderr
    wrong = dolmen.run("run", "--no-such", "missing")
    assert wrong.returncode == 2
    assert "no such option: --no-such" in wrong.stderr


def test_the_version_and_the_commit_alone(dolmen: Dolmen) -> None:
    assert dolmen.run("version", "--short").stdout == f"{__version__}\n"
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert dolmen.run("version", "--commit").stdout == head.stdout
    without_git = dolmen.run("version", "--commit", env={"PATH": "/nonexistent"})
    assert (without_git.returncode, without_git.stdout) == (0, "unknown\n")


def test_help_is_a_command(dolmen: Dolmen) -> None:
    shown = dolmen.run("help", "cache", "ls")
    assert (shown.returncode, shown.stdout) == (0, dolmen.run("cache", "ls", "--help").stdout)
    assert dolmen.run("help").stdout == dolmen.run("--help").stdout
    assert dolmen.run("help", "nothing").returncode == 2


def test_help_and_errors_of_groups_are_unchanged(dolmen: Dolmen) -> None:
    for group in ("pkg", "run"):
        assert dolmen.run(group, "--help").stdout.startswith(f"Usage: dolmen {group}")
        assert dolmen.run(group).returncode == 2
