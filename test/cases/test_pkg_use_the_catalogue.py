"""A user names the packages that Dolmen brings: in lists, image.yml, build.yml and commands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from assembler.catalog import catalog_directory, catalog_names
from assembler.oci import Store
from assembler.packages import hash_directory
from support.archives import E, image

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen


def test_the_list_has_every_package_with_a_line(dolmen: Dolmen) -> None:
    done = dolmen.run("pkg", "list")
    assert done.returncode == 0, done.stderr
    title, *lines = done.stdout.splitlines()
    assert title.split() == ["NAME", "GOES", "INTO", "SIZE", "PURPOSE"]
    assert sorted(line.split()[0] for line in lines) == list(catalog_names())
    found = json.loads(dolmen.run("pkg", "list", "--json").stdout)
    assert [p["name"] for p in found] == [line.split()[0] for line in lines]
    assert {p["size"] for p in found} == {None}


def test_a_size_is_known_when_the_image_is_in_the_store(dolmen: Dolmen) -> None:
    name = dolmen.run("pkg", "show-tag", "@dolmen:nginx").stdout.strip()
    image(Store(dolmen.home / ".cache" / "dolmen"), name, (E("x", b"x"),))
    found = json.loads(dolmen.run("pkg", "show", "--json", "nginx").stdout)
    assert found["image"] == name
    assert found["size"] > 0
    assert " B  " in dolmen.run("pkg", "list").stdout


def test_a_package_is_described(dolmen: Dolmen) -> None:
    shown = dolmen.run("pkg", "show", "format").stdout
    assert shown.startswith("format: a filesystem on an empty disk\n\ngoes into   onboot\n")
    for text in ("-label", "CAP_SYS_ADMIN", "all block devices", "Example:", "@dolmen:format"):
        assert text in shown
    assert "@pkg:" not in shown
    assert f"directory   {catalog_directory('format')}\n" in shown
    assert "pkg:../" not in dolmen.run("pkg", "show", "toolchain-go").stdout
    assert dolmen.run("pkg", "show", "@dolmen:format").stdout == shown
    refused = dolmen.run("pkg", "show", "fromat")
    assert refused.returncode == 1
    assert "did you mean @dolmen:format?" in refused.stderr


def test_commands_accept_names_of_the_catalogue(dolmen: Dolmen, tmp_path: Path) -> None:
    names = [f"@dolmen:{name}" for name in ("init", "kernel-virtual")]
    directories = [str(catalog_directory(name)) for name in ("init", "kernel-virtual")]
    for words in (("pkg", "show-tag"), ("pkg", "inputs"), ("pkg", "build", "--dry-run")):
        named = dolmen.run(*words, *names, cwd=tmp_path)
        assert named.returncode == 0, named.stderr
        assert named.stdout == dolmen.run(*words, *directories, cwd=tmp_path).stdout
    unknown = dolmen.run("pkg", "build", "@dolmen:intit")
    assert unknown.returncode == 1
    assert "error[DM0750]: the catalogue has no package 'intit'" in unknown.stderr


def test_a_lock_is_not_written_into_the_catalogue(dolmen: Dolmen) -> None:
    refused = dolmen.run("pkg", "lock", "@dolmen:nginx")
    assert refused.returncode == 2
    assert f"cp -r {catalog_directory('nginx')} ." in refused.stderr
    assert not (catalog_directory("nginx") / "debs.lock").exists()


def test_a_package_of_a_user_is_built_with_packages_of_the_catalogue(
    dolmen: Dolmen, tmp_path: Path
) -> None:
    (tmp_path / "build.yml").write_text(
        'image: app\narches: [amd64]\ngo:\n  toolchain: "@dolmen:toolchain-go"\n'
        "  programs: {/app: .}\n"
    )
    planned = dolmen.run("pkg", "build", "--dry-run", tmp_path).stdout
    tag = hash_directory(catalog_directory("toolchain-go"))
    assert f"dolmen/toolchain-go:{tag}" in planned
    assert planned.index("dolmen/toolchain-go") < planned.index("linuxkit/app")


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ('image: a\nbuildArgs: ["A=@dolmen:bsae"]\n', "2:13"),
        ('image: a\ngo: {toolchain: "@dolmen:bsae", programs: {/a: .}}\n', "2:17"),
    ],
)
def test_an_unknown_name_in_build_yml_has_a_place(
    dolmen: Dolmen, tmp_path: Path, text: str, column: str
) -> None:
    (tmp_path / "build.yml").write_text(text)
    refused = dolmen.run("validate", tmp_path / "build.yml")
    assert refused.returncode == 1
    assert f"build.yml:{column}: error" in refused.stderr
    assert "did you mean @dolmen:base?" in refused.stderr


def test_a_built_dockerfile_begins_with_a_package_of_the_catalogue(
    dolmen: Dolmen, tmp_path: Path
) -> None:
    name = dolmen.run("pkg", "show-tag", "@dolmen:base").stdout.strip()
    image(Store(dolmen.home / ".cache" / "dolmen"), name, (E("x", b"x"),))
    (tmp_path / "build.yml").write_text(
        'image: app\narches: [amd64]\nbuildArgs: ["BASE=@dolmen:base"]\n'
    )
    (tmp_path / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nCOPY build.yml /\n")
    built = dolmen.run("pkg", "build", "--offline", tmp_path)
    assert built.returncode == 0, built.stderr
