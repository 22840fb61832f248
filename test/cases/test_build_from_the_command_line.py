"""Every option of `dolmen build`, as users of LinuxKit use them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from assembler.oci.reference import Reference
from assembler.oci.store import Store
from support.archives import E, image
from support.cpio import archives_of
from support.docker_daemon import docker_daemon
from support.faulty_registry import faulty_registry
from support.pictures import AMD64, Painter

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen

pytestmark = pytest.mark.slow

YAML = """\
kernel: {image: 'example/kernel:gz', cmdline: quiet}
init: ['example/init:v1', 'example/spdx-one:1']
services: [{name: s, image: 'example/onlycmd:1'}]
files: [{path: etc/motd, contents: hello}]
"""
KERNEL = b"UNPACKED KERNEL\n" * 40
MAGIC = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd", "xz": b"\xfd7zXZ", "none": b"070701"}


@dataclass(frozen=True)
class Desk:
    """A directory with image.yml that commands are typed in, and the store they use."""

    dolmen: Dolmen
    directory: Path
    store: Path

    def type(
        self, *words: str | Path, stdin: str = "", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `dolmen build WORDS`."""
        variables = {"DOLMEN_CACHE": str(self.store), **(env or {})}
        return self.dolmen.run("build", *words, cwd=self.directory, stdin=stdin, env=variables)

    def build(self, *words: str | Path, **more: Any) -> str:
        """Build image.yml from what the store has, and return what was said."""
        run = self.type("--offline", *words, "image.yml", **more)
        assert run.returncode == 0, run.stderr
        # The paths or names of the outputs; notes also have their sizes.
        noted = [line.partition("  ")[0] for line in run.stderr.splitlines() if "  " in line]
        assert "-q" in words or set(run.stdout.splitlines()) <= set(noted)
        return run.stderr

    def refused(self, *words: str | Path, status: int = 2, **more: Any) -> str:
        """Try to build, and return what is said against it; nothing was written."""
        before = self.files
        run = self.type("--offline", *words, "image.yml", **more)
        assert (run.returncode, run.stdout) == (status, "")
        assert self.files == before
        assert "Traceback" not in run.stderr
        return run.stderr

    @property
    def files(self) -> set[str]:
        """Return what is in the directory."""
        found = (p for p in self.directory.rglob("*") if p.is_file())
        return {str(p.relative_to(self.directory)) for p in found} - {"image.yml"}

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        return (self.directory / name).read_bytes()

    def tree(self, name: str = "image.tar") -> dict[str, bytes]:
        """Return the regular files of a tar."""
        return tree(self.read(name))

    def sbom(self, name: str = "sbom.spdx.json") -> Any:
        """Return the SPDX document of the tar."""
        return json.loads(self.tree()[name])


def tree(data: bytes) -> dict[str, bytes]:
    """Return the regular files of a tar."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        files = ((m.name, archive.extractfile(m)) for m in archive if m.isfile())
        return {name: file.read() for name, file in files if file is not None}


@pytest.fixture(scope="module")
def store(conformance_layout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a store with the conformance images; tests may add to it."""
    root = tmp_path_factory.mktemp("desk") / "store"
    shutil.copytree(conformance_layout, root)
    return root


@pytest.fixture
def desk(dolmen: Dolmen, store: Path, tmp_path: Path) -> Desk:
    """Give a directory with nothing but image.yml."""
    directory = tmp_path / "desk"
    directory.mkdir()
    (directory / "image.yml").write_text(YAML)
    return Desk(dolmen, directory, store)


def test_without_options(desk: Desk) -> None:
    said = desk.build()
    assert desk.files == {"image-kernel", "image-initrd.img", "image-cmdline"}
    assert desk.read("image-cmdline") == b"quiet"
    assert desk.read("image-kernel")[:2] == b"\x1f\x8b"
    assert all(name in said for name in desk.files)


def test_formats_repeated_and_with_commas(desk: Desk) -> None:
    desk.build("--format", "tar-kernel-initrd,kernel+initrd", "-f", "oci", "--format", "oci")
    assert desk.files == {
        *("image-kernel", "image-initrd.img", "image-cmdline"),
        "image-initrd.tar",
    }
    packed = desk.tree("image-initrd.tar")
    assert packed["kernel"] == desk.read("image-kernel")
    assert packed["initrd.img"] == desk.read("image-initrd.img")
    assert Store(desk.store).names().named("docker.io/library/image:latest")


def test_formats_that_exclude_others(desk: Desk) -> None:
    for name in ("tar", "docker"):
        assert f"{name} must be the only format" in desk.refused(
            "--format", f"kernel+initrd,{name}"
        )
    desk.build("--format", "docker")
    assert desk.tree("image.docker")["Dockerfile"].strip().startswith(b"FROM scratch\n")


def test_formats_are_listed(desk: Desk) -> None:
    listed = desk.type("--format", "help")
    assert (listed.returncode, listed.stderr) == (0, "")
    lines = [line.split(maxsplit=1) for line in listed.stdout.splitlines()]
    names = [name for name, _ in lines]
    assert {"tar", "docker", "kernel+initrd", "tar-kernel-initrd", "oci"} <= set(names)
    assert all(description for _, description in lines)


def test_names_and_directories(desk: Desk) -> None:
    desk.build("--name", "box", "--dir", "out/of/the/way")
    assert desk.files == {f"out/of/the/way/box-{x}" for x in ("kernel", "initrd.img", "cmdline")}
    assert "use --dir" in desk.refused("--name", "out/box")
    (desk.directory / "file").write_text("")
    assert "file" in desk.refused("--dir", "file", status=1)


@pytest.mark.parametrize("option", ["-o", "--output", "--o", "-output", "--output="])
def test_a_chosen_output(desk: Desk, option: str) -> None:
    desk.build(*([f"{option}some.thing"] if option.endswith("=") else [option, "some.thing"]))
    assert desk.files == {"some.thing"}
    assert desk.tree("some.thing")["etc/motd"] == b"hello"


def test_standard_output(desk: Desk) -> None:
    desk.build("--format", "tar")
    words = ["build", "--offline", "-o", "-", "image.yml"]
    run = subprocess.run(
        [sys.executable, "-m", "dolmen", *words],
        cwd=desk.directory,
        env=desk.dolmen.environment({"DOLMEN_CACHE": str(desk.store)}),
        capture_output=True,
        check=True,
    )
    assert run.stdout == desk.read("image.tar")
    assert b"standard output" in run.stderr


def test_a_terminal_as_output_is_refused(desk: Desk) -> None:
    ours, theirs = pty.openpty()
    run = subprocess.run(
        [sys.executable, "-m", "dolmen", "build", "--offline", "-o", "-", "image.yml"],
        cwd=desk.directory,
        env=desk.dolmen.environment({"DOLMEN_CACHE": str(desk.store)}),
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # nobody holds the other end any more
        shown = os.read(ours, 100)
    os.close(ours)
    assert (run.returncode, shown) == (2, b"")
    assert "terminal" in run.stderr


def test_contradicting_outputs_are_refused(desk: Desk) -> None:
    assert "--name" in desk.refused("-o", "x.tar", "--name", "y")
    assert "--dir" in desk.refused("-o", "x.tar", "--dir", "y")
    assert "is more than one file" in desk.refused("-o", "x", "--format", "kernel+initrd")
    assert "--json" in desk.refused("-o", "-", "--json")
    for directory in (".", "/", str(desk.directory)):
        assert "is a directory" in desk.refused("-o", directory)


@pytest.mark.parametrize("size", ["2", "512M", "1024M", "2G", "2GB"])
def test_sizes(desk: Desk, size: str) -> None:
    desk.build("--size", size, "--format", "tar")


@pytest.mark.parametrize("size", ["0", "-1", "x", "12K", "1.5G"])
def test_invalid_sizes_are_refused(desk: Desk, size: str) -> None:
    assert "--size" in desk.refused(f"--size={size}")


def test_pull_contacts_the_registry_for_stored_images(desk: Desk, tmp_path: Path) -> None:
    elsewhere = Store(tmp_path / "registry")
    with faulty_registry(elsewhere) as registry:
        painter = Painter(elsewhere)
        name = registry.publish("app", "1", painter.image({"version": b"one"}))
        image_yml = desk.directory / "image.yml"
        image_yml.write_text(f"init: ['{name}']\n")
        words = ("--format", "tar", "--arch", "amd64", "image.yml")
        for option, version in (("", b"one"), ("", b"one"), ("--pull", b"two"), ("-pull", b"two")):
            run = desk.type(*([option] if option else []), *words)
            assert run.returncode == 0, run.stderr
            assert desk.tree()["version"] == version
            registry.publish("app", "1", painter.image({"version": b"two"}))
        registry.forget()
        assert desk.type(*words).returncode == 0
        assert not registry.requests
    run = desk.type("--pull", *words)
    assert run.returncode == 1
    assert name in run.stderr
    assert "image.yml:1:" in run.stderr


def test_docker_images_are_preferred(desk: Desk, tmp_path: Path) -> None:
    source = Store(tmp_path / "source")
    painter, name = Painter(source), Reference.parse("made/local:1")
    source.put(name, painter.image({"from": b"the daemon"}))
    image(Store(desk.store), "made/local:1", [E("from", b"the store")])
    (desk.directory / "image.yml").write_text("init: ['made/local:1', 'example/init:v1']\n")
    words = ("--format", "tar", "--arch", "amd64", "image.yml")
    socket = tmp_path / "docker.sock"
    variables = {"DOCKER_HOST": f"unix://{socket}"}
    assert desk.type(*words, env=variables).returncode == 0
    assert desk.tree()["from"] == b"the store"
    with docker_daemon(socket) as daemon:
        daemon.has(source, name, AMD64)
        for option in ("--docker", "-docker"):
            run = desk.type(option, *words, env=variables)
            assert run.returncode == 0, run.stderr
            assert desk.tree()["from"] == b"the daemon"
    run = desk.type("--docker", *words, env=variables)
    assert run.returncode == 0, run.stderr
    assert "warning[DM0213]" in run.stderr
    assert desk.tree()["from"] == b"the daemon"  # it is in the store now


def test_architectures(desk: Desk) -> None:
    (desk.directory / "image.yml").write_text("init: ['example/multi:1']\n")
    trees = set()
    for name, alias in (("amd64", "x86_64"), ("arm64", "aarch64"), ("riscv64", "riscv64")):
        desk.build("--arch", name, "--format", "tar")
        once = desk.read("image.tar")
        desk.build("-arch", alias, "--format", "tar")
        assert desk.read("image.tar") == once
        trees.add(once)
    assert len(trees) == 3
    said = desk.refused("--arch", "s390x", status=1)
    assert "linux/s390x" in said
    assert "linux/riscv64" in said
    assert "did you mean amd64?" in desk.refused("--arch", "amd46")


def test_a_kernel_is_unpacked(desk: Desk) -> None:
    for option in ("--decompress-kernel", "-decompress-kernel"):
        desk.build("--name", option.strip("-"), option)
        assert desk.read("decompress-kernel-kernel") == KERNEL
    desk.build(option, "--format", "tar")
    assert desk.tree()["boot/kernel"] == KERNEL


def test_the_sbom(desk: Desk) -> None:
    desk.build("--format", "tar")
    names = {p["name"] for p in desk.sbom()["packages"]}
    assert names
    assert desk.sbom()["creationInfo"]["created"] == "2017-04-18T16:30:00Z"
    desk.build("--format", "tar", "--sbom-output", "usr/share/sbom.json")
    assert "sbom.spdx.json" not in desk.tree()
    assert {p["name"] for p in desk.sbom("usr/share/sbom.json")["packages"]} == names
    desk.build("--format", "tar", "--no-sbom")
    assert not [name for name in desk.tree() if "sbom" in name]
    assert "--no-sbom" in desk.refused("--sbom-output", "")
    assert "leads upwards" in desk.refused("--sbom-output", "../x", status=1)


def test_when_the_sbom_was_made(desk: Desk) -> None:
    words = ("--format", "tar", "--sbom-current-time")
    desk.build(*words, env={"SOURCE_DATE_EPOCH": "1000000000"})
    assert desk.sbom()["creationInfo"]["created"] == "2001-09-09T01:46:40Z"
    desk.build(*words)
    assert desk.sbom()["creationInfo"]["created"] > "2024"
    said = desk.refused(*words, env={"SOURCE_DATE_EPOCH": "yesterday"})
    assert "SOURCE_DATE_EPOCH" in said


def test_a_link_to_a_descriptor_is_written_through(desk: Desk) -> None:
    """As /dev/stdout, when the standard output is a file; root could replace that link."""
    link, out = desk.directory / "link", desk.directory / "out"
    link.symlink_to("/proc/self/fd/1")
    out.write_bytes(b"before")
    words = ["build", "--offline", "--format", "tar", "--output", str(link), "image.yml"]
    with out.open("ab") as stdout:
        subprocess.run(
            [sys.executable, "-m", "dolmen", *words],
            cwd=desk.directory,
            env=desk.dolmen.environment({"DOLMEN_CACHE": str(desk.store)}),
            stdout=stdout,
            check=True,
        )
    assert link.is_symlink()
    content = out.read_bytes()
    assert content.startswith(b"before")
    with tarfile.open(fileobj=io.BytesIO(content.removeprefix(b"before"))) as archive:
        assert archive.getnames()


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_outputs_obey_the_umask(desk: Desk, umask: int) -> None:
    formats = ("--format", "kernel+initrd,tar-kernel-initrd")
    desk.build(*formats, "--dir", "usual")
    before = os.umask(umask)
    try:
        desk.build(*formats, "--dir", "out", "--force")
        secret = desk.directory / "keys"
        for words in (("metadata", "create", "out/m.iso", "text"), ("keys", "generate", secret)):
            desk.dolmen.run(*words, cwd=desk.directory, check=True)
    finally:
        os.umask(before)
    out = desk.directory / "out"
    assert out.stat().st_mode & 0o777 == 0o777 & ~umask
    assert {p.stat().st_mode & 0o777 for p in out.iterdir()} == {0o666 & ~umask}
    for path in (desk.directory / "usual").iterdir():
        assert (out / path.name).read_bytes() == path.read_bytes()
    modes = {p.suffix: p.stat().st_mode & 0o777 for p in secret.iterdir()}
    assert modes[".key"] == 0o600
    assert modes[".crt"] == 0o666 & ~umask


def test_a_dry_run(desk: Desk) -> None:
    (desk.directory / "site.yml").write_text("files: [{path: etc/site, contents: here}]\n")
    run = desk.type("--dry-run", "image.yml", "site.yml", "--name", "x")
    assert (run.returncode, run.stderr) == (0, "")
    assert desk.files == {"site.yml"}
    whole = desk.type("--offline", "--format", "tar", "--name", "one", "image.yml", "site.yml")
    assert whole.returncode == 0, whole.stderr
    again = desk.type("--offline", "--format", "tar", "--name", "two", "-", stdin=run.stdout)
    assert again.returncode == 0, again.stderr
    assert desk.read("one.tar") == desk.read("two.tar")
    assert "there is no output format" in desk.refused("--dry-run", "--format", "nonsense")


def test_several_files_and_standard_input(desk: Desk) -> None:
    (desk.directory / "more.yml").write_text("files: [{path: etc/more, contents: more}]\n")
    run = desk.type(
        *("--offline", "--format", "tar", "image.yml", "-", "more.yml"),
        stdin="kernel: {cmdline: from the pipe}\nfiles: [{path: etc/piped, contents: piped}]\n",
    )
    assert run.returncode == 0, run.stderr
    found = desk.tree("more.tar")
    assert found["boot/cmdline"] == b"from the pipe"
    assert [found[f"etc/{n}"] for n in ("motd", "piped", "more")] == [b"hello", b"piped", b"more"]
    run = desk.type("--offline", "--format", "tar", "-", stdin=YAML)
    assert run.returncode == 0, run.stderr
    assert desk.tree("moby.tar")["etc/motd"] == b"hello"


def test_files_that_cannot_be_read(desk: Desk) -> None:
    (desk.directory / "wrong.yml").write_text("files: [{pth: x}]\n")
    said = desk.refused("image.yml", "nowhere.yml", "wrong.yml", status=1)
    assert "there is no file nowhere.yml" in said
    assert "wrong.yml:1:" in said
    assert "image.yml is given twice" in said
    run = desk.type()
    assert run.returncode == 2
    assert "dolmen build image.yml" in run.stderr


@pytest.mark.parametrize("jobs", ["1", "2", "5"])
def test_jobs(desk: Desk, jobs: str) -> None:
    # The levels are those of nobody else, so that there is something to do.
    words = ("--compression", f"zstd:{jobs}", "--format", "kernel+initrd,tar-kernel-initrd")
    desk.build("--jobs", jobs, *words)
    assert desk.read("image-initrd.img")[:4] == MAGIC["zstd"]


@pytest.mark.parametrize("jobs", ["0", "65", "many"])
def test_invalid_jobs_are_refused(desk: Desk, jobs: str) -> None:
    assert "--jobs" in desk.refused("-j", jobs)


def test_offline(desk: Desk) -> None:
    (desk.directory / "image.yml").write_text("init: ['made/nowhere:1', 'made/nowhere:2']\n")
    said = desk.refused(status=1)
    for number in (1, 2):
        assert f"docker.io/made/nowhere:{number} is not in the store" in said
    for option in ("--pull", "--docker"):
        assert "--offline opens no socket" in desk.refused(option)


def test_json_and_force(desk: Desk) -> None:
    words = ("--offline", "--json", "--format", "kernel+initrd,oci", "image.yml")
    results = []
    for option in ([], [], ["--force"]):
        run = desk.type(*option, *words)
        assert run.returncode == 0, run.stderr
        results.append(json.loads(run.stdout))
    assert [r["unchanged"] for r in results] == [False, True, False]
    first, *others = [r["outputs"] for r in results]
    assert others == [first, first]
    assert [(o["format"], o["role"]) for o in first] == [
        ("kernel+initrd", "kernel"),
        ("kernel+initrd", "initrd"),
        ("kernel+initrd", "cmdline"),
        ("oci", "image"),
    ]
    assert first[1]["size"] == len(desk.read("image-initrd.img"))
    sources = [(p["source"], p["prefix"]) for p in results[0]["parts"]]
    assert ("docker.io/example/onlycmd:1", "containers/services/s/lower/") in sources
    assert set(results[0]["seconds"]) >= {"prepare", "write"}


@pytest.mark.parametrize("codec", list(MAGIC))
def test_compressions(desk: Desk, codec: str) -> None:
    desk.build("--compression", codec)
    data = desk.read("image-initrd.img")
    assert data.startswith(MAGIC[codec])
    names = {e.name for entries in archives_of(data) for e in entries}
    assert "containers/services/s/config.json" in names


def test_invalid_compressions_are_refused(desk: Desk) -> None:
    assert "zstd has no level 99" in desk.refused("--compression", "zstd:99")
    assert "gzip, zstd" in desk.refused("--compression", "zip")


def test_long_options_with_a_single_dash(desk: Desk) -> None:
    desk.build("-format=tar", "-name", "old", "-dir=out", "-size", "1G", "-arch=amd64")
    assert desk.files == {"out/old.tar"}
    desk.build("-format", "kernel+initrd,tar-kernel-initrd", "-name=old")
    assert "old-initrd.tar" in desk.files


def test_options_may_follow_files(desk: Desk, store: Path) -> None:
    run = desk.dolmen.run(
        *("build", "image.yml", "--offline", "--format", "tar", "-q", "--cache", store),
        cwd=desk.directory,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "image.tar\n", "")
    assert desk.files == {"image.tar"}


def test_json_of_a_build_that_failed(desk: Desk) -> None:
    (desk.directory / "image.yml").write_text(
        "init: ['made/nowhere:1', 'made/nowhere:2']\nkernel: {cmdline: x}\n"
    )
    run = desk.type("--offline", "--json", "image.yml")
    assert run.returncode == 1
    result = json.loads(run.stdout)
    assert (result["outputs"], result["unchanged"]) == ([], False)
    assert [(e["code"], e["line"], e["column"]) for e in result["errors"]] == [
        ("DM0205", 1, 8),
        ("DM0205", 1, 26),
    ]
    assert [w["line"] for w in result["warnings"]] == [2]
    assert "made/nowhere:2 is not in the store" in run.stderr
    run = desk.type("--offline", "--json", "--size", "none", "image.yml")
    assert run.returncode == 2
    assert json.loads(run.stdout)["errors"][0]["code"] == "DM0901"
    (desk.directory / "image.yml").write_text(YAML)
    run = desk.type("--offline", "--json", "image.yml")
    assert json.loads(run.stdout)["errors"] == []


def test_verbose_output(desk: Desk) -> None:
    words = ("--compression", "gzip:2")
    said = desk.build("-v", *words)
    assert "docker.io/example/onlycmd:1 is sha256:" in said
    assert "0 of 4 parts are in the cache, 4 to make" in said
    assert "time spent: prepare 0." in said
    assert "segment" not in said
    said = desk.build("--force", "-vv", *words)
    assert "3 of 3 parts are in the cache, 0 to make" in said
    assert "kept: services[0] docker.io/example/onlycmd:1 as initrd, segment " in said
    assert "docker.io/example/onlycmd:1: from the store" in said
    said = desk.build("--force", "-v", "2", "--format", "tar")
    assert ": init[0] docker.io/example/init:v1 as tar, segment " in said
    quiet = desk.build("--force", "-q", *words)
    assert quiet == ""
