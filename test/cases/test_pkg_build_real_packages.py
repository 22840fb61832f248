"""A user builds what packages are made of: Debian's compilers, with nothing but its archive."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from assembler.oci.platform import host_platform
from assembler.oci.reference import Reference
from assembler.oci.store import Store
from support.cli import Dolmen
from support.dockerfiles import Kitchen

HERE = host_platform()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("buildah"), reason="buildah is not installed"),
    pytest.mark.skipif(not shutil.which("apt-get"), reason="apt-get is not installed"),
    pytest.mark.skipif(HERE.architecture != "amd64", reason="its cross compilers are for amd64"),
]
# e_machine in the header of an ELF file.
MACHINES = {"amd64": 62, "arm64": 183, "riscv64": 243}
TOOLCHAIN = """
image: toolchain
org: example
arches: [amd64]
debs:
  suite: trixie
  packages: [base-files, dash, coreutils, golang-go, gcc, libc6-dev,
             gcc-aarch64-linux-gnu, libc6-dev-arm64-cross]
  drop: [/usr/share/doc/**, /usr/share/man/**, /usr/share/info/**]
  links: {/usr/bin/cc: gcc}
"""
IN_GO = """
ARG TOOLCHAIN
FROM --platform=$BUILDPLATFORM ${TOOLCHAIN} AS build
ARG TARGETARCH
ENV CGO_ENABLED=0 GOCACHE=/cache GO111MODULE=off GOFLAGS=-trimpath HOME=/tmp
COPY main.go /src/
WORKDIR /src
RUN --mount=type=cache,target=/cache GOARCH=$TARGETARCH go build -o /out/app main.go
FROM scratch
COPY --from=build /out/app /app
ENTRYPOINT ["/app"]
"""
IN_C = """
ARG TOOLCHAIN
FROM --platform=$BUILDPLATFORM ${TOOLCHAIN} AS build
ARG TARGETARCH
COPY main.c /src/
RUN case $TARGETARCH in arm64) cc=aarch64-linux-gnu-gcc;; *) cc=gcc;; esac && \\
    $cc -static -O2 -o /app /src/main.c
FROM scratch
COPY --from=build /app /app
"""


def write(directory: Path, files: dict[str, str]) -> None:
    directory.mkdir(parents=True)
    for name, text in files.items():
        (directory / name).write_text(text)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Give a toolchain, and two packages that are built with it."""
    work = tmp_path / "work"
    head = "org: example\nbuildArgs: ['TOOLCHAIN=@dolmen:pkg:../toolchain']\n"
    write(work / "toolchain", {"build.yml": TOOLCHAIN})
    write(
        work / "in-go",
        {
            "build.yml": f"image: in-go\narches: [amd64, arm64, riscv64]\n{head}",
            "Dockerfile": IN_GO,
            "main.go": 'package main\n\nfunc main() { println("hello from go") }\n',
        },
    )
    write(
        work / "in-c",
        {
            "build.yml": f"image: in-c\narches: [amd64, arm64]\n{head}",
            "Dockerfile": IN_C,
            "main.c": '#include <stdio.h>\nint main(void) { puts("hello from c"); return 0; }\n',
        },
    )
    git = ["git", "-c", "user.name=n", "-c", "user.email=e"]
    for words in (["init", "-q", "."], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *words], cwd=work, check=True)
    return work


def test_programs_for_several_architectures(dolmen: Dolmen, work: Path, tmp_path: Path) -> None:
    kitchen = Kitchen(tmp_path)
    command = ("pkg", "build", "--offline", "--cache", kitchen.store.root)
    done = dolmen.run(*command, work / "in-go", work / "in-c")
    if done.returncode and any(code in done.stderr for code in ("DM0721", "DM0722", "DM0725")):
        pytest.skip(f"no archive of Debian can be reached here: {done.stderr[-400:]}")
    assert done.returncode == 0, done.stderr
    in_go, in_c = done.stdout.split()
    entries = Store(kitchen.store.root).names().entries
    assert any("example/toolchain" in name for e in entries for name in e.names)
    for name, said in ((in_go, b"hello from go\n"), (in_c, b"hello from c\n")):
        index = kitchen.store.read(
            kitchen.store.names().named(str(Reference.parse(name)))[0].descriptor
        )
        for architecture in ("amd64", "arm64", "riscv64"):
            if architecture.encode() not in index:
                assert (name, architecture) == (in_c, "riscv64")
                continue
            platform = HERE.parse(architecture)
            member, content = kitchen.tree(name, platform)["app"]
            assert int.from_bytes(content[18:20], "little") == MACHINES[architecture]
            assert member.mode & 0o111
        program = tmp_path / "program"
        program.write_bytes(kitchen.tree(name, HERE)["app"][1])
        program.chmod(0o755)
        ran = subprocess.run([program], capture_output=True, check=True)
        assert ran.stdout + ran.stderr == said
    # The same bytes with another storage of the builder, and without its cache.
    digests = [kitchen.image(name, HERE).digest for name in (in_go, in_c)]
    shutil.rmtree(kitchen.store.root / "buildah")
    options = ("--force", "--platforms", str(HERE))
    before = os.umask(0o077)
    try:
        again = dolmen.run(*command, *options, work / "in-go", work / "in-c")
    finally:
        os.umask(before)
    assert again.returncode == 0, again.stderr
    assert [kitchen.image(name, HERE).digest for name in (in_go, in_c)] == digests
