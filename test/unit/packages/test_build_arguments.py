"""Build arguments have LinuxKit's names and values."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from assembler.errors import PackageError
from assembler.packages.build_arguments import (
    BuildArguments,
    collect_arguments,
    read_argument_file,
    read_commit,
    referenced_directories,
)
from assembler.packages.package_reader import read_package
from assembler.packages.tags import Naming, derive_name

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the configuration of this machine away."""
    monkeypatch.setenv("HOME", str(tmp_path / "empty"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


def write(directory: Path, build_yml: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "build.yml").write_text(build_yml)
    return directory


def commit(work: Path, time: int) -> str:
    date = {"GIT_AUTHOR_DATE": f"{time} +0000", "GIT_COMMITTER_DATE": f"{time} +0000"}
    for words in (["init", "-q", "."], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run(
            ["git", "-c", "user.name=n", "-c", "user.email=e@x", *words],
            cwd=work,
            env=os.environ | date,
            check=True,
        )
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=work, check=True, capture_output=True, text=True
    )
    return head.stdout.strip()


def arguments_of(directory: Path, *pairs: str, org: str | None = None) -> dict[str, str]:
    package, naming = read_package(directory), Naming(org=org)
    name = derive_name(package, naming)
    return collect_arguments(
        package, name, read_commit(package, name, "HEAD"), BuildArguments(pairs), naming
    )


def name_of(directory: Path) -> str:
    name = str(derive_name(read_package(directory), Naming()))
    assert "/" in name
    return name


def test_an_argument_for_each_package_has_organization_and_image_in_its_name(
    tmp_path: Path,
) -> None:
    write(tmp_path / "pkgs/img", "image: img\n")
    write(tmp_path / "pkgs/other", "image: my-tool\norg: example.com/a-team\n")
    write(tmp_path / "pkgs/.hidden", "image: hidden\n")
    top = write(
        tmp_path / "top",
        "image: top\nbuildArgs: ['HASH_%=@lkt:pkgs:../pkgs/*', '%_TAG=@lkt:pkgs:../pkgs/i*']\n",
    )
    arguments = arguments_of(top)
    assert {k: v for k, v in arguments.items() if k.startswith("HASH_") or k.endswith("_TAG")} == {
        "HASH_LINUXKIT_IMG": name_of(tmp_path / "pkgs/img"),
        "HASH_EXAMPLE_COM_A_TEAM_MY_TOOL": name_of(tmp_path / "pkgs/other"),
        "LINUXKIT_IMG_TAG": name_of(tmp_path / "pkgs/img"),
    }
    # Another organization changes the image, but not the argument that the Dockerfile declares.
    assert arguments_of(top, org="mine")["HASH_LINUXKIT_IMG"].startswith("mine/img:")


def test_the_package_image_has_no_tag(tmp_path: Path) -> None:
    package = write(tmp_path / "p", "image: p\n")
    assert arguments_of(package)["PKG_IMAGE"] == "linuxkit/p"
    assert arguments_of(package, org="reg.example.com:5000/a")["PKG_IMAGE"] == (
        "reg.example.com:5000/a/p"
    )


def test_directories_in_a_file_are_relative_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = write(tmp_path / "far/away/p", "image: p\n")
    write(tmp_path / "args/base", "image: base\n")
    file = tmp_path / "args/list"
    file.write_text(
        f"A=@lkt:pkg:./base\nB=@lkt:pkg:{tmp_path}/args/base\nC%=@dolmen:pkgs:b*\nD=x\n"
    )
    monkeypatch.chdir(tmp_path)
    for path in (file, file.relative_to(tmp_path)):
        pairs = read_argument_file(path)
        arguments = arguments_of(package, *pairs)
        assert [arguments[key] for key in ("A", "B", "CLINUXKIT_BASE", "D")] == (
            [*[name_of(tmp_path / "args/base")] * 3, "x"]
        )
        assert set(referenced_directories(read_package(package), BuildArguments(pairs))) == {
            tmp_path / "args/base"
        }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("A=@lkt:pkgs:*", "the key of 'A=@lkt:pkgs:*' does not fit its value"),
        ("A=@lkt:tag:x", "unknown value '@lkt:tag:'"),
        ("A", "invalid build argument 'A'"),
    ],
)
def test_a_mistake_in_a_file_has_its_line(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "list").write_text(f"# arguments\n{line}\n")
    with pytest.raises(PackageError) as caught:
        read_argument_file(tmp_path / "list")
    assert f"{tmp_path}/list:2:1: error[DM0711]: {message}" in str(caught.value)


def test_the_go_version_belongs_to_one_commit(tmp_path: Path) -> None:
    package = write(tmp_path / "p", "image: p\n")
    commit(tmp_path, 1_500_000_000)
    (tmp_path / "elsewhere").write_text("x")
    head = commit(tmp_path, 1_600_000_000)
    arguments = arguments_of(package)
    assert arguments["REVISION"] == head
    assert arguments["GOPKGVERSION"] == f"v0.0.0-20200913122640-{head[:12]}"
    # Files have the time of the package's last change.
    assert arguments["SOURCE_DATE_EPOCH"] == "1500000000"
