"""`dolmen new` and `dolmen schema`: a commented file, which editors support."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.config import load_schema, schema_path
from support.terminal import run_on_terminal

if TYPE_CHECKING:
    from support.cli import Dolmen

REPOSITORY = Path(__file__).parent.parent.parent
TEMPLATES = ("web-server", "ssh", "database", "minimal", "service")
QUESTION = "What should the image do?"
# The last line of the menu.
MENU = "run a script of yours"


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_is_valid(dolmen: Dolmen, tmp_path: Path, template: str) -> None:
    """What `new` writes, `validate` accepts without a warning."""
    made = dolmen.run("new", "--template", template, "a.yml", cwd=tmp_path)
    assert (made.returncode, made.stdout) == (0, "")
    checked = dolmen.run("validate", "a.yml", cwd=tmp_path)
    assert (checked.returncode, checked.stderr) == (0, "a.yml: valid\n")


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_file_is_the_same_on_every_machine(
    dolmen: Dolmen, tmp_path: Path, template: str
) -> None:
    dolmen.run("new", "--template", template, "a.yml", cwd=tmp_path, check=True)
    text = (tmp_path / "a.yml").read_text()
    named = re.findall(r'"@dolmen:([^"]+)"', text)
    assert len(named) >= 4
    for name in named:
        place = REPOSITORY / "pkg" / name
        place = place if place.exists() else REPOSITORY / name.replace("-", "/", 1)
        assert (place / "build.yml").is_file()
    assert "@pkg:" not in text
    for path in (REPOSITORY, tmp_path, dolmen.home):
        assert str(path) not in text
    assert "{" not in text.replace("{}", "")


def test_the_first_line_names_the_schema(dolmen: Dolmen, tmp_path: Path) -> None:
    """Editors find the schema by it: a copy, or in a checkout the schema itself."""
    dolmen.run("new", "a.yml", cwd=tmp_path, check=True)
    first, mark, path = (tmp_path / "a.yml").read_text().splitlines()[0].partition("$schema=")
    assert (first, mark) == ("# yaml-language-server: ", "$schema=")
    assert not Path(path).is_absolute()
    assert json.loads((tmp_path / path).read_text()) == load_schema("image")
    own = dolmen.run("new", "-", cwd=REPOSITORY / "examples", check=True).stdout
    assert own.startswith("# yaml-language-server: $schema=../schema/image.schema.json\n")
    assert dolmen.run("schema", "--path").stdout == f"{schema_path('image')}\n"


def test_without_a_terminal_it_writes_a_web_server(dolmen: Dolmen, tmp_path: Path) -> None:
    made = dolmen.run("new", cwd=tmp_path)
    assert (made.returncode, made.stdout) == (0, "")
    assert made.stderr == (
        "wrote image.yml: web-server, serve a page with nginx\n"
        "next: dolmen run qemu image.yml --publish 8080:80\n"
    )
    assert "@dolmen:nginx" in (tmp_path / "image.yml").read_text()
    quiet = dolmen.run("new", "-q", "b.yml", cwd=tmp_path)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


def test_standard_output_gets_the_file_alone(dolmen: Dolmen, tmp_path: Path) -> None:
    printed = dolmen.run("new", "--template", "minimal", "-", cwd=tmp_path)
    assert (printed.returncode, printed.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == [dolmen.home]
    dolmen.run("new", "--template", "minimal", cwd=tmp_path, check=True)
    assert printed.stdout == (tmp_path / "image.yml").read_text()


def test_the_templates_are_listed(dolmen: Dolmen) -> None:
    listed = dolmen.run("new", "--list", check=True).stdout.splitlines()
    assert tuple(line.split()[0] for line in listed) == TEMPLATES
    found = json.loads(dolmen.run("new", "--list", "--json", check=True).stdout)
    assert tuple(one["name"] for one in found) == TEMPLATES
    assert found[0]["run"] == shlex.split("dolmen run qemu image.yml --publish 8080:80")
    assert dolmen.run("new", "--json").returncode == 2


def test_an_older_name_of_a_template_works(dolmen: Dolmen, tmp_path: Path) -> None:
    made = dolmen.run("new", "--template", "sshd", "a.yml", cwd=tmp_path, check=True)
    assert made.stderr.startswith("wrote a.yml: ssh, ")


def test_the_key_of_the_user_is_taken(dolmen: Dolmen) -> None:
    words = ("new", "--template", "ssh", "-")
    assert "source: ~/.ssh/id_ed25519.pub\n" in dolmen.run(*words).stdout
    (dolmen.home / ".ssh").mkdir()
    (dolmen.home / ".ssh" / "id_ecdsa.pub").write_text("ecdsa-sha2-nistp256 AAAA me\n")
    assert "source: ~/.ssh/id_ecdsa.pub\n" in dolmen.run(*words).stdout


@pytest.mark.parametrize(
    ("keys", "template"),
    [
        ("\n", "web-server"),
        ("2\n", "ssh"),
        ("\x1b[B\x1b[B\x1b[B\x1b[A\n", "database"),
        ("\x1bOA\n", "service"),
        ("9x4\r", "minimal"),
    ],
)
def test_a_person_chooses_a_template(
    dolmen: Dolmen, tmp_path: Path, keys: str, template: str
) -> None:
    typed = run_on_terminal(dolmen, "new", cwd=tmp_path, keys=keys, prompt=MENU)
    assert typed.returncode == 0, typed.text
    assert f"wrote image.yml: {template}, " in typed.text
    expected = dolmen.run("new", "--template", template, "-").stdout
    assert (tmp_path / "image.yml").read_text() == expected
    assert typed.last_line.startswith("next: dolmen run qemu image.yml")


@pytest.mark.parametrize("keys", ["\x03", "\x04", "3\x03"])
@pytest.mark.parametrize("kind", ["xterm", "dumb"])
def test_who_changes_their_mind_finds_nothing_written(
    dolmen: Dolmen, tmp_path: Path, keys: str, kind: str
) -> None:
    prompt = "number [1]: " if kind == "dumb" else MENU
    keys = keys if kind == "xterm" else keys[-1]
    typed = run_on_terminal(
        dolmen, "new", cwd=tmp_path, keys=keys, prompt=prompt, env={"TERM": kind}
    )
    assert typed.returncode == 130
    assert typed.last_line == "interrupted"
    assert list(tmp_path.iterdir()) == [dolmen.home]


@pytest.mark.parametrize("columns", [40, 80])
def test_the_menu_fits_the_terminal(dolmen: Dolmen, tmp_path: Path, columns: int) -> None:
    typed = run_on_terminal(dolmen, "new", cwd=tmp_path, keys="\n", prompt=MENU, columns=columns)
    menu = typed.text.partition("wrote ")[0].splitlines()
    assert menu[0].startswith(QUESTION)
    assert menu[-5] == "> 1 web-server  serve a page with nginx"
    assert max(map(len, menu)) < columns


def test_a_menu_without_color_or_movement(dolmen: Dolmen, tmp_path: Path) -> None:
    plain = run_on_terminal(
        dolmen, "new", cwd=tmp_path, keys="2\n", prompt=MENU, env={"NO_COLOR": "1"}
    )
    assert plain.returncode == 0
    assert not re.search(r"\x1b\[[0-9;]*m", plain.raw)
    dumb = run_on_terminal(
        dolmen,
        *("new", "--force"),
        cwd=tmp_path,
        keys="7\ndatabase\n",
        prompt="number [1]: ",
        env={"TERM": "dumb"},
    )
    assert dumb.returncode == 0
    assert "\x1b" not in dumb.raw
    assert "a number from 1 to 5, please" in dumb.text
    assert "wrote image.yml: database, " in dumb.text


@pytest.mark.parametrize(
    "words", [("new", "a.yml"), ("new", "--template", "ssh"), ("new", "-q"), ("new", "-")]
)
def test_who_has_said_enough_is_not_asked(
    dolmen: Dolmen, tmp_path: Path, words: tuple[str, ...]
) -> None:
    typed = run_on_terminal(dolmen, *words, cwd=tmp_path)
    assert typed.returncode == 0
    assert QUESTION not in typed.text


def test_an_existing_file_is_refused_before_the_question(dolmen: Dolmen, tmp_path: Path) -> None:
    (tmp_path / "image.yml").write_text("mine")
    typed = run_on_terminal(dolmen, "new", cwd=tmp_path)
    assert typed.returncode == 2
    assert QUESTION not in typed.text


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
    """The directory of the file has to exist, and the file must not be a directory."""
    missing = dolmen.run("new", "no/a.yml", cwd=tmp_path)
    assert missing.returncode == 1
    assert "there is no directory no" in missing.stderr
    assert dolmen.run("new", ".", cwd=tmp_path).returncode == 2
    unknown = dolmen.run("new", "--template", "x")
    assert unknown.returncode == 2
    assert ", ".join(TEMPLATES) in unknown.stderr


def test_schemas_have_no_external_references(dolmen: Dolmen) -> None:
    """Printed, a schema refers to no other file."""
    for kind in ("image", "build"):
        text = dolmen.run("schema", kind, check=True).stdout
        assert json.loads(text)["title"] == f"{kind}.yml"
        assert '"image.schema.json#' not in text
    assert dolmen.run("schema", "other").returncode == 2
