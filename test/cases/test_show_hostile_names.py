"""A user looks at images, files and packages whose names and texts attack the terminal."""

from __future__ import annotations

import json
import re
import socket
from typing import TYPE_CHECKING

import pytest

from assembler.oci.store import Store
from support import archives
from support.booting import Run
from support.debian import Deb, make_archive
from support.faulty_registry import faulty_registry
from support.hostile import HOSTILE, HOSTILE_NAME, forbidden_characters
from support.pictures import Painter
from support.recipes import Packages, commit, git, make_package

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from support.cli import Dolmen

# A single line of YAML with every kind of character that YAML lets through in quotes.
IN_YAML = json.dumps(HOSTILE)


def shown(done: subprocess.CompletedProcess[str], *, forged: bool = False) -> str:
    """Return all output of a command after a check for what a terminal would obey."""
    told = done.stdout + done.stderr
    assert "Traceback" not in told
    assert forbidden_characters(told) == set()
    if not forged:
        assert not re.search(r"^(forged|error\[DM9999\])", told, re.MULTILINE), told
    return told


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Give a store with an image of a hostile name, and one with hostile labels and files."""
    store = Store(tmp_path / "cache")
    painter = Painter(store)
    image = painter.image({HOSTILE_NAME: b"x"}, labels={HOSTILE: HOSTILE})
    store.put("docker.io/example/app:1", painter.index(image, annotations={HOSTILE: HOSTILE}))
    store.put(HOSTILE, painter.image({"b": b"1"}))
    return store.root


@pytest.mark.parametrize("how", ["text", "json"])
def test_images_in_the_store(dolmen: Dolmen, cache: Path, how: str) -> None:
    options = ["--json"] if how == "json" else []
    told = shown(dolmen.run("--cache", cache, "cache", "ls", *options))
    if options:
        assert HOSTILE in [row["name"] for row in json.loads(told)]
    else:
        assert "\\x1b[2J\\x1b]0;owned\\x07" in told
    done = dolmen.run("--cache", cache, "cache", "inspect", *options, "example/app:1")
    # A label of several lines is shown in several lines, which are indented.
    assert done.returncode == 0
    told = shown(done)
    if options:
        assert HOSTILE in json.loads(told)["config"]["config"]["Labels"].values()
    else:
        assert "\\x1b[2J\\x1b]0;owned\\x07" in told


@pytest.mark.parametrize(
    "words",
    [
        *(("verify",), ("verify", "--json"), ("clean", "--all", "--dry-run")),
        *(("inspect", HOSTILE), ("rm", HOSTILE), ("export", HOSTILE, "-o", "x.tar")),
        *(("pull", HOSTILE), ("push", HOSTILE), ("export", "example/app:1", "-o", f"{HOSTILE}/x")),
    ],
    ids=lambda words: "-".join(w for w in words if w.isascii() and w.isprintable()),
)
def test_commands_of_the_store(dolmen: Dolmen, cache: Path, words: tuple[str, ...]) -> None:
    shown(dolmen.run("--cache", cache, "cache", *words))


def test_an_archive_of_images(dolmen: Dolmen, tmp_path: Path) -> None:
    layout = [
        archives.E("oci-layout", b'{"imageLayoutVersion": "1.0.0"}'),
        archives.E("index.json", json.dumps({"manifests": [{"mediaType": HOSTILE}]}).encode()),
        archives.E(HOSTILE_NAME, b"x"),
    ]
    (tmp_path / "layout.tar").write_bytes(archives.tar(layout))
    assert dolmen.run("cache", "import", tmp_path / "layout.tar").returncode == 1
    shown(dolmen.run("cache", "import", tmp_path / "layout.tar"))
    index = json.dumps([{"Config": HOSTILE, "RepoTags": [HOSTILE], "Layers": [HOSTILE]}])
    (tmp_path / "docker.tar").write_bytes(
        archives.tar([archives.E("manifest.json", index.encode())])
    )
    shown(dolmen.run("-v", "cache", "import", tmp_path / "docker.tar"))


@pytest.mark.parametrize("how", ["text", "json"])
def test_files_in_an_archive(dolmen: Dolmen, tmp_path: Path, how: str) -> None:
    path = tmp_path / HOSTILE_NAME
    entries = [archives.E(HOSTILE_NAME, b"x"), archives.symlink("l", HOSTILE_NAME)]
    path.write_bytes(archives.tar(entries))
    done = dolmen.run("inspect", "--files", *(["--json"] if how == "json" else []), path)
    assert done.returncode == 0, done.stderr
    told = shown(done)
    if how == "json":
        assert json.loads(told)["path"] == str(path)
    else:
        assert "\\x1b[2J\\x1b]0;owned\\x07" in told
    shown(dolmen.run("inspect", tmp_path / f"no {HOSTILE_NAME}"))


def test_a_layer_that_is_refused(dolmen: Dolmen, tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    painter = Painter(store)
    store.put("docker.io/example/init:1", painter.image({f"../{HOSTILE_NAME}": b"x"}))
    (tmp_path / "i.yml").write_text("init: ['example/init:1']\n")
    words = ("--cache", store.root, "build", "--offline", "--format", "tar", tmp_path / "i.yml")
    for more in ((), ("-v", "-v"), ("--json",)):
        done = dolmen.run(*words, *more)
        assert done.returncode == 1
        assert "owned" in shown(done)


@pytest.mark.parametrize(
    "text",
    [
        f"{IN_YAML}: 1\n",
        f"init: [{IN_YAML}]\n",
        f"kernel: {{image: 'a:1', cmdline: {IN_YAML}, {IN_YAML}: {IN_YAML}}}\n",
        f"services: [{{name: {IN_YAML}, image: 'b:1', binds: [{IN_YAML}]}}]\n",
        f"files: [{{path: {IN_YAML}, source: {IN_YAML}, mode: {IN_YAML}}}]\n",
        f"services: [{{name: a, image: 'b:1'}}]\n# {HOSTILE[-6:]}\n? {{\n",
        f"a: {HOSTILE}\n",
    ],
)
def test_a_yaml_file(dolmen: Dolmen, tmp_path: Path, text: str) -> None:
    path = tmp_path / f"{HOSTILE_NAME}.yml"
    path.write_text(text, encoding="utf-8", newline="")
    for words in (("validate",), ("build", "--dry-run"), ("build", "--offline")):
        shown(dolmen.run(*words, path))
    told = shown(dolmen.run("validate", "--json", path))
    assert json.loads(told)["diagnostics"][0]["file"] == str(path)
    assert "\x1b[" in dolmen.run("--color", "always", "validate", path).stderr


def test_a_merged_file_means_the_same(dolmen: Dolmen, tmp_path: Path) -> None:
    content = "one\u202eowt\n\x9btwo\u2066\n"
    text = f"files: [{{path: a, contents: {json.dumps(content)}}}]\n"
    (tmp_path / "a.yml").write_text(text)
    merged = shown(dolmen.run("build", "--dry-run", tmp_path / "a.yml"))
    (tmp_path / "b.yml").write_text(merged)
    assert shown(dolmen.run("build", "--dry-run", tmp_path / "b.yml")) == merged
    (line,) = [line for line in merged.splitlines() if "contents" in line]
    assert json.loads(line.partition(": ")[2]) == content


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
def test_the_error_of_a_registry(dolmen: Dolmen, tmp_path: Path, status: int) -> None:
    store = Store(tmp_path / "registry")
    long_text = f"{HOSTILE}{'x' * 100_000}"
    body = json.dumps({"errors": [{"code": HOSTILE, "message": long_text, "detail": HOSTILE}]})
    with faulty_registry(store) as registry:
        registry.fail("/v2/", status=status, body=body.encode())
        for more in ((), ("-v", "-v")):
            words = ("--insecure", registry.host, f"{registry.host}/x:1")
            done = dolmen.run("cache", "pull", *more, *words)
            assert done.returncode == 1
            assert len(shown(done)) < 20_000


def test_a_package_and_its_repository(dolmen: Dolmen, tmp_path: Path) -> None:
    package = tmp_path / HOSTILE_NAME / HOSTILE_NAME
    package.mkdir(parents=True)
    (package / "build.yml").write_text(f"image: tool\nconfig: {{{IN_YAML}: 1}}\n")
    (package / "Dockerfile").write_text(f"FROM scratch\n# {HOSTILE}\nCOPY {HOSTILE_NAME} /\n")
    git(package.parent, "init", "-q", "-b", "main", ".")
    words = ("show-tag", "build", "inputs", "lock", "push")
    for word in words:
        shown(dolmen.run("pkg", word, package))
    (package / "build.yml").write_text(f"image: tool\nlabels: [{IN_YAML}]\n")
    commit(package)
    (package / HOSTILE_NAME).write_text("uncommitted")
    for word in words:
        shown(dolmen.run("pkg", word, package))
        shown(dolmen.run("pkg", word, package / HOSTILE_NAME))
    shown(dolmen.run("pkg", "show-tag", "--hash-commit", HOSTILE, package))
    shown(dolmen.run("pkg", "new", tmp_path / "new" / HOSTILE_NAME))
    shown(dolmen.run("new", tmp_path / f"new {HOSTILE_NAME}"))


def test_the_fields_of_a_debian_package(dolmen: Dolmen, tmp_path: Path) -> None:
    attack = HOSTILE.replace("\r", "").replace("\n", "\n ")
    fields = {"Depends": f"lib{attack}", "Maintainer": attack, attack.split("\x1b")[0]: attack}
    archive = make_archive(tmp_path / "archive", [Deb("tool", fields=fields)])
    packages = Packages(dolmen, archive, tmp_path / "store")
    done = packages.run("build", "--platforms", "amd64", make_package(tmp_path / "work" / "tool"))
    assert done.returncode == 1
    assert "owned" in shown(done)


@pytest.mark.parametrize(
    "words",
    [
        *((HOSTILE,), ("build", f"--{HOSTILE}"), ("explain", HOSTILE), ("inspect", HOSTILE)),
        *(("build", "--format", HOSTILE), ("build", "--arch", HOSTILE), ("run", HOSTILE)),
        *(("--mirror", HOSTILE, "version"), ("--cache", HOSTILE, "cache", "pull", "x")),
        *(("stop", HOSTILE), ("logs", HOSTILE), ("serve", "--port", HOSTILE)),
        *(
            ("run", "qemu", "--wait-for", f"({HOSTILE}", "x"),
            ("metadata", "create", f"{HOSTILE}/x"),
        ),
        *(("schema", HOSTILE), ("completion", HOSTILE), ("keys", "generate", f"/proc/{HOSTILE}")),
        ("pkg", "remote-tag", HOSTILE, HOSTILE),
    ],
)
def test_words_of_a_command_line(dolmen: Dolmen, words: tuple[str, ...]) -> None:
    done = dolmen.run(*words, *(["x"] if words[0] == "metadata" else []))
    assert done.returncode in (1, 2)
    shown(done)


def test_the_log_of_the_server(dolmen: Dolmen, tmp_path: Path) -> None:
    with Run.start(dolmen, "serve", "--port", "0", "--directory", tmp_path) as run:
        found = None
        while found is None and run.process.poll() is None:
            found = re.search(r"http://127\.0\.0\.1:(\d+)/", run.errors.read_text())
        assert found is not None
        attack = HOSTILE.replace("\r\n", "").replace("\n", "").replace(" ", "")
        with socket.create_connection(("127.0.0.1", int(found[1])), timeout=20) as connection:
            connection.sendall(f"GET /{attack} HTTP/1.0\r\n\r\n".encode())
            while connection.recv(4096):
                pass
        text = run.errors.read_text()
    assert "GET" in text
    assert forbidden_characters(text) == set()
