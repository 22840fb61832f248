"""`dolmen new --service`: a package and an image for a program in a directory."""

from __future__ import annotations

import shutil
import struct
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from support.recipes import commit, git

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from support.cli import Dolmen

GO = 'package main\n\nimport "net/http"\n\nfunc main() { http.ListenAndServe(":80", nil) }\n'
PYTHON = 'from http.server import *\nHTTPServer(("", 8000), SimpleHTTPRequestHandler)\n'


def write(directory: Path, **files: str) -> Path:
    """Write files into a directory; `__` in a keyword is a dot, `_in_` a slash."""
    for name, text in files.items():
        path = directory / name.replace("_in_", "/").replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


def elf(machine: int = 62, *, interpreter: bool) -> bytes:
    """Return the beginning of a program."""
    header = struct.pack(
        "<16sHHIQQQIHHH", b"\x7fELF\x02\x01\x01", 2, machine, 1, 0, 64, 0, 0, 64, 56, 2
    )
    segments = b"".join(struct.pack("<I52x", kind) for kind in (1, 3 if interpreter else 2))
    return header.ljust(64, b"\0") + segments


def make(dolmen: Dolmen, directory: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return dolmen.run("new", "--service", directory.name, *more, cwd=directory.parent)


def build_file(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load((directory / "build.yml").read_text())
    return found


def check(dolmen: Dolmen, directory: Path, *, image: str = "image.yml") -> None:
    """Check that the files are valid, and name nothing of this machine."""
    for file in (directory / "build.yml", directory.parent / image):
        valid = dolmen.run("validate", file.relative_to(directory.parent), cwd=directory.parent)
        assert valid.returncode == 0, valid.stderr
        assert "warning" not in valid.stderr
        text = file.read_text()
        assert str(directory.parent) not in text
        schema = text.splitlines()[0].partition("$schema=")[2]
        assert (file.parent / schema).is_file()


def test_a_go_module(dolmen: Dolmen, tmp_path: Path) -> None:
    app = write(tmp_path / "My_App", go__mod="module example.com/app\n\ngo 1.22\n", main__go=GO)
    made = make(dolmen, app)
    assert (made.returncode, made.stdout) == (0, "")
    assert made.stderr.splitlines() == [
        "detected a Go module (go.mod) with the program main",
        "wrote My_App/build.yml",
        "wrote image.yml",
        "next: dolmen run qemu image.yml --publish 8080:80",
    ]
    built = build_file(app)
    assert built["image"] == "my-app"
    assert built["go"]["programs"] == {"/usr/bin/my-app": "."}
    assert built["config"]["capabilities"] == ["CAP_NET_BIND_SERVICE"]
    assert "network" not in built
    assert 'image: "@pkg:./My_App"' in (tmp_path / "image.yml").read_text()
    check(dolmen, app)


def test_programs_of_a_go_module_in_cmd(dolmen: Dolmen, tmp_path: Path) -> None:
    module = "module example.com/app\n\ngo 1.22\n\nrequire (\n\tgolang.org/x/sys v0.1.0\n)\n"
    files = {"go__mod": module, "cmd_in_one_in_main__go": GO, "cmd_in_app_in_x__go": GO}
    app = write(tmp_path / "app", lib_in_lib__go="package lib\n", **files)
    assert make(dolmen, app).returncode == 0
    built = build_file(app)
    assert built["go"]["programs"] == {"/usr/bin/app": "./cmd/app", "/usr/bin/one": "./cmd/one"}
    assert built["debs"]["command"] == ["/usr/bin/app"]
    assert built["network"] is True
    other = write(tmp_path / "other", **{k: v for k, v in files.items() if "app" not in k})
    write(other, cmd_in_two_in_main__go=GO)
    made = make(dolmen, other, "b.yml")
    assert "not detected: which of /usr/bin/one, /usr/bin/two is the service" in made.stderr
    library = write(tmp_path / "library", go__mod="module x\n", lib__go="package lib\n")
    refused = make(dolmen, library, "c.yml")
    assert refused.returncode == 2
    assert "has no program" in refused.stderr


def test_a_program_in_python(dolmen: Dolmen, tmp_path: Path) -> None:
    app = write(tmp_path / "app", server__py=PYTHON, helper__py="", requirements__txt="flask>=3\n")
    write(app, data_in_x__txt="x", __pycache___in_y__pyc="y", README__md="")
    made = make(dolmen, app)
    assert "detected a program in Python (server.py)\n" in made.stderr
    assert (
        "not detected: the Debian packages of requirements.txt, such as python3-flask"
        in made.stderr
    )
    assert made.stderr.endswith("next: dolmen run qemu image.yml --publish 8000:8000\n")
    recipe = build_file(app)["debs"]
    assert recipe["command"] == ["/usr/bin/python3", "-u", "/opt/app/server.py"]
    sources = [file["source"] for file in recipe["files"]]
    assert sources == ["data", "helper.py", "requirements.txt", "server.py"]
    check(dolmen, app)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"__main__": ""}, ["-u", "/opt/app"]),
        ({"tool_in___main__": "", "setup__py": "", "x__py": ""}, ["-u", "-m", "tool"]),
    ],
)
def test_python_packages(
    dolmen: Dolmen, tmp_path: Path, files: dict[str, str], words: list[str]
) -> None:
    app = tmp_path / "app"
    for name in files:
        path = app / name.replace("_in_", "/").replace("__py", ".py")
        path = path.with_name("__main__.py") if "main" in name else path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    assert make(dolmen, app).returncode == 0
    assert build_file(app)["debs"]["command"][1:] == words


def test_a_program_for_node(dolmen: Dolmen, tmp_path: Path) -> None:
    app = write(tmp_path / "app", srv__js="require('http').createServer().listen(3000)\n")
    write(app, package__json='{"scripts": {"start": "node ./srv.js"}, "dependencies": {"x": "1"}}')
    made = make(dolmen, app)
    assert "not detected: node_modules" in made.stderr
    assert made.stderr.endswith(" --publish 3000:3000\n")
    assert build_file(app)["debs"]["command"] == ["/usr/bin/node", "/opt/app/srv.js"]
    check(dolmen, app)


@pytest.mark.parametrize(
    ("first", "command", "package"),
    [
        ("#!/bin/sh\n", "/usr/bin/sh", "dash"),
        ("#!/usr/bin/env bash\n", "/usr/bin/bash", "bash"),
        ("#!/usr/bin/env -S perl -w\n", "/usr/bin/perl", "perl"),
        ("#!/usr/bin/python3 -u\n", "/usr/bin/python3", "python3"),
    ],
)
def test_a_script(dolmen: Dolmen, tmp_path: Path, first: str, command: str, package: str) -> None:
    app = write(tmp_path / "app", loop=f"{first}# no wget\ncurl example.com | jq .\n")
    write(app, notes="#!/bin/sh\n")
    (app / "loop").chmod(0o755)
    assert make(dolmen, app).returncode == 0
    recipe = build_file(app)["debs"]
    assert recipe["command"] == [command, "/opt/app/loop"]
    assert recipe["packages"][0] == package
    shell = command.endswith("sh")
    assert [p in recipe["packages"] for p in ("curl", "jq", "wget")] == [shell, shell, False]
    check(dolmen, app)


@pytest.mark.parametrize("interpreter", [False, True])
def test_a_compiled_program(dolmen: Dolmen, tmp_path: Path, *, interpreter: bool) -> None:
    app = write(tmp_path / "app", Makefile="all:\n")
    (app / "tool").write_bytes(elf(183, interpreter=interpreter))
    (app / "tool").chmod(0o755)
    (app / "libx.so.1").write_bytes(elf(183, interpreter=False))
    (app / "libx.so.1").chmod(0o755)
    made = make(dolmen, app)
    linked = "dynamically" if interpreter else "statically"
    assert f"detected a compiled program (tool), linked {linked}, for arm64\n" in made.stderr
    assert ("not detected" in made.stderr) is interpreter
    built = build_file(app)
    assert built["arches"] == ["arm64"]
    assert built["debs"]["packages"] == (["libc6"] if interpreter else [])
    check(dolmen, app)


def test_a_dockerfile(dolmen: Dolmen, tmp_path: Path) -> None:
    app = write(
        tmp_path / "app", Dockerfile="FROM scratch\nCOPY x /x\nEXPOSE 9000\n", x="", main__py=""
    )
    assert make(dolmen, app).stderr.endswith(" --publish 9000:9000\n")
    assert "debs" not in build_file(app)
    check(dolmen, app)


def test_a_directory_without_a_program(dolmen: Dolmen, tmp_path: Path) -> None:
    empty = write(tmp_path / "empty", notes__txt="")
    refused = make(dolmen, empty)
    assert refused.returncode == 2
    assert "go.mod" in refused.stderr
    several = write(tmp_path / "several", a__py="", b__py="")
    assert "a.py, b.py" in make(dolmen, several).stderr
    missing = make(dolmen, tmp_path / "none")
    assert missing.returncode == 2
    assert "there is no directory none" in missing.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "home", "several"]


def test_existing_files_are_kept(dolmen: Dolmen, tmp_path: Path) -> None:
    app = write(tmp_path / "app", main__py="", build__yml="mine")
    refused = make(dolmen, app)
    assert refused.returncode == 2
    assert "app/build.yml already exists" in refused.stderr
    assert not (tmp_path / "image.yml").exists()
    (app / "build.yml").unlink()
    (tmp_path / "image.yml").write_text("mine")
    assert make(dolmen, app).returncode == 2
    assert not (app / "build.yml").exists()
    assert make(dolmen, app, "--force").returncode == 0
    assert (tmp_path / "image.yml").read_text() != "mine"


def test_the_directory_itself_and_unusual_names(dolmen: Dolmen, tmp_path: Path) -> None:
    app = write(tmp_path / 'a "b": c', **{"main__py": "", "no": "", "x y, z__txt": ""})
    made = dolmen.run("new", "--service", ".", "my image.yml", cwd=app)
    assert made.stderr.endswith("next: dolmen run qemu 'my image.yml'\n"), made.stderr
    assert 'image: "@pkg:."' in (app / "my image.yml").read_text()
    built = build_file(app)
    assert [file["source"] for file in built["debs"]["files"]] == ["main.py", "no", "x y, z.txt"]
    for file in ("build.yml", "my image.yml"):
        assert dolmen.run("validate", file, cwd=app).returncode == 0
    shutil.rmtree(app)
    assert dolmen.run("new", "--service", "x", "-", cwd=tmp_path).returncode == 2
    both = dolmen.run("new", "--service", "x", "--template", "ssh", cwd=tmp_path)
    assert both.returncode == 2


def test_git_has_to_know_the_package(dolmen: Dolmen, tmp_path: Path) -> None:
    """A repository with commits refuses the build before; the next command commits it."""
    work = tmp_path / "work"
    app = write(work / "app", run__sh="echo hello\n")
    git(work, "init", "-q", ".")
    assert make(dolmen, app).stderr.endswith("next: dolmen run qemu image.yml\n")
    git(work, "commit", "-q", "--allow-empty", "-m", "begin")
    made = make(dolmen, app, "--force")
    last = made.stderr.splitlines()[-1]
    add = "git add app && git commit -m 'Add app' && "
    assert last == f"next: {add}dolmen run qemu image.yml"
    commit(work)
    assert "git" not in make(dolmen, app, "--force").stderr
    assert dolmen.run("pkg", "show-tag", "app", cwd=work).returncode == 0
