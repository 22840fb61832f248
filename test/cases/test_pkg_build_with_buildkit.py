"""A user builds packages by BuildKit: what `docker` is asked, and what is made of its answer.

No BuildKit is needed: a program in its place records how it is called, and answers as BuildKit
would, with an OCI archive.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from assembler.oci.platform import Platform
from support.cli import Dolmen
from support.dockerfiles import AMD64, Kitchen

ARM64 = Platform("linux", "arm64")
STAND_IN = f"""#!{sys.executable}
import json, os, shutil, sys
from pathlib import Path
here = Path(__file__).parent
words = sys.argv[1:]
recorded = dict(words=words, epoch=os.environ.get("SOURCE_DATE_EPOCH"))
if words[0] == "load":
    import tarfile
    with tarfile.open(words[-1]) as tar:
        recorded["tags"] = json.load(tar.extractfile("manifest.json"))[0]["RepoTags"]
if words[-2:] == ["buildx", "version"]:
    sys.exit(0)
if words[:2] == ["context", "ls"]:
    print((here / "contexts").read_text() if (here / "contexts").exists() else "default")
    sys.exit(0)
if "info" in words:
    sys.exit(1)
if "inspect" in words:
    name = words[-1]
    sys.exit(0 if name in ((here / "made").read_text() if (here / "made").exists() else "") else 1)
if "create" in words:
    (here / "made").write_text(words[words.index("--name") + 1])
if "build" in words and "create" not in words:
    recorded["dockerfile"] = Path(words[words.index("--file") + 1]).read_text()
    recorded["context"] = sorted(p.name for p in Path(words[-1]).iterdir())
    if (here / "fails").exists():
        print("#5 [build 2/2] RUN make")
        print("#5 0.1 make: not found")
        print("#5 ERROR: exit code: 127")
        print("Dockerfile:4")
        print("--------------------")
        sys.exit(1)
    output = words[words.index("--output") + 1]
    shutil.copy(here / "answer.tar", output.split("dest=")[1].split(",")[0])
with (here / "calls").open("a") as file:
    file.write(json.dumps(recorded) + chr(10))
"""


@pytest.fixture
def kitchen(tmp_path: Path) -> Kitchen:
    """Give a base in the store, and a stand-in for docker."""
    kitchen = Kitchen(tmp_path)
    base = kitchen.package(
        "FROM scratch\nCOPY Dockerfile /sh\n", None, "image: base\norg: example\n", "base"
    )
    kitchen.build(base, AMD64, hash="1")
    stand_in = tmp_path / "bin" / "docker"
    stand_in.parent.mkdir()
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)
    return kitchen


@pytest.fixture
def package(kitchen: Kitchen, dolmen: Dolmen) -> Path:
    """Give a package that needs a builder, and what BuildKit answers."""
    other = Kitchen(kitchen.root / "other")
    made = other.package("FROM scratch\nCOPY made /\nENV A=1\n", {"made": b"made"})
    other.build(made, AMD64)
    words = ("cache", "export", "--cache", other.store.root, "--platform", "linux/amd64")
    answer = kitchen.root / "bin" / "answer.tar"
    done = dolmen.run(*words, "-o", answer, "example/app:h")
    assert done.returncode == 0, done.stderr
    return kitchen.package(
        "ARG X\nFROM --platform=$BUILDPLATFORM example/base:1 AS build\nARG TARGETARCH X\n"
        "RUN make\nFROM scratch\nCOPY --from=build /made /\n",
        {"file": b""},
        "image: app\norg: example\nconfig: {net: host}\nbuildArgs: [X=1, Y=2]\n",
    )


def build(kitchen: Kitchen, dolmen: Dolmen, *words: str | Path) -> tuple[int, str]:
    path = f"{kitchen.root / 'bin'}:{os.environ['PATH']}"
    options = ("--offline", "--builder", "buildkit", "--hash", "h", "--cache", kitchen.store.root)
    done = dolmen.run("pkg", "build", *options, *words, env={"PATH": path})
    return done.returncode, done.stderr


def test_how_buildkit_is_asked(kitchen: Kitchen, dolmen: Dolmen, package: Path) -> None:
    options = ("--platforms", "linux/amd64", "--builders", "linux/amd64=farm")
    status, errors = build(kitchen, dolmen, *options, "--builder-image", "bk:1", package)
    assert status == 0, errors
    lines = (kitchen.root / "bin" / "calls").read_text().splitlines()
    create, call = (json.loads(line) for line in lines)
    assert create["words"] == [
        *("--context", "farm", "buildx", "create", "--name", "dolmen-builder-farm"),
        *("--driver", "docker-container", "--driver-opt", "image=bk:1", "farm"),
    ]
    words = call["words"]
    assert words[:3] == ["--context", "farm", "buildx"]
    for option, value in (
        ("--platform", "linux/amd64"),
        ("--network", "none"),
        ("--build-arg", "X=1"),
        ("--builder", "dolmen-builder-farm"),
    ):
        assert words[words.index(option) + 1] == value
    assert "Y=2" not in words
    digest = kitchen.image("example/base:1").digest
    (base,) = [w for w in words if "oci-layout://" in w]
    assert base.startswith("dolmen-base-")
    assert base.endswith(f"@{digest}")
    assert call["epoch"] == "0"
    assert call["context"] == ["Dockerfile", "build.yml", "file"]
    name = base.partition("=")[0]
    lines = call["dockerfile"].splitlines()
    assert lines[1] == f"FROM --platform=linux/amd64 {name} AS build"
    assert lines[4:] == ["FROM scratch", "COPY --from=build /made /"]
    # What it answered is the image, with our labels and inputs.
    assert kitchen.tree()["made"][1] == b"made"
    config = kitchen.config()["config"]
    assert "A=1" in config["Env"]
    assert config["Labels"] == {"org.mobyproject.config": '{"net": "host"}'}
    inputs = json.loads(kitchen.image().manifest.annotations["dolmen.inputs"])
    assert inputs["builder"] == "buildkit"
    assert not list((kitchen.store.root / "building").iterdir())


def test_an_image_for_the_daemon(kitchen: Kitchen, dolmen: Dolmen) -> None:
    package = kitchen.package("FROM scratch\nCOPY Dockerfile /\n", name="plain")
    status, errors = build(kitchen, dolmen, "--docker", package)
    assert status == 0, errors
    (line,) = (kitchen.root / "bin" / "calls").read_text().splitlines()
    call = json.loads(line)
    assert call["words"][:3] == ["load", "--quiet", "--input"]
    assert call["tags"] == ["docker.io/example/app:h"]


def test_a_step_that_fails_is_shown(kitchen: Kitchen, dolmen: Dolmen, package: Path) -> None:
    (kitchen.root / "bin" / "fails").touch()
    status, errors = build(kitchen, dolmen, "--platforms", "linux/amd64", package)
    assert status == 1
    assert "Dockerfile:4:1: error[DM0743]: RUN failed" in errors
    assert "make: not found" in errors
    assert "  4 | RUN make" in errors


def test_what_is_no_image_is_refused(kitchen: Kitchen, dolmen: Dolmen, package: Path) -> None:
    (kitchen.root / "bin" / "answer.tar").write_bytes(bytes(1024))
    status, errors = build(kitchen, dolmen, "--platforms", "linux/amd64", package)
    assert (status, "what BuildKit has made cannot be used" in errors) == (1, True)
    assert not kitchen.store.names().named("docker.io/example/app:h")
