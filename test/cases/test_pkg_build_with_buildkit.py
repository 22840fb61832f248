"""A user builds packages by BuildKit: what `docker` is asked, and what is made of its answer.

No BuildKit is needed: a program in its place records how it is called, and answers as BuildKit
would, with an OCI archive.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING
from unittest.mock import ANY

import pytest

from assembler.oci.image_writer import WrittenImage, add_attestation, tag_images
from assembler.oci.platform import Platform
from assembler.oci.store import read_attestations
from support.dockerfiles import AMD64, Kitchen

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from support.cli import Dolmen

pytestmark = pytest.mark.slow

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
if words == ["buildx", "ls"]:
    print("NAME/NODE  DRIVER/ENDPOINT\\ndefault *  docker\\n  default  default")
    print("dolmen-builder-farm  docker-container\\n  dolmen-builder-farm0  farm\\nmine  docker")
    sys.exit(0)
if words[:2] in (["buildx", "du"], ["buildx", "prune"]):
    print("ID  SIZE\\nabc  1GB\\nTotal:\\t1.2GB")
if "info" in words:
    sys.exit(1)
if "inspect" in words:
    name = words[-1]
    sys.exit(0 if name in ((here / "made").read_text() if (here / "made").exists() else "") else 1)
if "rm" in words:
    (here / "made").unlink()
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


def run(
    kitchen: Kitchen, dolmen: Dolmen, *words: str | Path, **env: str
) -> subprocess.CompletedProcess[str]:
    path = f"{kitchen.root / 'bin'}:{os.environ['PATH']}"
    options = ("--force", "--hash", "h", "--cache", kitchen.store.root)
    return dolmen.run("pkg", "build", *options, *words, env={"PATH": path, **env})


def build(kitchen: Kitchen, dolmen: Dolmen, *words: str | Path) -> tuple[int, str]:
    done = run(kitchen, dolmen, "--builder", "buildkit", *words)
    return done.returncode, done.stderr


def calls(kitchen: Kitchen) -> list[list[str]]:
    """Return how docker was called so far."""
    lines = (kitchen.root / "bin" / "calls").read_text().splitlines()
    return [json.loads(line)["words"] for line in lines]


def test_the_command_line_of_buildkit(kitchen: Kitchen, dolmen: Dolmen, package: Path) -> None:
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


def test_an_invalid_result_is_refused(kitchen: Kitchen, dolmen: Dolmen, package: Path) -> None:
    (kitchen.root / "bin" / "answer.tar").write_bytes(bytes(1024))
    status, errors = build(kitchen, dolmen, "--platforms", "linux/amd64", package)
    assert (status, "invalid image from BuildKit" in errors) == (1, True)
    assert not kitchen.store.names().named("docker.io/example/app:h")


@pytest.mark.parametrize(
    ("contexts", "env", "context"),
    [
        ("default", {}, ""),
        ("default dolmen-linux-amd64 linuxkit-linux-amd64", {}, "dolmen-linux-amd64"),
        ("default linuxkit-linux-amd64 dolmen-linux-arm64", {}, "linuxkit-linux-amd64"),
        ("dolmen-linux-amd64", {"LINUXKIT_BUILDERS": "linux/amd64=farm"}, "farm"),
        ("default", {"DOLMEN_BUILDERS": "linux/arm64=other,linux/amd64=farm"}, "farm"),
    ],
)
def test_the_builder_of_a_platform(
    kitchen: Kitchen,
    dolmen: Dolmen,
    package: Path,
    contexts: str,
    env: dict[str, str],
    context: str,
) -> None:
    (kitchen.root / "bin" / "contexts").write_text("\n".join(contexts.split()))
    words = ("--platforms", "linux/amd64", package)
    # Whoever names a machine for the platform need not ask for BuildKit.
    asked = () if context else ("--builder", "buildkit")
    done = run(kitchen, dolmen, *asked, *words, **env)
    assert done.returncode == 0, done.stderr
    made, built = calls(kitchen)
    name = f"dolmen-builder-{context}" if context else "dolmen-builder"
    assert made[made.index("--name") + 1] == built[built.index("--builder") + 1] == name
    for call in (made, built):
        assert call[:2] == (["--context", context] if context else ["buildx", call[1]])
    assert made[-1] == (context or "docker-container")


def test_a_named_builder_is_recreated(
    kitchen: Kitchen, dolmen: Dolmen, package: Path, tmp_path: Path
) -> None:
    (tmp_path / "buildkitd.toml").write_text("")
    options = ("--builder-name", "mine", "--builder-config", tmp_path / "buildkitd.toml")
    words = ("--platforms", "linux/amd64", "--builder-image", "bk:1", *options)
    assert build(kitchen, dolmen, *words, package) == (0, ANY)
    assert build(kitchen, dolmen, "--force", *words, package) == (0, ANY)
    assert build(kitchen, dolmen, "--force", "--builder-restart", *words, package) == (0, ANY)
    create, first, second, stop, again, third = calls(kitchen)
    assert create[2:] == [
        *("--name", "mine", "--driver", "docker-container", "--driver-opt", "image=bk:1"),
        *("--config", str(tmp_path / "buildkitd.toml")),
    ]
    # What it has kept is in a volume, and stays.
    assert (stop, again) == (["buildx", "rm", "--keep-state", "mine"], create)
    assert {call[call.index("--builder") + 1] for call in (first, second, third)} == {"mine"}


def test_other_options_of_buildkit(kitchen: Kitchen, dolmen: Dolmen, package: Path) -> None:
    words = ("--platforms", "linux/amd64", "--ssh", "default", "--ssh", "key=/id", package)
    options = ("--disable-cache", "--network", "--sbom-scanner", "scan:1")
    status, errors = build(kitchen, dolmen, *options, *words)
    assert status == 0, errors
    call = calls(kitchen)[-1]
    for option, value in (("--ssh", "default"), ("--ssh", "key=/id"), ("--network", "default")):
        assert (option, value) in itertools.pairwise(call)
    assert "--no-cache" in call
    assert "--attest=type=sbom,generator=scan:1" in call
    # Elsewhere nobody scans, and that is said.
    plain = kitchen.package("FROM scratch\nCOPY Dockerfile /\n", name="plain")
    status, errors = build(kitchen, dolmen, "--sbom-scanner", "", plain)
    assert (status, "only BuildKit runs scanners" in errors) == (0, True)


def test_the_sbom_of_a_scanner_is_kept(kitchen: Kitchen, dolmen: Dolmen, package: Path) -> None:
    other = Kitchen(kitchen.root / "other")
    image = other.image()
    spdx = {"spdxVersion": "SPDX-2.3", "name": "what is in it"}
    kind = "https://spdx.dev/Document"
    said = add_attestation(other.store, "x", image.descriptor, kind, spdx)
    descriptor = replace(image.descriptor, platform=AMD64)
    tag_images(other.store, ["docker.io/example/app:h"], [WrittenImage(descriptor, (said,))])
    answer = kitchen.root / "bin" / "answer.tar"
    words = ("cache", "export", "--cache", other.store.root, "-o", answer, "example/app:h")
    done = dolmen.run(*words)
    assert done.returncode == 0, done.stderr
    words = ("--platforms", "linux/amd64", "--sbom-scanner", "scan:1", package)
    assert build(kitchen, dolmen, *words) == (0, ANY)
    image = kitchen.image()
    (found,) = read_attestations(kitchen.store, image)
    statement = json.loads(kitchen.store.path(found.layers[0].digest).read_bytes())
    assert statement["predicate"] == spdx
    assert statement["subject"][0]["digest"]["sha256"] == image.digest.removeprefix("sha256:")


def test_a_dry_run_prints_the_command(kitchen: Kitchen, dolmen: Dolmen, package: Path) -> None:
    options = ("--dry-run", "--platforms", "linux/arm64,linux/amd64", "--ssh", "default")
    done = run(kitchen, dolmen, "--builders", "linux/arm64=box", *options, package)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    (at,) = (n for n, line in enumerate(lines) if line.endswith("linux/arm64: build by buildkit"))
    words = lines[at + 1].split()
    assert words[1:5] == ["--context", "box", "buildx", "build"]
    assert words[words.index("--builder") + 1] == "dolmen-builder-box"
    assert words[words.index("--platform") + 1] == "linux/arm64"
    assert words[words.index("--ssh") + 1] == "default"
    assert not (kitchen.root / "bin" / "calls").exists()


def test_the_storage_of_builders(kitchen: Kitchen, dolmen: Dolmen) -> None:
    env = {"PATH": f"{kitchen.root / 'bin'}:{os.environ['PATH']}"}
    words = ("pkg", "builder", "--cache", kitchen.store.root)
    done = dolmen.run(*words, "du", env=env)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["dolmen-builder-farm 1.2GB"])
    done = dolmen.run(*words, "prune", env=env)
    assert done.stdout.splitlines()[-1] == "freed 1.2GB of dolmen-builder-farm"
    done = dolmen.run(*words, "du", "--builder-name", "mine", env=env)
    assert done.stdout.split() == ["mine", "1.2GB"]
    # Those of others are left alone.
    options = [c[c.index("--builder") + 1] for c in calls(kitchen) if "prune" in c]
    assert options == ["dolmen-builder-farm"]
