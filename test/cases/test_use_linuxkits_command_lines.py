"""Command lines in scripts for LinuxKit work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
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


def test_control_structures_in_tags(dolmen: Dolmen, package: Path) -> None:
    tag = '{{if eq .Hash "x"}}a{{else}}{{with slice .Hash 0 0}}b{{else}}{{range 3}}{{.}}{{end}}'
    tag += "{{end}}{{end}}"
    shown = dolmen.run("pkg", "show-tag", "--tag", tag, package)
    assert (shown.returncode, shown.stdout) == (0, "linuxkit/tool:012\n"), shown.stderr
    (package / "build.yml").write_text(f"image: tool\ntag: '{tag}'\n")
    assert dolmen.run("pkg", "show-tag", package).stdout == "linuxkit/tool:012\n"


def test_long_options_of_pkg_with_a_single_dash(dolmen: Dolmen, package: Path) -> None:
    shown = dolmen.run("pkg", "show-tag", "-org=mine", "-hash", "abc", "-canonical", package)
    assert (shown.returncode, shown.stdout) == (0, "docker.io/mine/tool:abc\n"), shown.stderr
    shown = dolmen.run("pkg", "-org", "mine", "show-tag", "-tag", "1", package)
    assert (shown.returncode, shown.stdout) == (0, "mine/tool:1\n"), shown.stderr
    planned = dolmen.run("pkg", "build", "--dry-run", "-platforms", "linux/arm64", package)
    assert "for linux/arm64" in planned.stdout, planned.stderr


def test_credentials_may_be_given_to_any_command_of_pkg(dolmen: Dolmen, package: Path) -> None:
    creds = ("--registry-creds", "reg.example.com=me:secret")
    for words in (("show-tag", *creds), (*creds, "show-tag")):
        shown = dolmen.run("pkg", *words, "--tag", "1", package)
        assert (shown.returncode, shown.stdout) == (0, "linuxkit/tool:1\n"), shown.stderr


def test_a_release_is_accepted_by_remote_tag(dolmen: Dolmen) -> None:
    failed = dolmen.run(
        *("pkg", "remote-tag", "--release", "v1", "127.0.0.1:1/x/y:1", "127.0.0.1:1/x/y:2")
    )
    assert failed.returncode == 1, failed.stderr  # the registry does not exist
    assert "no such option" not in failed.stderr


DOCKER = f"""#!{sys.executable}
import sys
words = sys.argv[1:]
if words[:2] == ["context", "ls"]:
    print("default")
elif words == ["buildx", "ls"]:
    print("NAME/NODE  DRIVER/ENDPOINT")
    for name in ("dolmen-builder", "dolmen-builder-farm", "mine", "mine-farm"):
        print(f"{{name}}  docker-container\\n  {{name}}0  unix")
elif words[:2] in (["buildx", "du"], ["buildx", "prune"]):
    print("ID  SIZE\\nabc  1GB\\nTotal:\\t1.2GB")
"""


def test_options_of_pkg_builder(dolmen: Dolmen) -> None:
    programs = dolmen.home / "bin"
    programs.mkdir()
    (programs / "docker").write_text(DOCKER)
    (programs / "docker").chmod(0o755)
    path = {"PATH": f"{programs}:{os.environ['PATH']}"}
    farm = ("--builders", "linux/arm64=farm")
    unused = ("--builder-image", "moby/buildkit:v1", "--builder-config=/nowhere/b.toml")
    for words, env, names in (
        (("du",), {}, ["dolmen-builder", "dolmen-builder-farm"]),
        (("du", *farm, *unused), {}, ["dolmen-builder-farm"]),
        ((*farm, *unused, "du"), {}, ["dolmen-builder-farm"]),
        (("--platforms", "linux/amd64,linux/s390x", "du"), {}, ["dolmen-builder"]),
        ((*farm, "--platforms=linux/arm64", "du"), {}, ["dolmen-builder-farm"]),
        (("du",), {"LINUXKIT_BUILDER_NAME": "mine"}, ["mine", "mine-farm"]),
        (("du", "--builder-name=mine", *farm), {}, ["mine-farm"]),
    ):
        shown = dolmen.run("pkg", "builder", *words, env=path | env)
        assert shown.returncode == 0, shown.stderr
        assert [line.split()[0] for line in shown.stdout.splitlines()] == names
    pruned = dolmen.run("pkg", "builder", *farm, "prune", env=path)
    assert pruned.stdout.splitlines()[1:] == ["freed 1.2GB of dolmen-builder-farm"]


def test_the_builder_comes_from_linuxkits_variables(dolmen: Dolmen, package: Path) -> None:
    programs = dolmen.home / "bin"
    programs.mkdir()
    (programs / "docker").write_text(
        '#!/bin/sh\nprintf \'%s\\n\' "$*" >> "$HOME/calls"\n'
        'case "$*" in *"buildx version"*|*"context"*) exit 0;; *) exit 1;; esac\n'
    )
    (programs / "docker").chmod(0o755)
    (package / "Dockerfile").write_text("FROM scratch\nRUN x\n")
    variables = {
        "LINUXKIT_BUILDER_NAME": "mine",
        "LINUXKIT_BUILDER_IMAGE": "moby/buildkit:v1",
        "LINUXKIT_BUILDER_CONFIG": "~/buildkit.toml",
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(dolmen.home),
    }
    dolmen.run("pkg", "build", "--builder", "buildkit", package, env=variables)
    (created,) = {
        line for line in (dolmen.home / "calls").read_text().splitlines() if " create " in line
    }
    assert "--name mine" in created
    assert "image=moby/buildkit:v1" in created
    assert f"--config {dolmen.home}/buildkit.toml" in created


def test_spaces_separate_mirrors_in_the_environment(dolmen: Dolmen) -> None:
    for text in ("docker.io=http://a.example nonsense", "http://a.example,nonsense"):
        failed = dolmen.run("cache", "ls", env={"LINUXKIT_MIRROR": text})
        assert failed.returncode == 2
        assert "not a mirror: nonsense" in failed.stderr
    mirrors = {"LINUXKIT_MIRROR": " docker.io=http://a.example  http://b.example "}
    assert dolmen.run("cache", "ls", env=mirrors).returncode == 0


def test_a_bridge_without_a_name(dolmen: Dolmen) -> None:
    failed = dolmen.run("run", "qemu", "--networking", "bridge", "missing")
    assert failed.returncode == 1
    assert "missing" in failed.stderr
    assert "--networking" not in failed.stderr


def test_a_completion_script_for_powershell(dolmen: Dolmen) -> None:
    shown = dolmen.run("completion", "powershell")
    assert shown.returncode == 0, shown.stderr
    assert "Register-ArgumentCompleter -Native -CommandName dolmen" in shown.stdout
    typed = {
        "_DOLMEN_COMPLETE": "complete_powershell",
        "_TYPER_COMPLETE_ARGS": "dolmen cache ex",
        "_TYPER_COMPLETE_WORD_TO_COMPLETE": "ex",
    }
    assert "export" in dolmen.run(env=typed).stdout
    # The script leaves an empty variable behind.
    assert dolmen.run("version", "--short", env={"_DOLMEN_COMPLETE": ""}).stdout.strip()


def test_platforms_that_only_some_packages_support(dolmen: Dolmen, package: Path) -> None:
    other = dolmen.home / "other"
    other.mkdir()
    (other / "build.yml").write_text("image: other\narches: [amd64]\n")
    (other / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    (package / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    words = ("pkg", "build", "--platforms", "linux/arm64,linux/amd64", package, other)
    planned = dolmen.run(*words, "--dry-run")
    assert planned.returncode == 0, planned.stderr
    built = dolmen.run(*words)
    assert built.returncode == 0, built.stderr
    assert len(built.stdout.splitlines()) == 2
    for said in (planned.stderr, built.stderr):
        assert "other is not built for linux/arm64" in said
    platforms = {
        name.partition(":")[0]: sorted(
            json.loads(dolmen.run("cache", "inspect", "--json", name).stdout)["platforms"]
        )
        for name in built.stdout.split()
    }
    assert platforms == {
        "linuxkit/tool": ["linux/amd64", "linux/arm64"],
        "linuxkit/other": ["linux/amd64"],
    }
    left = dolmen.run("pkg", "build", "--platforms", "linux/arm64", other, package)
    assert left.returncode == 0, left.stderr
    assert [name.partition(":")[0] for name in left.stdout.split()] == ["linuxkit/tool"]
    nowhere = dolmen.run("pkg", "build", "--platforms", "linux/s390x", package, other)
    assert nowhere.returncode == 1
    assert "DM0731" in nowhere.stderr


def test_docker_without_a_daemon(dolmen: Dolmen, conformance_layout: Path) -> None:
    shutil.copytree(conformance_layout, dolmen.home / ".cache" / "dolmen")
    (dolmen.home / "image.yml").write_text("init: ['example/init:v1']\n")
    built = dolmen.run(
        *("build", "--docker", "--format", "tar", "image.yml"),
        env={"DOCKER_HOST": "unix:///nowhere/docker.sock"},
    )
    assert built.returncode == 0, built.stderr
    assert "warning" in built.stderr
    assert "DM0213" in built.stderr
    assert (dolmen.home / "image.tar").exists()


def test_the_repository_that_build_yml_names_is_a_label(dolmen: Dolmen, package: Path) -> None:
    """LinuxKit's own repository, too, if the file names it: by default it names another's."""
    (package / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    labels = []
    for line in ("", "gitrepo: https://github.com/linuxkit/linuxkit\n", "gitrepo: https://x.y/z\n"):
        (package / "build.yml").write_text(f"image: tool\narches: [amd64]\n{line}")
        name = dolmen.run("pkg", "build", package).stdout.strip()
        config = dolmen.run("cache", "inspect", "--json", name).stdout
        labels.append("org.opencontainers.image.source" in config)
    assert labels == [False, True, True]


def test_options_of_a_command_in_the_guest_are_its_own(dolmen: Dolmen) -> None:
    """`-q` and `--cache` after the machine's name are not Dolmen's."""
    failed = dolmen.run("ssh", "web", "grep", "-q", "-name", "--cache")
    assert failed.returncode == 1
    assert "requires an argument" not in failed.stderr
