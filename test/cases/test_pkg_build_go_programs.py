"""Somebody has a program in Go, and builds a package of it without a Dockerfile."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from support.cli import Dolmen

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# No import: the less there is to compile, the sooner.
PROGRAM = """package main

func main() { println("it runs") }
"""
BUILD = """image: agent
org: example
arches: [amd64, arm64, riscv64]
go:
  toolchain: example/go:1
  programs: {/usr/bin/agent: ./cmd/agent}
debs:
  suite: trixie
  packages: []
  links: {/agent: usr/bin/agent}
  command: [/usr/bin/agent]
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a store with this machine's Go as an image."""
    work = tmp_path_factory.mktemp("go")
    goroot = Path(subprocess.check_output(["go", "env", "GOROOT"], text=True).strip())
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        for name in ("bin/go", "pkg/tool", "pkg/include", "src", "VERSION", "go.env"):
            if (goroot / name).exists():
                path = (goroot / name).resolve()
                archive.add(path, f"usr/lib/go-1.99/{name}", filter=_without_tests)
        # What must not matter, and not leave the directory.
        for name in ("usr/lib/go-1.99/../../../escaped", "usr/lib/go-1.99/src/.."):
            archive.addfile(tarfile.TarInfo(name))
        link = tarfile.TarInfo("usr/lib/go-1.99/linked")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("usr/lib/go-1.99/linked/passwd"))
    _import(work, "example/go:1", layer.getvalue())
    empty = io.BytesIO()
    with tarfile.open(fileobj=empty, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("file"))
    _import(work, "example/empty:1", empty.getvalue())
    return work / "store"


def _without_tests(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "/testdata" in member.name or member.name.endswith("_test.go") else member


def _import(work: Path, name: str, layer: bytes) -> None:
    folder = work / name.replace("/", "-").replace(":", "-")
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\nADD root.tar /\n")
    (folder / "root.tar").write_bytes(layer)
    image, tag = name.removeprefix("example/").split(":")
    (folder / "build.yml").write_text(f"image: {image}\norg: example\n")
    home = work / "home"
    home.mkdir(exist_ok=True)
    words = ("pkg", "build", "--hash", tag, "--cache", work / "store", folder)
    built = Dolmen(home).run(*words)
    assert built.returncode == 0, built.stderr


def module(tmp_path: Path, name: str = "agent") -> Path:
    """Make a package with a Go module."""
    package = tmp_path / name
    (package / "cmd/agent").mkdir(parents=True)
    (package / "build.yml").write_text(BUILD)
    (package / "go.mod").write_text("module example.com/agent\n\ngo 1.19\n")
    (package / "cmd/agent/main.go").write_text(PROGRAM)
    return package


def build(
    dolmen: Dolmen, store: Path, package: Path, *words: str
) -> subprocess.CompletedProcess[str]:
    """Build the package for this machine and one more platform."""
    words = words or ("--platforms", "linux/amd64,linux/arm64")
    return dolmen.run("pkg", "build", "--hash", "1", "--force", "--cache", store, *words, package)


def exported(dolmen: Dolmen, store: Path, to: Path, platform: str = "linux/amd64") -> bytes:
    """Return the root filesystem of the package's image."""
    words = ("cache", "export", "--format", "filesystem", "--platform", platform, "-o", to)
    done = dolmen.run(*words, "--cache", store, "example/agent:1")
    assert done.returncode == 0, done.stderr
    return to.read_bytes()


def test_it_runs_and_is_the_same_everywhere(dolmen: Dolmen, store: Path, tmp_path: Path) -> None:
    """Another directory, an empty cache, another umask and other variables: the same bytes."""
    first = build(dolmen, store, module(tmp_path))
    assert first.returncode == 0, first.stderr
    root = exported(dolmen, store, tmp_path / "one.tar")
    with tarfile.open(fileobj=io.BytesIO(root)) as archive:
        assert archive.getmember("usr/bin/agent").mode == 0o755
        assert archive.getmember("agent").linkname == "usr/bin/agent"
        archive.extract("usr/bin/agent", tmp_path / "root", filter="fully_trusted")
    program = [tmp_path / "root/usr/bin/agent"]
    ran = subprocess.run(program, env={}, capture_output=True, text=True, check=True)
    assert ran.stderr == "it runs\n"
    other = exported(dolmen, store, tmp_path / "arm.tar", "linux/arm64")
    assert other != root

    used = dolmen.run("pkg", "builder", "du", "--cache", store)
    assert re.search(r"^toolchains \d", used.stdout, re.MULTILINE), used
    pruned = dolmen.run("pkg", "builder", "prune", "--cache", store)
    assert pruned.returncode == 0, pruned.stderr
    assert not (store / "toolchains").exists()
    again = module(tmp_path / "elsewhere")
    shell = ["sh", "-c", 'umask 077; exec "$@"', "sh", "env", "GOFLAGS=-race", "TZ=Asia/Tokyo"]
    command = [sys.executable, "-m", "dolmen", "pkg", "build", "--hash", "1", "--force"]
    options = ["--cache", str(store), "--platforms", "linux/amd64,linux/arm64", str(again)]
    done = subprocess.run(
        [*shell, *command, *options],
        env=dolmen.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert exported(dolmen, store, tmp_path / "two.tar") == root
    assert exported(dolmen, store, tmp_path / "arm2.tar", "linux/arm64") == other


def test_mistakes_are_shown_in_the_source(dolmen: Dolmen, store: Path, tmp_path: Path) -> None:
    """The compiler's messages have their places, and the excerpt."""
    package = module(tmp_path)
    (package / "cmd/agent/main.go").write_text(PROGRAM.replace("println", "printline"))
    done = build(dolmen, store, package, "--platforms", "linux/amd64")
    assert done.returncode == 1
    assert f"{package}/cmd/agent/main.go:3:15: error[DM0746]" in done.stderr
    assert "undefined: printline" in done.stderr
    assert "Traceback" not in done.stderr


def test_modules_are_not_downloaded(dolmen: Dolmen, store: Path, tmp_path: Path) -> None:
    """A module that is not vendored is an error with a hint, and no connection is made."""
    package = module(tmp_path)
    source = PROGRAM.replace("func", 'import _ "example.org/other"\n\nfunc')
    (package / "cmd/agent/main.go").write_text(source)
    (package / "go.mod").write_text(
        "module example.com/agent\n\ngo 1.19\n\nrequire example.org/other v1.0.0\n"
    )
    done = build(dolmen, store, package, "--platforms", "linux/amd64")
    assert done.returncode == 1
    assert "error[DM0746]" in done.stderr
    assert "go mod vendor" in done.stderr or "go.sum" in done.stderr


def test_extra_sources_are_in_the_module(dolmen: Dolmen, store: Path, tmp_path: Path) -> None:
    """A module beside the package is found where build.yml puts it, and nowhere else."""
    package = module(tmp_path)
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/go.mod").write_text("module example.com/lib\n\ngo 1.19\n")
    (tmp_path / "lib/lib.go").write_text('package lib\n\nconst Text = "from beside"\n')
    source = PROGRAM.replace("func", 'import "example.com/lib"\n\nfunc').replace(
        '"it runs"', "lib.Text"
    )
    (package / "cmd/agent/main.go").write_text(source)
    requirement = "require example.com/lib v0.0.0\n\nreplace example.com/lib => "
    go_mod = f"module example.com/agent\n\ngo 1.19\n\n{requirement}"

    (package / "go.mod").write_text(f"{go_mod}../lib\n")
    done = build(dolmen, store, package, "--platforms", "linux/amd64")
    assert done.returncode == 1
    assert "error[DM0746]" in done.stderr
    assert "extra-sources" in done.stderr

    (package / "go.mod").write_text(f"{go_mod}{tmp_path}/lib\n")
    done = build(dolmen, store, package, "--platforms", "linux/amd64")
    assert done.returncode == 1
    assert f"{package}/go.mod:7:28: error[DM0746]: {tmp_path}/lib is not inside" in done.stderr

    (package / "go.mod").write_text(f"{go_mod}./lib\n")
    (package / "build.yml").write_text(f"{BUILD}extra-sources: ['../lib:lib']\n")
    done = build(dolmen, store, package, "--platforms", "linux/amd64")
    assert done.returncode == 0, done.stderr
    with tarfile.open(
        fileobj=io.BytesIO(exported(dolmen, store, tmp_path / "root.tar"))
    ) as archive:
        archive.extract("usr/bin/agent", tmp_path / "root", filter="fully_trusted")
    program = [tmp_path / "root/usr/bin/agent"]
    ran = subprocess.run(program, env={}, capture_output=True, text=True, check=True)
    assert ran.stderr == "from beside\n"


def test_offline_is_stronger_than_the_network_of_a_package(
    dolmen: Dolmen, store: Path, tmp_path: Path
) -> None:
    """With --offline, `network: true` downloads no modules."""
    package = module(tmp_path)
    source = PROGRAM.replace("func", 'import _ "example.org/other"\n\nfunc')
    (package / "cmd/agent/main.go").write_text(source)
    (package / "build.yml").write_text(f"{BUILD}network: true\n")
    (package / "go.mod").write_text(
        "module example.com/agent\n\ngo 1.19\n\nrequire example.org/other v1.0.0\n"
    )
    (package / "go.sum").write_text(
        "example.org/other v1.0.0 h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
        "example.org/other v1.0.0/go.mod h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
    )
    done = build(dolmen, store, package, "--offline", "--platforms", "linux/amd64")
    assert done.returncode == 1
    assert "GOPROXY=off" in done.stderr


def test_a_flipped_bit_of_an_unpacked_toolchain(
    dolmen: Dolmen, store: Path, tmp_path: Path
) -> None:
    package = module(tmp_path)
    words = ("--platforms", "linux/amd64")
    assert build(dolmen, store, package, *words).returncode == 0
    expected = exported(dolmen, store, tmp_path / "before.tar")
    (goroot,) = (store / "toolchains").glob("sha256-*")

    def damage() -> None:
        """Flip a bit of the standard library, keep its times, and start the machine again."""
        path = goroot / "src/runtime/print.go"
        data, times = bytearray(path.read_bytes()), path.stat()
        data[-2] ^= 1
        path.write_bytes(data)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        (goroot / ".verified").write_text("an earlier start")

    damage()
    done = build(dolmen, store, package, *words)
    assert done.returncode == 0, done.stderr
    assert "warning[DM0749]" in done.stderr
    assert exported(dolmen, store, tmp_path / "after.tar") == expected
    assert "DM0749" not in build(dolmen, store, package, *words).stderr
    assert "1 packages and toolchains" in dolmen.run("cache", "verify", "--cache", store).stdout
    damage()
    verified = dolmen.run("cache", "verify", "--cache", store)
    assert "removed, builds unpack it again" in verified.stdout, verified.stdout
    assert not goroot.exists()
    assert build(dolmen, store, package, *words).returncode == 0


def test_there_is_nothing_to_lock(dolmen: Dolmen, tmp_path: Path) -> None:
    """A recipe without Debian packages has no lock."""
    package = module(tmp_path)
    done = dolmen.run("pkg", "lock", package)
    assert done.returncode == 1
    assert "nothing to lock" in done.stderr
    assert not (package / "debs.lock").exists()


@pytest.mark.parametrize(
    ("old", "new", "code", "text"),
    [
        ("example/go:1", "example/empty:1", "DM0747", "has no Go toolchain"),
        ("example/go:1", "Not A Name", "DM0201", "build.yml:5:"),
        ("./cmd/agent", "../other", "DM0720", "'../other' is not a directory inside the package"),
        ("/usr/bin/agent:", "usr/bin/agent:", "DM0720", "not an absolute path in the image"),
        ("./cmd/agent", "./cmd/missing", "DM0746", "missing"),
    ],
    ids=["no toolchain", "bad name", "outside", "relative", "missing"],
)
def test_wrong_settings_are_refused(
    dolmen: Dolmen, store: Path, tmp_path: Path, old: str, new: str, code: str, text: str
) -> None:
    """Each has its code and says what is wrong."""
    package = module(tmp_path)
    (package / "build.yml").write_text(BUILD.replace(old, new))
    done = build(dolmen, store, package, "--platforms", "linux/amd64")
    assert done.returncode == 1
    assert f"error[{code}]" in done.stderr
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_leaves_the_toolchain(dolmen: Dolmen, store: Path, tmp_path: Path) -> None:
    """Names with .. and through links of the image are not followed."""
    assert build(dolmen, store, module(tmp_path)).returncode == 0
    toolchains = store / "toolchains"
    outside = [p for p in toolchains.rglob("*") if p.is_symlink() or p.name == "escaped"]
    assert outside == []
    assert not (store / "escaped").exists()
    assert not (store.parent / "escaped").exists()


def test_an_image_records_its_toolchain(dolmen: Dolmen, store: Path, tmp_path: Path) -> None:
    """`pkg inputs` and the image name the toolchain's digest."""
    package = module(tmp_path)
    assert build(dolmen, store, package).returncode == 0
    words = ("pkg", "inputs", "--json", "--hash", "1", "--platforms", "linux/amd64")
    done = dolmen.run(*words, "--cache", store, package)
    assert done.returncode == 0, done.stderr
    text = json.dumps(json.loads(done.stdout))
    assert "image docker.io/example/go:1" in text
    assert "sha256:" in text
