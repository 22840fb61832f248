"""`dolmen new` and `dolmen schema`: a commented file, which editors support."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.cli import Dolmen

REPOSITORY = Path(__file__).parent.parent.parent
TEMPLATES = ("minimal", "service", "sshd")


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_is_valid(dolmen: Dolmen, tmp_path: Path, template: str) -> None:
    """What `new` writes, `validate` accepts without a warning."""
    made = dolmen.run("new", "--template", template, "a.yml", cwd=tmp_path)
    assert (made.returncode, made.stdout) == (0, "")
    checked = dolmen.run("validate", "a.yml", cwd=tmp_path)
    assert (checked.returncode, checked.stderr) == (0, "a.yml: valid\n")


def test_the_first_line_names_the_schema(dolmen: Dolmen, tmp_path: Path) -> None:
    """Editors find the schema by it."""
    text = dolmen.run("new", cwd=tmp_path).stdout
    first, mark, path = text.splitlines()[0].partition("$schema=")
    assert (first, mark) == ("# yaml-language-server: ", "$schema=")
    assert json.loads((tmp_path / path).read_text())["title"] == "image.yml"
    assert dolmen.run("schema", "--path").stdout.strip() == path


def test_packages_of_a_checkout_are_named(dolmen: Dolmen, tmp_path: Path) -> None:
    """Where packages are, the file refers to them; elsewhere to those of Dolmen's checkout."""
    for place in ("pkg/init", "kernel/virtual"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "build.yml").write_text("image: x\n")
    (tmp_path / "examples").mkdir()
    dolmen.run("new", "examples/a.yml", cwd=tmp_path, check=True)
    text = (tmp_path / "examples/a.yml").read_text()
    assert '"@pkg:../pkg/init"' in text
    assert 'image: "@pkg:../kernel/virtual"' in text
    assert f'"@pkg:{REPOSITORY}/pkg/crun"' in text


@pytest.mark.parametrize("template", TEMPLATES)
def test_all_packages_of_a_template_exist(dolmen: Dolmen, tmp_path: Path, template: str) -> None:
    dolmen.run("new", "--template", template, "a.yml", cwd=tmp_path, check=True)
    text = (tmp_path / "a.yml").read_text()
    named = re.findall(r'"@pkg:([^"]+)"', text)
    assert len(named) >= 5
    assert all((tmp_path / path / "build.yml").is_file() for path in named)
    assert "dolmen/" not in text.replace("@pkg:" + str(REPOSITORY), "").split("\n", 1)[1]


def test_nothing_is_overwritten(dolmen: Dolmen, tmp_path: Path) -> None:
    """Only `--force` replaces a file."""
    (tmp_path / "a.yml").write_text("mine")
    refused = dolmen.run("new", "a.yml", cwd=tmp_path)
    assert refused.returncode == 2
    assert "--force" in refused.stderr
    assert (tmp_path / "a.yml").read_text() == "mine"
    dolmen.run("new", "--force", "a.yml", cwd=tmp_path, check=True)
    assert (tmp_path / "a.yml").read_text() != "mine"


def test_unwritable_paths_are_an_error(dolmen: Dolmen, tmp_path: Path) -> None:
    """A directory that is not there is told; so is one in the place of the file."""
    missing = dolmen.run("new", "no/a.yml", cwd=tmp_path)
    assert missing.returncode == 1
    assert "there is no directory no" in missing.stderr
    assert dolmen.run("new", ".", cwd=tmp_path).returncode == 2
    unknown = dolmen.run("new", "--template", "x")
    assert unknown.returncode == 2
    assert "minimal, service, sshd" in unknown.stderr


def test_schemas_have_no_external_references(dolmen: Dolmen) -> None:
    """Printed, a schema refers to no other file."""
    for kind in ("image", "build"):
        text = dolmen.run("schema", kind, check=True).stdout
        assert json.loads(text)["title"] == f"{kind}.yml"
        assert '"image.schema.json#' not in text
    assert dolmen.run("schema", "other").returncode == 2
