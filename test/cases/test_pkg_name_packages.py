"""A user prints the names of packages before building them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.cli import Dolmen

pytestmark = pytest.mark.slow

GIT = shutil.which("git") or "git"
PKGTAGS = Path(__file__).parent.parent / "conformance" / "pkgtags" / "check.py"


def git(directory: Path, *arguments: str) -> None:
    environment = {
        **os.environ,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        **{
            f"GIT_{who}_{what}": "x"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        },
    }
    subprocess.run([GIT, *arguments], cwd=directory, env=environment, check=True)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Give a repository with a package in it, committed."""
    work = tmp_path / "work"
    (work / "tool").mkdir(parents=True)
    (work / "tool" / "build.yml").write_text("image: tool\norg: example\n")
    (work / "tool" / "Dockerfile").write_text("FROM scratch\n")
    git(work, "init", "-q", ".")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "one")
    return work


@pytest.mark.slow
def test_all_names_are_those_of_linuxkit() -> None:
    command = f"{sys.executable} -m dolmen"
    done = subprocess.run(
        [sys.executable, PKGTAGS, command], capture_output=True, text=True, check=True
    )
    count, _, of, *_ = done.stdout.splitlines()[-1].split()
    assert (count, int(of) > 50) == (of, True), done.stdout


def test_the_name_depends_on_the_tree(dolmen: Dolmen, work: Path) -> None:
    tree = subprocess.run(
        [GIT, "rev-parse", "HEAD:tool"], cwd=work, capture_output=True, text=True, check=True
    ).stdout.strip()
    done = dolmen.run("pkg", "show-tag", "tool", cwd=work)
    assert (done.returncode, done.stdout) == (0, f"example/tool:{tree}\n")
    (work / "tool" / "new").write_text("x")
    dirty = dolmen.run("pkg", "show-tag", "tool", cwd=work).stdout
    assert dirty.startswith(f"example/tool:{tree}-dirty-")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "two")
    committed = dolmen.run("pkg", "show-tag", "tool", cwd=work).stdout
    assert committed not in (done.stdout, dirty)
    assert "dirty" not in committed


def test_another_repository_in_a_package(dolmen: Dolmen, work: Path) -> None:
    git(work, "init", "-q", "tool/nested")
    (work / "tool" / "nested" / "x").write_text("x")
    for command in ("show-tag", "inputs"):
        done = dolmen.run("pkg", command, "tool", cwd=work)
        assert done.returncode == 0, done.stderr
        assert "-dirty-" in done.stdout


def test_a_release_needs_a_clean_tree(dolmen: Dolmen, work: Path) -> None:
    done = dolmen.run("pkg", "show-tag", "--canonical", "--release", "v1.0", "tool", cwd=work)
    assert done.stdout == "docker.io/example/tool:v1.0\n"
    (work / "tool" / "Dockerfile").write_text("FROM other\n")
    refused = dolmen.run("pkg", "show-tag", "--release", "v1.0", "tool", cwd=work)
    assert refused.returncode == 1
    assert "DM0709" in refused.stderr
    assert refused.stdout == ""


def test_an_organisation_comes_from_the_environment(dolmen: Dolmen, work: Path) -> None:
    for name in ("DOLMEN_PKG_ORG", "LINUXKIT_PKG_ORG"):
        done = dolmen.run("pkg", "show-tag", "tool", cwd=work, env={name: "ours"})
        assert done.stdout.startswith("ours/tool:")
    done = dolmen.run(
        "pkg", "show-tag", "--org", "given", "tool", cwd=work, env={"DOLMEN_PKG_ORG": "ours"}
    )
    assert done.stdout.startswith("given/tool:")


def test_naming_changes_nothing_in_the_repository(dolmen: Dolmen, work: Path) -> None:
    index = work / ".git" / "index"
    before = (index.read_bytes(), index.stat().st_mtime_ns, sorted((work / ".git").iterdir()))
    os.utime(work / "tool" / "Dockerfile", (1, 1))
    assert dolmen.run("pkg", "show-tag", "tool", cwd=work).returncode == 0
    after = (index.read_bytes(), index.stat().st_mtime_ns, sorted((work / ".git").iterdir()))
    assert after == before


def test_the_repository_is_that_of_the_package_also_inside_a_hook(
    dolmen: Dolmen, work: Path, tmp_path: Path
) -> None:
    plain = dolmen.run("pkg", "show-tag", "tool", cwd=work).stdout
    git(tmp_path, "init", "-q", "other")
    hook = {"GIT_DIR": str(tmp_path / "other" / ".git"), "GIT_INDEX_FILE": str(tmp_path / "none")}
    assert dolmen.run("pkg", "show-tag", "tool", cwd=work, env=hook).stdout == plain


def test_names_of_files_do_not_matter_to_git(dolmen: Dolmen, work: Path) -> None:
    odd = work / "tool :(glob)*\n[x]"
    (work / "tool").rename(odd)
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "odd")
    (odd / "t\u00e4st \n x").write_text("y")
    done = dolmen.run("pkg", "show-tag", str(odd), cwd=work)
    assert (done.returncode, "-dirty-" in done.stdout) == (0, True), done.stderr


def test_mistakes_are_shown_with_their_place(dolmen: Dolmen, tmp_path: Path) -> None:
    (tmp_path / "build.yml").write_text("image: tool\ntag: '{{if .Hash}}'\n")
    done = dolmen.run("pkg", "show-tag", ".", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "build.yml:2:6: error[DM0704]" in done.stderr


def test_all_mistakes_of_a_build_yml_are_shown(dolmen: Dolmen, tmp_path: Path) -> None:
    (tmp_path / "build.yml").write_text("image: x\nbuildArgs: [a, b]\nextra-sources: ['a:../b']\n")
    done = dolmen.run("pkg", "show-tag", ".", cwd=tmp_path)
    assert done.stderr.count("error[") == 3


@pytest.mark.parametrize("command", ["build", "show-tag"])
def test_the_mistakes_of_all_packages_are_shown(
    dolmen: Dolmen, tmp_path: Path, command: str
) -> None:
    for name, text in (("b", "image: x\nbuildArgs: [a]\n"), ("a", "image: []\n"), ("c", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "build.yml").write_text(text)
    (tmp_path / "c" / "build.yml").write_text("image: c\n")
    done = dolmen.run("pkg", command, "b", "a", "c", "missing", "a", cwd=tmp_path)
    errors = [line for line in done.stderr.splitlines() if "error[" in line]
    codes = [line.partition("error[")[2][:6] for line in errors]
    assert (done.returncode, done.stdout, codes) == (1, "", ["DM0711", "DM0102", "DM0701"])
    assert errors[0].startswith("b/build.yml:2:13: ")


def test_a_directory_without_a_package(dolmen: Dolmen, work: Path) -> None:
    done = dolmen.run("pkg", "show-tag", ".", cwd=work)
    assert done.returncode == 1
    assert "DM0701" in done.stderr
    assert "it contains the packages tool" in done.stderr
    missing = dolmen.run("pkg", "show-tag", "nowhere", cwd=work)
    assert "directory nowhere not found" in missing.stderr


def test_a_tag_that_no_registry_accepts_gives_a_warning(dolmen: Dolmen, work: Path) -> None:
    done = dolmen.run("pkg", "show-tag", "--tag", "{{.Nope}}", "tool", cwd=work)
    assert (done.returncode, done.stdout) == (0, "example/tool:<no value>\n")
    assert "warning[DM0705]" in done.stderr
    assert "{{.Hash}}" in done.stderr
    refused = dolmen.run("pkg", "show-tag", "--release", "a b", "tool", cwd=work)
    assert (refused.returncode, refused.stdout) == (1, "")


def test_git_is_needed_only_inside_of_git(dolmen: Dolmen, work: Path, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "build.yml").write_text("image: tool\n")
    without = {"PATH": str(nothing)}
    outside_name = dolmen.run("pkg", "show-tag", str(outside), env=without).stdout
    git(outside, "init", "-q", ".")
    git(outside, "add", "-A")
    git(outside, "commit", "-q", "-m", "one")
    assert dolmen.run("pkg", "show-tag", str(outside)).stdout == outside_name
    assert outside_name.startswith("linuxkit/tool:")
    done = dolmen.run("pkg", "show-tag", "tool", cwd=work, env=without)
    assert done.returncode == 1
    assert "apt-get install git" in done.stderr
