"""A user builds again: an unchanged build returns at once, every relevant change rebuilds."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from assembler.oci.reference import Reference
from assembler.oci.store import Store
from support.archives import E, image
from support.pictures import Painter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.cli import Dolmen

YAML = """\
kernel: {image: 'example/kernel:6.1', cmdline: quiet}
init: ['example/runc:v1', 'made/start:1']
services: [{name: a, image: 'made/app:1', command: [app], seccomp: profile.json}]
files:
  - {path: etc/motd, contents: hello}
  - {path: etc/copied, source: copied.txt}
  - {path: etc/perhaps, source: perhaps.txt, optional: true}
"""


@dataclass
class Project:
    """A directory with image.yml, and a store."""

    dolmen: Dolmen
    directory: Path
    store: Store
    env: dict[str, str] = field(default_factory=dict)

    def build(self, *options: str | Path, stdin: str | None = None) -> dict[str, Any]:
        """Build, and return the result as JSON."""
        files = () if options and str(options[-1]).endswith((".yml", "-")) else ("image.yml",)
        run = self.dolmen.run(
            *("build", "--cache", self.store.root, "--offline", "--json", *options, *files),
            cwd=self.directory,
            stdin=stdin,
            env=self.env,
        )
        assert run.returncode == 0, run.stderr
        result: dict[str, Any] = json.loads(run.stdout)
        return result

    def file(self, name: str) -> Path:
        """Return a file of the project."""
        return self.directory / name


@pytest.fixture
def project(dolmen: Dolmen, conformance_layout: Path, tmp_path: Path) -> Project:
    """Give a project of which nothing was built yet."""
    shutil.copytree(conformance_layout, tmp_path / "store")
    store = Store(tmp_path / "store")
    start = [E("init", b"#!", mode=0o755), E("usr/bin/runc", b"#!", mode=0o755)]
    image(store, "made/start:1", start)
    image(store, "made/app:1", [E("bin/app", b"one", mode=0o755)])
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "image.yml").write_text(YAML)
    (directory / "copied.txt").write_text("copied")
    (directory / "profile.json").write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    return Project(dolmen, directory, store)


def test_an_unchanged_build_writes_nothing(project: Project) -> None:
    first = project.build()
    seen = {p: p.stat().st_mtime_ns for p in project.directory.iterdir()}
    second = project.build()
    assert (first["unchanged"], second["unchanged"]) == (False, True)
    assert {p: p.stat().st_mtime_ns for p in project.directory.iterdir()} == seen
    assert first["outputs"] == second["outputs"]
    assert first["parts"] == second["parts"]
    for output in second["outputs"]:
        content = project.file(output["path"]).read_bytes()
        assert output["size"] == len(content)
        assert output["digest"] == "sha256:" + hashlib.sha256(content).hexdigest()


def test_an_unchanged_build_is_reported(project: Project) -> None:
    project.build()
    words = ("build", "--cache", project.store.root, "--offline", "image.yml")
    run = project.dolmen.run(*words, cwd=project.directory)
    assert run.returncode == 0
    assert run.stdout.split() == [f"image-{name}" for name in ("kernel", "initrd.img", "cmdline")]
    assert [line.split() for line in run.stderr.splitlines()] == [
        [f"image-{name}", "unchanged"] for name in ("kernel", "initrd.img", "cmdline")
    ]
    assert project.dolmen.run("-q", *words, cwd=project.directory).stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tar", "docker", "tar-kernel-initrd", "oci"])
def test_every_format_is_unchanged(name: str, project: Project) -> None:
    first = project.build("--format", name)
    second = project.build("--format", name)
    assert (first["unchanged"], second["unchanged"]) == (False, True)
    assert first["outputs"] == second["outputs"]
    for output in second["outputs"]:
        assert output["format"] == name
        assert output["digest"].startswith("sha256:")
    third = project.build("--format", name, "--force")
    assert not third["unchanged"]
    assert third["outputs"] == first["outputs"]


def _yaml(project: Project) -> None:
    project.file("image.yml").write_text(YAML.replace("hello", "hullo"))


def _source(project: Project) -> None:
    project.file("copied.txt").write_text("other")


def _source_of_the_same_size_and_time(project: Project) -> None:
    path = project.file("copied.txt")
    seen = path.stat()
    new = project.file("new")
    new.write_text("DEPIOC")
    os.utime(new, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    new.replace(path)


def _optional_source(project: Project) -> None:
    project.file("perhaps.txt").write_text("it is there")


def _seccomp_profile(project: Project) -> None:
    project.file("profile.json").write_text('{"defaultAction": "SCMP_ACT_LOG"}')


def _image_by_its_tag(project: Project) -> None:
    image(project.store, "made/app:1", [E("bin/app", b"two")])


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        _yaml,
        _source,
        _source_of_the_same_size_and_time,
        _optional_source,
        _seccomp_profile,
        _image_by_its_tag,
    ],
)
def test_a_change_rebuilds_the_output(change: Callable[[Project], None], project: Project) -> None:
    first = project.build()
    change(project)
    second = project.build()
    assert not second["unchanged"]
    assert second["outputs"][1]["digest"] != first["outputs"][1]["digest"]
    assert project.build()["unchanged"]


def _deleted(path: Path) -> None:
    path.unlink()


def _edited(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"\0", b"\1"))


def _cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _touched(path: Path) -> None:
    os.utime(path, (1, 1))


@pytest.mark.slow
@pytest.mark.parametrize("change", [_deleted, _edited, _cut_short, _touched])
@pytest.mark.parametrize("name", ["image-kernel", "image-initrd.img"])
def test_a_modified_output_is_rebuilt(
    change: Callable[[Path], None], name: str, project: Project
) -> None:
    first = project.build()
    change(project.file(name))
    second = project.build()
    assert not second["unchanged"]
    assert second["outputs"] == first["outputs"]
    content = project.file(name).read_bytes()
    assert hashlib.sha256(content).hexdigest() in json.dumps(first)


@pytest.mark.slow
def test_a_moved_image_of_format_oci_is_rebuilt(project: Project) -> None:
    project.build("--format", "oci")
    other = Painter(project.store).image({"a": b"1"})
    project.store.put(Reference.parse("image"), other)
    assert not project.build("--format", "oci")["unchanged"]
    assert project.build("--format", "oci")["unchanged"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ["--compression", "zstd"],
        ["--compression", "gzip:3"],
        ["--no-sbom"],
        ["--sbom-output", "etc/sbom.json"],
        ["--decompress-kernel"],
        ["--name", "other"],
        ["--dir", "out"],
        ["--format", "kernel+initrd,oci"],
    ],
    ids=" ".join,
)
def test_other_options_rebuild(options: list[str], project: Project) -> None:
    image_yml = project.file("image.yml")
    image_yml.write_text(YAML.replace("kernel:6.1", "kernel:gz"))
    project.build()
    assert not project.build(*options)["unchanged"]
    assert project.build(*options)["unchanged"]


@pytest.mark.slow
def test_irrelevant_options_do_not_rebuild(project: Project) -> None:
    project.build()
    assert project.build("--jobs", "1")["unchanged"]
    online = project.dolmen.run(
        *("build", "--cache", project.store.root, "image.yml"), cwd=project.directory
    )
    assert "unchanged" in online.stderr


@pytest.mark.slow
def test_standard_output_and_input(project: Project) -> None:
    words = ("build", "--cache", project.store.root, "--offline", "--format", "tar")
    stamps = project.store.root / "stamps"
    for output in ("-", project.file("pipe")):
        os.mkfifo(project.file("pipe"))
        for _ in range(2):
            with subprocess.Popen(
                [sys.executable, "-m", "dolmen", *map(str, words), "-o", str(output), "image.yml"],
                cwd=project.directory,
                env=project.dolmen.environment(),
                stdout=subprocess.PIPE,
            ) as process:
                assert process.stdout is not None
                source = process.stdout if output == "-" else project.file("pipe").open("rb")
                with source:
                    data = source.read()
            assert process.returncode == 0
            assert data[257:262] == b"ustar"
            assert not stamps.exists()
        assert stat.S_ISFIFO(project.file("pipe").stat().st_mode)
        project.file("pipe").unlink()
    first = project.build("-", stdin=YAML)
    assert first["outputs"][0]["path"] == "moby-kernel"
    assert project.build("-", stdin=YAML)["unchanged"]
    assert not project.build("-", stdin=YAML.replace("hello", "hullo"))["unchanged"]


@pytest.mark.slow
def test_damaged_stamps_are_ignored(project: Project) -> None:
    project.build()
    (stamp,) = (project.store.root / "stamps").iterdir()
    for content in (b"", b"{", b"[]", b'{"names": 3}', stamp.read_bytes()[:-20]):
        stamp.write_bytes(content)
        assert not project.build()["unchanged"]
        assert project.build()["unchanged"]


@pytest.mark.slow
@pytest.mark.parametrize("change", ["beside the YAML file", "in the current directory"])
def test_a_source_beside_a_yaml_file_elsewhere(project: Project, change: str) -> None:
    """Both places where a source is searched count."""
    directory = project.directory / "sub"
    directory.mkdir()
    (directory / "a.yml").write_text(
        "init: ['example/runc:v1']\nfiles: [{path: n, source: note, optional: true}]\n"
    )
    project.build("sub/a.yml")
    assert project.build("sub/a.yml")["unchanged"]
    place = directory if change == "beside the YAML file" else project.directory
    (place / "note").write_text("new")
    assert not project.build("sub/a.yml")["unchanged"]
    assert project.build("sub/a.yml")["unchanged"]
    (directory / "note").write_text("newer")
    assert not project.build("sub/a.yml")["unchanged"]


def test_another_home_directory_rebuilds_sources(project: Project) -> None:
    for name in ("one", "two"):
        (project.directory / name).mkdir()
        (project.directory / name / "note").write_text(name)
    text = "init: ['example/runc:v1']\nfiles: [{path: n, source: '~/note'}]\n"
    project.file("image.yml").write_text(text)
    digests = set()
    for name in ("one", "two"):
        project.env["HOME"] = str(project.directory / name)
        result = project.build("--format", "tar")
        assert not result["unchanged"]
        digests.add(result["outputs"][0]["digest"])
    assert len(digests) == 2
