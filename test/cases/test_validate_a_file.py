"""`dolmen validate`: all mistakes at once, with place, excerpt and hint."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen

FIVE_MISTAKES = """\
kernel:
  image: example/kernel:6.12
onboot:
  - name: dhcp
    image: example/dhcp:1
    comand: [/sbin/dhcp]
services:
  - name: web
    image: nginx:1.27
    capabilities: [cap_net_bind_service]
    binds: ["date:/var/lib/data"]
  - name: web
    image: example/other:1
volumes:
  - name: data
files:
  - path: etc/motd
    contents: hello
    mode: 0644
"""
TOLD = """\
image.yml:6:5: error[DM0101]: unknown key 'comand' in onboot[0]
  6 |     comand: [/sbin/dhcp]
    |     ^^^^^^
  hint: did you mean `command`?
image.yml:10:20: error[DM0124]: 'cap_net_bind_service' is not a capability
  10 |     capabilities: [cap_net_bind_service]
     |                    ^^^^^^^^^^^^^^^^^^^^
  hint: write CAP_NET_BIND_SERVICE
image.yml:11:13: error[DM0114]: there is no volume 'date'
  11 |     binds: ["date:/var/lib/data"]
     |             ^^^^^^^^^^^^^^^^^^^^
  hint: did you mean data?
image.yml:12:11: error[DM0110]: duplicate service 'web'
  12 |   - name: web
     |           ^^^
  image.yml:8:11: it was first used here
  8 |   - name: web
    |           ^^^
  hint: rename one of them
image.yml:19:11: error[DM0102]: `mode` must be text, not the number 0644
  19 |     mode: 0644
     |           ^^^^
  hint: put it in quotes: mode: "0644"
5 errors
"""


def test_five_mistakes_are_all_shown(dolmen: Dolmen, tmp_path: Path) -> None:
    """Five mistakes of five kinds, in the order of the file, plain and without colour."""
    (tmp_path / "image.yml").write_text(FIVE_MISTAKES)
    result = dolmen.run("validate", "image.yml", cwd=tmp_path)
    assert result.stderr == TOLD
    assert result.stdout == ""
    assert result.returncode == 1


def test_a_valid_file(dolmen: Dolmen, tmp_path: Path) -> None:
    """It is said to be, and the exit code is 0, also with a warning."""
    (tmp_path / "image.yml").write_text("services: [{name: a, image: 'b:1', cwd: x}]")
    result = dolmen.run("validate", "image.yml", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr.endswith("image.yml: valid\n")
    assert "image.yml:1:41: warning[DM0127]" in result.stderr
    assert "valid\n" not in dolmen.run("-q", "validate", "image.yml", cwd=tmp_path).stderr


def test_diagnostics_for_editors(dolmen: Dolmen, tmp_path: Path) -> None:
    """`--json` gives every diagnostic with its place on standard output."""
    (tmp_path / "image.yml").write_text(FIVE_MISTAKES)
    result = dolmen.run("validate", "--json", "image.yml", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (1, "")
    found = json.loads(result.stdout)
    assert (found["valid"], found["errors"], found["warnings"]) == (False, 5, 0)
    assert found["diagnostics"][0] == {
        "code": "DM0101",
        "severity": "error",
        "message": "unknown key 'comand' in onboot[0]",
        "file": "image.yml",
        "line": 6,
        "column": 5,
        "endColumn": 11,
        "hints": ["did you mean `command`?"],
        "related": [],
    }
    assert found["diagnostics"][3]["related"][0]["line"] == 8


def test_files_separately_or_merged(dolmen: Dolmen, tmp_path: Path) -> None:
    """Each file is checked alone, unless `--merge` says that they belong together."""
    (tmp_path / "a.yml").write_text("volumes: [{name: v}]")
    (tmp_path / "b.yml").write_text("services: [{name: a, image: 'b:1', binds: ['v:/v']}]")
    alone = dolmen.run("validate", "a.yml", "b.yml", cwd=tmp_path)
    assert (alone.returncode, alone.stdout) == (1, "")
    assert alone.stderr.startswith("a.yml: valid\n")
    assert "b.yml:1:44: error[DM0114]" in alone.stderr
    merged = dolmen.run("validate", "--merge", "a.yml", "b.yml", cwd=tmp_path)
    assert (merged.returncode, merged.stderr) == (0, "a.yml + b.yml: valid\n")


def test_standard_input(dolmen: Dolmen) -> None:
    """`-` is standard input."""
    result = dolmen.run("validate", "-", stdin="init: x\n")
    assert "<stdin>:1:7: error[DM0102]" in result.stderr


def test_a_build_yml_is_checked_with_its_schema(dolmen: Dolmen, tmp_path: Path) -> None:
    """build.yml is known by its name, or by `--schema build`."""
    (tmp_path / "build.yml").write_text("image: x\nbogus: 1\nconfig: {capabilities: [KILL]}\n")
    result = dolmen.run("validate", "build.yml", cwd=tmp_path)
    assert "build.yml:2:1: error[DM0101]" in result.stderr
    assert "build.yml:3:25: error[DM0124]" in result.stderr
    fine = dolmen.run("validate", "--schema", "build", "-", stdin="image: x\n")
    assert fine.returncode == 0, fine.stderr
    assert dolmen.run("validate", "--schema", "nonsense", "-").returncode == 2


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "DM0006"),
        (b"\x7fELF\0\0\xff\xff", "DM0005"),
        (b"a: \xff\n", "DM0005"),
        (b"a:\n\t- b\n", "DM0011"),
        (b"[" * 10_000_000, "DM0004"),
        (b"[" * 400_000, "DM0015"),
        (b"a: " + b"!" * 400_000, "DM0010"),
        (b"- &a x\n" * 70_000, "DM0016"),
        (
            b"services:\n" + b"  - {name: nnnnnnnn, image: b, uid: nnnnnnnm, x: y}\n" * 1900,
            "DM0101",
        ),
    ],
    ids=["empty", "binary", "utf-8", "tab", "10 MB", "nesting", "tag", "many", "mistakes"],
)
def test_bad_input_is_refused_soon(
    dolmen: Dolmen, tmp_path: Path, content: bytes, code: str
) -> None:
    """Whatever stands in a file, there is an answer within about a second."""
    (tmp_path / "image.yml").write_bytes(content)
    before = os.times()
    result = dolmen.run("validate", "image.yml", cwd=tmp_path)
    after = os.times()
    # Processor time, for a busy machine; much more if it is measured which lines run.
    used = after.children_user + after.children_system
    used -= before.children_user + before.children_system
    limit = 30 if "COVERAGE_PROCESS_CONFIG" in os.environ else 3
    assert used < limit
    assert result.returncode == 1
    assert f"error[{code}]" in result.stderr
    assert "Traceback" not in result.stderr


def test_files_that_cannot_be_read(dolmen: Dolmen, tmp_path: Path) -> None:
    """Missing, a directory, a pipe without a writer: all are told together."""
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir/inside.yml").write_text("{}")
    (tmp_path / "image.yml").write_text("{}")
    os.mkfifo(tmp_path / "pipe")
    result = dolmen.run("validate", "imag.yml", "dir", "pipe", "no/where.yml", cwd=tmp_path)
    assert result.returncode == 1
    assert "imag.yml: error[DM0001]: there is no file imag.yml" in result.stderr
    assert "did you mean image.yml?" in result.stderr
    assert "dir: error[DM0003]: dir is a directory" in result.stderr
    assert "name the YAML file in it: dir/inside.yml" in result.stderr
    assert "pipe: error[DM0006]" in result.stderr
    assert "there is no directory no" in result.stderr


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_file_without_permission(dolmen: Dolmen, tmp_path: Path) -> None:
    """The system's reason is told."""
    (tmp_path / "image.yml").write_text("{}")
    (tmp_path / "image.yml").chmod(0)
    result = dolmen.run("validate", "image.yml", cwd=tmp_path)
    assert "image.yml: error[DM0002]: cannot read image.yml: permission denied" in result.stderr


def test_templates_are_looked_up(dolmen: Dolmen, tmp_path: Path) -> None:
    """`@pkg:` finds the package beside the file, or says that there is none."""
    package = tmp_path / "pkg/tool"
    package.mkdir(parents=True)
    (package / "build.yml").write_text("image: tool\norg: example\n")
    (tmp_path / "good.yml").write_text("init: ['@pkg:pkg/tool']")
    (tmp_path / "bad.yml").write_text("init: ['@pkg:pkg/tol']")
    good = dolmen.run("validate", tmp_path / "good.yml")
    assert good.returncode == 0, good.stderr
    bad = dolmen.run("validate", "bad.yml", cwd=tmp_path)
    assert "bad.yml:1:8: error[DM07" in bad.stderr


def test_validate_is_quick(dolmen: Dolmen, tmp_path: Path) -> None:
    """A file of 200 lines takes well under a second, as a process of its own."""
    service = (
        "  - name: s{n}\n    image: example/s:1\n    binds:\n      - /etc/hosts:/etc/hosts:ro\n"
    )
    text = "services:\n" + "".join(service.format(n=n) for n in range(50))
    (tmp_path / "image.yml").write_text(text)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert dolmen.run("validate", "image.yml", cwd=tmp_path).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # CPU time: 0.25 s on an idle machine; the bench holds the figure, this only a blunder.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.2


def test_output_into_a_pipe_that_closes(dolmen: Dolmen, tmp_path: Path) -> None:
    """`dolmen schema | head -1` ends quietly."""
    script = "import sys; sys.argv[1:] = ['schema']; from dolmen.__main__ import main; main()"
    command = f'{sys.executable} -c "{script}" | head -1'
    result = subprocess.run(
        ["/bin/sh", "-c", command],
        env=dolmen.environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.stdout, result.stderr) == ("{\n", "")


def test_hints_are_valid_fixes(dolmen: Dolmen, tmp_path: Path) -> None:
    """The advice would be accepted; a dangling link is not its own remedy."""
    (tmp_path / "tab.yml").write_text("kernel:\n\timage: foo\n")
    said = dolmen.run("validate", "tab.yml", cwd=tmp_path).stderr
    assert "tab.yml:2:1: error[DM0011]" in said
    assert "indent with spaces" in said
    assert "double quotes" not in said
    (tmp_path / "mode.yml").write_text("files: [{path: c, contents: x, mode: 0888}]")
    said = dolmen.run("validate", "mode.yml", cwd=tmp_path).stderr
    assert '"0888"' not in said
    assert "octal digits" in said
    (tmp_path / "gone.yml").symlink_to("elsewhere.yml")
    said = dolmen.run("validate", "gone.yml", cwd=tmp_path).stderr
    assert "gone.yml is a dangling symbolic link" in said
    assert "elsewhere.yml" in said
    assert "did you mean" not in said
