"""An editor's YAML language server completes, explains and checks keys by the schemas."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from assembler.config import schemas

if TYPE_CHECKING:
    from support.cli import Dolmen

LSP = Path(__file__).parents[1] / "lsp"
NODE, NPM = shutil.which("node"), shutil.which("npm")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (NODE and NPM), reason="needs node and npm"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder with the language server, of the version in test/lsp/package.json."""
    folder = tmp_path_factory.mktemp("lsp")
    shutil.copytree(LSP, folder, dirs_exist_ok=True)
    assert NPM
    options = ("--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts")
    done = subprocess.run(
        [NPM, "install", *options], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"the language server cannot be installed: {done.stderr[-300:]}")
    return folder


def ask(server: Path, folder: Path, kind: str, text: str) -> dict[str, Any]:
    """Open the text in the server, and ask about the places marked with `|`."""
    lines = [f"# yaml-language-server: $schema={schemas.schema_path(kind)}"]
    places = []
    for line in text.splitlines():
        column = line.find("|")
        if column >= 0:
            places.append(f"{len(lines)}:{column}")
        lines.append(line.replace("|", "", 1))
    (folder / "x.yml").write_text("\n".join(lines) + "\n")
    return ask_about(server, folder / "x.yml", *places)


def ask_about(server: Path, file: Path, *places: str) -> dict[str, Any]:
    """Open a file in the server, and ask about places LINE:COLUMN, which begin at 0."""
    binary = server / "node_modules/yaml-language-server/bin/yaml-language-server"
    assert NODE
    done = subprocess.run(
        [NODE, server / "ask.mjs", binary, file, *places],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def keys(kind: str, *path: str) -> set[str]:
    """Return the keys that a part of the schema has."""
    piece = schemas.load_schema(kind)
    for step in path:
        piece = schemas.resolve_reference(kind, piece["properties"][step])
        if piece.get("type") == "array":
            piece = schemas.resolve_reference(kind, piece["items"])
    return set(piece["properties"])


@pytest.mark.parametrize(
    ("kind", "text", "path", "given"),
    [
        ("image", "|\n", (), ()),
        ("image", "kernel:\n  |\n", ("kernel",), ()),
        (
            "image",
            "services:\n  - name: a\n    image: b\n    |\n",
            ("services",),
            ("name", "image"),
        ),
        (
            "image",
            "services:\n  - name: a\n    image: b\n    runtime:\n      |\n",
            ("services", "runtime"),
            (),
        ),
        ("image", "files:\n  - path: x\n    |\n", ("files",), ("path",)),
        ("build", "image: x\n|\n", (), ("image",)),
        ("build", "image: x\nconfig:\n  |\n", ("config",), ()),
        ("build", "image: x\ndebs:\n  |\n", ("debs",), ()),
    ],
    ids=["top", "kernel", "service", "runtime", "file", "build", "config", "debs"],
)
def test_every_key_is_offered(
    server: Path,
    tmp_path: Path,
    kind: str,
    text: str,
    path: tuple[str, ...],
    given: tuple[str, ...],
) -> None:
    """Where a key can stand, the editor offers all that are known there."""
    found = ask(server, tmp_path, kind, text)
    assert keys(kind, *path) - set(given) <= set(found["completions"][0])


def test_keys_are_explained_and_mistakes_marked(server: Path, tmp_path: Path) -> None:
    """Hovering shows the description; unknown keys and wrong values are marked."""
    text = "kernel:\n  cm|dline: x\n  bogus: y\nvolumes:\n  - name: a\n    format: zip\n"
    found = ask(server, tmp_path, "image", text)
    described = schemas.load_schema("image")["properties"]["kernel"]["properties"]["cmdline"]
    assert described["description"] in found["hovers"][0].replace("\\", "")
    assert any("bogus" in message for message in found["diagnostics"])
    assert any('"filesystem", "oci"' in message for message in found["diagnostics"])


def test_new_files_name_a_schema_that_the_editor_finds(
    server: Path, dolmen: Dolmen, tmp_path: Path
) -> None:
    app = tmp_path / "app"
    app.mkdir()
    (app / "main.py").write_text("")
    dolmen.run("new", "--service", "app", cwd=tmp_path, check=True)
    for file, kind in ((tmp_path / "image.yml", "image"), (app / "build.yml", "build")):
        with file.open("a") as end:
            end.write("\n")
        lines = file.read_text().splitlines()
        found = ask_about(server, file, f"{len(lines) - 1}:0")
        assert found["diagnostics"] == []
        present = {line.partition(":")[0] for line in lines if line[:1].isalpha()}
        assert keys(kind) - present <= set(found["completions"][0])
